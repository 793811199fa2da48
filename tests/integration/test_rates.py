"""Requests counted by several processes in a real Redis, and by each alone while there is none."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import Redis

from config.redis_client import redis_client
from config.redis_lines import RedisLines
from config.redis_trip import Trips
from config.settings import embedded_settings
from gateway.rates import DEFAULT, SEARCH, Rate, Rates

QUOTA = 200
SETTINGS = replace(
    embedded_settings(), rate_limit_per_minute=QUOTA, auth_rate_limit_per_minute=QUOTA
)
NOWHERE = "redis://127.0.0.1:1/0"


class Process:
    """One that counts."""

    def __init__(self, url: str) -> None:
        self._rates, self._trips = Rates(SETTINGS), Trips(RedisLines(redis_client(url, None)))

    def take(self, caller: str, rate_class: str = DEFAULT) -> Rate:
        (rate,) = self._trips.ask(self._rates.taking(rate_class, caller, known=True))
        taken: Rate = rate
        return taken


@pytest.fixture
def url(addresses: dict[str, str]) -> str:
    return addresses["REDIS_URL"]


@pytest.fixture
def caller() -> str:
    """Somebody who was not counted before."""
    return f"account/{random.randrange(10**12)}"


@pytest.fixture
def counts(url: str, caller: str) -> Iterator[Callable[[], list[bytes]]]:
    """The keys that hold this one's."""
    with Redis.from_url(url) as redis:
        yield lambda: list(redis.keys(f"*{caller}*"))


def test_processes_count_together_whoever_comes_when(url: str, caller: str) -> None:
    processes = [Process(url) for _ in range(4)]
    with ThreadPoolExecutor(20) as crowd:
        told = list(crowd.map(lambda number: processes[number % 4].take(caller), range(1000)))
    assert sum(rate.taken for rate in told) == QUOTA
    assert sorted(rate.remaining for rate in told if rate.taken) == list(range(QUOTA))
    assert {rate.remaining for rate in told if not rate.taken} == {0}
    assert all(1 <= rate.reset <= 60 for rate in told)


def test_of_a_window_that_begins_a_whole_minute_is_left(url: str, caller: str) -> None:
    assert (rate := Process(url).take(caller)).reset == 60
    assert rate.headers["RateLimit"] == f'"default";r={QUOTA - 1};t=60'


def test_counts_end_by_themselves_and_name_nobody(
    url: str, caller: str, counts: Callable[[], list[bytes]]
) -> None:
    Process(url).take(caller)
    with Redis.from_url(url) as redis:
        assert [0 < redis.pttl(key) <= 120_000 for key in counts()] == [True]


def test_classes_are_counted_apart(url: str, caller: str) -> None:
    process = Process(url)
    while process.take(caller, SEARCH).taken:
        pass
    assert process.take(caller).remaining == QUOTA - 1


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param(lambda redis, key: redis.rpush(key, b"a"), id="a list"),
        pytest.param(lambda redis, key: redis.set(key, b"many", px=60_000), id="no number"),
        pytest.param(lambda redis, key: redis.set(key, b"1e999", px=60_000), id="beyond numbers"),
        pytest.param(lambda redis, key: redis.set(key, 10**9), id="for ever"),
        pytest.param(lambda redis, key: redis.set(key, 10**9, px=10**9), id="for too long"),
        pytest.param(lambda redis, key: redis.set(key, -(10**9)), id="below none, for ever"),
    ],
)
@pytest.mark.parametrize("before", [False, True])
def test_a_count_that_none_of_us_wrote_is_forgotten(
    url: str, caller: str, counts: Callable[[], list[bytes]], poison: object, before: bool
) -> None:
    process = Process(url)
    process.take(caller)
    (key,) = counts()
    with Redis.from_url(url) as redis:
        spoilt = key + b"/-1" if before else key
        redis.delete(spoilt)
        poison(redis, spoilt)  # type: ignore[operator]
    told = [process.take(caller) for _ in range(3 * QUOTA)]
    # One is counted by the process alone.
    assert QUOTA - 1 <= sum(rate.taken for rate in told) <= QUOTA + 1
    assert told[0].taken and not told[-1].taken


def test_without_redis_each_process_counts_for_itself(caller: str) -> None:
    for process in (Process(NOWHERE), Process(NOWHERE)):
        told = [process.take(caller) for _ in range(2 * QUOTA)]
        assert [rate.taken for rate in told] == [True] * QUOTA + [False] * QUOTA
