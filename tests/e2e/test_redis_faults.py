"""Redis away, silent, emptied or full of nonsense: people sign in, and guessing stays slow."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

import httpx
import pytest
from redis import Redis
from redis.exceptions import RedisError

from config.servers import Server, servers_started
from gateway.throttle import REST_SECONDS
from tests.e2e.desk import eventually, problem
from tests.e2e.gateways import gateway_alone
from tests.systems import System
from tests.waiting import PATIENCE

PER_MINUTE = 4
# Each worker counts for itself while Redis is away.
WORKERS = 2
# Who waited for Redis would do so until the deadline, and then be refused.
CALL_SECONDS = PATIENCE / 2
SLOWEST = CALL_SECONDS / 2
WRONG = "not the password of anybody"


@dataclass(frozen=True)
class House:
    system: System
    server: Server

    def caller(self, address: str | None = None, token: str | None = None) -> httpx.Client:
        """From ``address``, or from one that nobody came from before."""
        client = self.system.caller(token)
        client.headers["X-Forwarded-For"] = address or new_address()
        return client

    def login(self) -> dict[str, str]:
        environ = self.system.environ
        return {"email": environ["ADMIN_EMAIL"], "password": environ["ADMIN_PASSWORD"]}

    def redis(self) -> Redis:
        return Redis.from_url(self.server.url)


def new_address() -> str:
    return str(IPv4Address(random.randrange(2**24, 2**31)))


@pytest.fixture(scope="module")
def house(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("redis-faults")
    given = {name: addresses[name] for name in ("AMQP_URI", "DATABASE_URL")}
    with ExitStack() as ending:
        servers = ending.enter_context(
            servers_started(folder=folder / "servers", environ=given, say=quiet)
        )
        server = servers["REDIS_URL"]
        system = ending.enter_context(
            gateway_alone(
                folder,
                addresses,
                name="redis_faults",
                REDIS_URL=server.url,
                TRUSTED_PROXIES="1",
                AUTH_RATE_LIMIT_PER_MINUTE=str(PER_MINUTE),
                CALL_SECONDS=str(CALL_SECONDS),
            )
        )
        house = House(system, server)
        with house.caller() as nobody:
            eventually(
                lambda: nobody.get("/readyz").json()["checks"]["gateway"] == "ok",
                what="the first administrator",
            )
        yield house


def quiet(line: str) -> None:
    """Nobody listens to the progress."""


Fault = Callable[[House], AbstractContextManager[None]]


@contextmanager
def killed(house: House) -> Iterator[None]:
    house.server.daemon.kill()
    try:
        yield
    finally:
        house.server.daemon.start_again()
        eventually(lambda: answers(house), what="Redis")


@contextmanager
def frozen(house: House) -> Iterator[None]:
    house.server.daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        house.server.daemon.signal(signal.SIGCONT)


@contextmanager
def flushed(house: House) -> Iterator[None]:
    with house.redis() as redis:
        redis.flushall()
    yield


@contextmanager
def poisoned(house: House) -> Iterator[None]:
    """Under every key there is what no limiter wrote there."""
    nonsense: list[Callable[[Redis, bytes], object]] = [
        lambda redis, key: redis.rpush(key, b"a", b"list"),
        lambda redis, key: redis.set(key, random.randbytes(64)),
        lambda redis, key: redis.set(key, 10**12),
        lambda redis, key: redis.set(key, -1, px=10),
        lambda redis, key: redis.set(key, "1e999", ex=90),
        lambda redis, key: redis.hset(key, "a", "hash"),
    ]
    with house.redis() as redis:
        for number, key in enumerate(redis.keys("*")):
            redis.delete(key)
            nonsense[number % len(nonsense)](redis, key)
    yield


def answers(house: House) -> bool:
    try:
        with house.redis() as redis:
            return bool(redis.ping())
    except (OSError, RedisError):
        return False


@pytest.fixture(scope="module", params=[flushed, poisoned, killed, frozen])
def fault(request: pytest.FixtureRequest) -> Iterator[Fault]:
    yield request.param
    if request.param in (killed, frozen):
        # The next fault is to meet workers that ask Redis again.
        time.sleep(REST_SECONDS)


def test_who_knows_the_password_signs_in_and_nobody_waits_long(house: House, fault: Fault) -> None:
    with house.caller() as client, fault(house):
        for _ in range(3):
            began = time.monotonic()
            assert client.post("/auth/login", json=house.login()).status_code == 200
            assert time.monotonic() - began < SLOWEST


def test_guessing_from_one_address_is_slowed_down(house: House, fault: Fault) -> None:
    guess = {**house.login(), "password": WRONG}
    with house.caller() as client:
        # So that there is a count, which the fault may then spoil.
        assert client.post("/auth/login", json=guess).status_code == 401
        with fault(house):
            told = [client.post("/auth/login", json=guess) for _ in range(4 * PER_MINUTE)]
    statuses = Counter(answer.status_code for answer in told)
    assert statuses.keys() == {401, 429}
    assert statuses[401] <= (WORKERS + 1) * PER_MINUTE
    refused = next(answer for answer in told if answer.status_code == 429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 120
    problem(refused, 429, "too_many_attempts")


def test_a_token_that_was_given_back_stays_worthless(house: House, fault: Fault) -> None:
    with house.caller() as client:
        token = client.post("/auth/login", json=house.login()).json()["accessToken"]
    with house.caller(token=token) as client:
        assert client.post("/auth/logout").status_code == 204
        with fault(house):
            assert client.get("/accounts").status_code == 401


def test_all_workers_count_together_again_once_redis_is_back(house: House) -> None:
    with frozen(house), house.caller() as client:
        assert client.post("/auth/login", json=house.login()).status_code == 200
    guess = {**house.login(), "password": WRONG}

    def count_together() -> bool:
        with house.caller() as client:
            told = [client.post("/auth/login", json=guess) for _ in range(2 * PER_MINUTE)]
        statuses = Counter(answer.status_code for answer in told)
        return statuses == {401: PER_MINUTE, 429: PER_MINUTE}

    eventually(count_together, every=REST_SECONDS / 4, what="one count")
