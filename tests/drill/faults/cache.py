"""What happens to Redis, and to what is in it."""

import redis

from tests.drill.nemesis import Nemesis

CACHE = "REDIS_URL"


def kill_cache(by: Nemesis) -> str:
    """kill -9 of Redis, and its start, empty, some seconds later."""
    by.stage.servers[CACHE].daemon.kill()
    by.last(10, least=3)
    by.stage.start_again(CACHE)
    return ""


def freeze_cache(by: Nemesis) -> str:
    """SIGSTOP of Redis for 10 s."""
    with by.frozen(CACHE):
        by.last(10, least=5)
    return ""


def flush_cache(by: Nemesis) -> str:
    """FLUSHALL, every second."""
    with redis.Redis.from_url(by.stage.servers[CACHE].url) as client:
        for _ in range(3):
            client.flushall()
            by.stage.rest(1)
    return "3 times"


def poison_cache(by: Nemesis) -> str:
    """Every value becomes something that nobody expects there."""
    poisons = (b"\xff\x00poison", b"-1", b"{", b"9" * 400)
    poisoned = 0
    with redis.Redis.from_url(by.stage.servers[CACHE].url) as client:
        for _ in range(3):
            for key in client.scan_iter(count=1000):
                client.set(key, by.chance.choice(poisons), keepttl=True)
                poisoned += 1
            by.stage.rest(1)
    return f"{poisoned} values"
