"""Copies that processes share in a real Redis, whatever happens to it."""

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from config.cache import EPOCH_SECONDS, KEPT_SECONDS, RENEW_SECONDS, Cache, Look, Place
from config.encryption import Unreadable
from config.redis_client import redis_client
from config.redis_lines import RedisLines
from config.redis_trip import REST_SECONDS, Trips
from config.servers import Server, servers_started
from tests.vaults import vault_for
from tests.waiting import wait_for

ADA = Place("patient/7", ("patient/7",))
PAGE = Place("patients/abc", ("patient/7", "patients"))
OLD, NEW = {"name": "Ada Byron"}, {"name": "Ada Lovelace"}
# What a busy machine adds; a copy that nobody takes back is there for four times as long.
SLACK = 15.0
EPOCH, TICKETS, COPY, FLOOR = (
    f"copies:{name}" for name in ("epoch", "tickets", "patient/7", "floor:patient/7")
)


@dataclass(frozen=True)
class Worker:
    """One of the processes, as far as the cache is concerned."""

    cache: Cache
    trips: Trips

    def look(self, place: Place = ADA) -> Look:
        ((look,),) = self.trips.ask(self.cache.look(place))
        found: Look = look
        return found

    def shown(self, place: Place = ADA) -> Any:
        copy = self.look(place).copy
        try:
            return copy.value if copy and copy.current else None
        except Unreadable:
            return None

    def kept(self, value: Any, place: Place = ADA) -> None:
        """As soon as something can be kept at all, and seen then."""

        def keep() -> bool:
            self.cache.keep(self.look(place), value)
            return bool(self.shown(place) == value)

        wait_for(keep, seconds=REST_SECONDS + EPOCH_SECONDS + SLACK)


class Vouching:
    """Renews the epoch, as the gateway's background service does, until told not to."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        if self._thread.ident:
            self._thread.join()

    def _renew(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            candidate = random.randbytes(8)
            # A service would rest after a failure; the tests need not.
            self._worker.trips.ask(self._worker.cache.renewal(candidate=candidate), insist=True)


@pytest.fixture(scope="module")
def server(
    server_programs: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    given = {"AMQP_URI": "none", "DATABASE_URL": "none"}
    folder = tmp_path_factory.mktemp("redis")
    with servers_started(folder=folder, environ=given, say=lambda line: None) as servers:
        yield servers["REDIS_URL"]


@pytest.fixture
def redis(server: Server) -> Iterator[Redis]:
    with Redis.from_url(server.url) as redis:
        redis.flushall()
        yield redis


@pytest.fixture
def worker(server: Server, redis: Redis) -> Callable[[], Worker]:
    def worker() -> Worker:
        trips = Trips(RedisLines(redis_client(server.url, None)))
        return Worker(Cache(vault_for("copies"), trips), trips)

    return worker


@pytest.fixture
def vouching(worker: Callable[[], Worker]) -> Iterator[Vouching]:
    vouching = Vouching(worker())
    vouching.start()
    yield vouching
    vouching.end()


@pytest.fixture
def one(worker: Callable[[], Worker], vouching: Vouching) -> Worker:
    return worker()


@pytest.fixture
def other(worker: Callable[[], Worker]) -> Worker:
    return worker()


def test_what_one_keeps_the_other_shows_until_either_changes_it(one: Worker, other: Worker) -> None:
    one.kept(OLD)
    assert other.shown() == OLD
    other.cache.changed("patient/7")
    assert one.shown() is other.shown() is None
    other.kept(NEW)
    assert one.shown() == NEW


def test_what_was_read_before_a_change_elsewhere_is_kept_for_nobody(
    one: Worker, other: Worker
) -> None:
    one.kept(OLD)
    for place in (ADA, PAGE):
        slow = one.look(place)
        other.cache.changed("patient/7")
        one.cache.keep(slow, OLD)
        assert one.shown(place) is other.shown(place) is None


def test_readers_who_are_slow_at_random_show_nobody_what_was(one: Worker, other: Worker) -> None:
    """A record that counts up, read and kept in every order that there is."""
    record, under_way = 0, []
    one.kept(-1)
    for _ in range(400):
        reader, writer = random.sample((one, other), 2)
        match random.choice(("look", "keep", "change", "check")):
            case "look":
                under_way.append((reader, reader.look(), record))
            case "keep" if under_way:
                slow, look, value = under_way.pop(random.randrange(len(under_way)))
                slow.cache.keep(look, value)
            case "change":
                record += 1
                writer.cache.changed("patient/7")
            case "check":
                assert reader.shown() in (None, record, -1 if record == 0 else record)


def test_a_copy_is_gone_by_itself_after_a_minute(one: Worker, redis: Redis) -> None:
    one.kept(OLD)
    assert 0 < redis.pttl(COPY) <= KEPT_SECONDS * 1000
    one.cache.changed("patients")
    assert all(redis.pttl(key) > 0 for key in redis.keys("*") if key != TICKETS.encode())


# Nobody vouches


def test_nothing_is_shown_when_nobody_has_vouched_for_it_lately(
    one: Worker, vouching: Vouching
) -> None:
    one.kept(OLD)
    vouching.end()
    wait_for(lambda: one.shown() is None, seconds=EPOCH_SECONDS + SLACK)
    look = one.look()
    # It is there, for who cannot do better, and no longer current.
    assert look.copy and not look.copy.current and look.copy.value == OLD
    assert look.ticket is None
    one.cache.keep(look, NEW)
    assert one.shown() is None


def test_what_was_kept_before_it_is_vouched_for_again_stays_behind(
    worker: Callable[[], Worker], one: Worker, vouching: Vouching
) -> None:
    one.kept(OLD)
    slow = one.look()
    vouching.end()
    wait_for(lambda: one.look().ticket is None, seconds=EPOCH_SECONDS + SLACK)
    again = Vouching(worker())
    again.start()
    try:
        wait_for(lambda: one.look().ticket, seconds=EPOCH_SECONDS + SLACK)
        assert one.shown() is None
        one.cache.keep(slow, OLD)
        assert one.shown() is None
        one.kept(NEW)
    finally:
        again.end()


# What is in Redis


def test_what_redis_has_tells_nothing(one: Worker, redis: Redis) -> None:
    one.kept(OLD)
    one.kept(OLD, PAGE)
    one.cache.changed("patients")
    values = b"".join(redis.get(key) or b"" for key in redis.keys("*"))
    assert b"Ada" not in values and b"Byron" not in values


def test_an_emptied_redis_shows_nothing_and_works_again(
    one: Worker, other: Worker, redis: Redis
) -> None:
    one.kept(OLD)
    slow = one.look()
    redis.flushall()
    assert one.shown() is other.shown() is None
    one.cache.keep(slow, OLD)
    other.cache.changed("patient/7")
    assert one.shown() is other.shown() is None
    one.kept(NEW)
    assert other.shown() == NEW


POISON: dict[str, Callable[[Redis, str], object]] = {
    "a list": lambda redis, key: redis.rpush(key, b"a", b"list"),
    "a hash": lambda redis, key: redis.hset(key, "a", "hash"),
    "garbage": lambda redis, key: redis.set(key, random.randbytes(200)),
    "garbage of an epoch's length": lambda redis, key: redis.set(key, b"\xff" * 16),
    "nothing": lambda redis, key: redis.set(key, b""),
    "a small number": lambda redis, key: redis.set(key, 5),
    "a number below none": lambda redis, key: redis.set(key, -(10**6)),
    "a large number": lambda redis, key: redis.set(key, 10**17),
    "the largest number": lambda redis, key: redis.set(key, 2**63 - 1),
    "no number": lambda redis, key: redis.set(key, b"1e999"),
    "what is about to end": lambda redis, key: redis.set(key, b"x" * 64, px=5),
    "no time": lambda redis, key: redis.set(key, b"\xff" * 100),
}


@pytest.mark.parametrize("key", [EPOCH, TICKETS, COPY, FLOOR])
@pytest.mark.parametrize("poison", POISON)
def test_what_none_of_us_wrote_is_never_shown_and_soon_gone(
    one: Worker, other: Worker, redis: Redis, key: str, poison: str
) -> None:
    one.kept(OLD)
    one.kept(OLD, PAGE)
    redis.delete(key)
    POISON[poison](redis, key)
    other.cache.changed("patient/7")
    assert [worker.shown(place) for worker in (one, other) for place in (ADA, PAGE)] == [None] * 4
    one.kept(NEW)
    assert other.shown() == NEW


@pytest.mark.parametrize("poison", POISON)
def test_every_key_poisoned_is_as_good_as_none(
    one: Worker, other: Worker, redis: Redis, poison: str
) -> None:
    one.kept(OLD)
    one.cache.changed("patients")
    for key in (EPOCH, TICKETS, COPY, FLOOR, "copies:floor:patients"):
        redis.delete(key)
        POISON[poison](redis, key)
    assert one.shown() is None
    other.cache.keep(other.look(), OLD)
    other.cache.changed("patient/7")
    assert one.shown() is other.shown() is None
    one.kept(NEW)
    assert other.shown() == NEW


@pytest.mark.parametrize("nonsense", ["a list", "a hash"])
def test_a_floor_that_was_spoilt_lets_nothing_through(
    one: Worker, other: Worker, redis: Redis, nonsense: str
) -> None:
    one.kept(OLD)
    slow = one.look()
    other.cache.changed("patient/7")
    one.cache.keep(slow, OLD)
    redis.delete(FLOOR)
    POISON[nonsense](redis, FLOOR)
    assert one.shown() is other.shown() is None


def test_an_old_copy_put_back_is_not_shown_nor_with_a_new_header(
    one: Worker, other: Worker, redis: Redis
) -> None:
    one.kept(OLD)
    old = bytes(redis.get(COPY) or b"")
    other.cache.changed("patient/7")
    redis.set(COPY, old)
    assert one.shown() is None
    one.kept(NEW)
    new = bytes(redis.get(COPY) or b"")
    for header in range(len(old)):
        redis.set(COPY, new[:header] + old[header:])
        assert one.shown() != OLD
    one.kept(NEW)
    assert other.shown() == NEW


# A Redis that is not there


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    server.daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.daemon.signal(signal.SIGCONT)


@contextmanager
def killed(server: Server) -> Iterator[None]:
    server.daemon.kill()
    try:
        yield
    finally:
        start_again(server)


def start_again(server: Server) -> None:
    server.daemon.start_again()

    def answers() -> bool:
        try:
            with Redis.from_url(server.url) as redis:
                return bool(redis.ping())
        except (OSError, RedisError):
            return False

    wait_for(answers)


def seconds_to_change(worker: Worker) -> float:
    began = time.monotonic()
    worker.cache.changed("patient/7")
    return time.monotonic() - began


Fault = Callable[[Server], Any]


@pytest.mark.parametrize("fault", [frozen, killed])
def test_what_changed_while_redis_was_away_is_not_undone_when_it_is_back(
    one: Worker, other: Worker, server: Server, fault: Fault
) -> None:
    one.kept(OLD)
    slow = one.look()
    with fault(server):
        assert one.shown() is None
        one.cache.keep(slow, OLD)
        first, *others = (seconds_to_change(other) for _ in range(4))
    assert EPOCH_SECONDS <= first < EPOCH_SECONDS + SLACK
    # Whoever waited once need not do so again.
    assert min(others) < EPOCH_SECONDS
    until = time.monotonic() + 2 * EPOCH_SECONDS
    while time.monotonic() < until:
        ((look,),) = one.trips.ask(one.cache.look(ADA), insist=True)
        assert not (look.copy and look.copy.current)
        one.cache.keep(slow, OLD)
    one.kept(NEW)
    wait_for(lambda: other.shown() == NEW, seconds=REST_SECONDS + SLACK)


@pytest.mark.parametrize("seconds", [0.2, 0.8, 1.4, 1.9])
def test_a_redis_that_was_silent_for_a_moment_has_heard_of_the_change(
    one: Worker, other: Worker, server: Server, seconds: float
) -> None:
    one.kept(OLD)
    with frozen(server):
        goes_on = threading.Timer(seconds, server.daemon.signal, [signal.SIGCONT])
        goes_on.start()
        other.cache.changed("patient/7")
        goes_on.join()
    for _ in range(20):
        ((look,),) = one.trips.ask(one.cache.look(ADA), insist=True)
        assert not (look.copy and look.copy.current)


def test_a_redis_that_comes_back_with_what_it_had_saved_is_not_believed(
    one: Worker, other: Worker, server: Server, redis: Redis
) -> None:
    one.kept(OLD)
    slow = one.look()
    redis.save()
    saved = Path(redis.config_get("dir")["dir"]) / "dump.rdb"
    other.cache.changed("patient/7")
    server.daemon.kill()
    try:
        start_again(server)
        ((look,),) = one.trips.ask(one.cache.look(ADA), insist=True)
        assert not (look.copy and look.copy.current)
        one.cache.keep(slow, OLD)
        assert one.shown() is None
    finally:
        saved.unlink(missing_ok=True)


def full(redis: Redis) -> None:
    redis.config_set("maxmemory", 1)


def read_only(redis: Redis) -> None:
    redis.replicaof("127.0.0.1", 1)


@pytest.mark.parametrize("refusing", [full, read_only])
def test_a_redis_that_takes_nothing_shows_nothing_and_holds_nobody_up_for_long(
    one: Worker, other: Worker, redis: Redis, refusing: Callable[[Redis], None]
) -> None:
    one.kept(OLD)
    refusing(redis)
    try:
        began = time.monotonic()
        other.cache.changed("patient/7")
        assert time.monotonic() - began < EPOCH_SECONDS + SLACK
        assert one.shown() is other.shown() is None
        one.cache.keep(one.look(), NEW)
    finally:
        redis.config_set("maxmemory", 0)
        redis.replicaof("no", "one")
    assert one.shown() is None
    one.kept(NEW)
    assert other.shown() == NEW


def test_connections_that_broke_or_are_many_do_not_use_up_any(server: Server) -> None:
    """redis-py's pool counts a hundred, and those that broke for ever."""
    lines = RedisLines(redis_client(server.url, None))
    for _ in range(150):
        with pytest.raises(ZeroDivisionError):
            lines.send(Broken())
    with ThreadPoolExecutor(150) as crowd:
        assert set(crowd.map(lambda _: lines.send([("PING",)])[0], range(150))) == {b"PONG"}


class Broken(list[Any]):
    """Commands that fail on their way."""

    def __iter__(self) -> Iterator[Any]:
        raise ZeroDivisionError
