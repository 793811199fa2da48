"""One trip to Redis for all that a request wants of it, and what becomes of one that fails."""

import logging
from dataclasses import replace

import pytest
from redis.exceptions import ConnectionError as RedisUnreachable
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisSilent

from config.redis_trip import REST_SECONDS, UNTRIED_SECONDS, Question, Script, Trips

COUNT, ECHO = Script("return count"), Script("return echo")


class FakeRedis:
    """Knows the scripts that it was sent; ``answers`` by text. What is in ``fails`` is raised by
    the next trip, ``meanwhile`` is done during each."""

    def __init__(self):
        self.answers = {COUNT.text: 1, ECHO.text: b"echo"}
        self.known = {}
        self.fails = None
        self.meanwhile = lambda: None
        self.trips = 0
        self.deleted = []

    def send(self, commands):
        if [each[0] for each in commands] == ["DEL"]:
            return self.delete(*commands[0][1:])
        self.trips += 1
        self.meanwhile()
        if self.fails:
            raise self.fails
        return [self._answer(*each) for each in commands]

    def delete(self, *keys):
        self.deleted += keys

    def _answer(self, how, script, *rest):
        if how == "DEL":
            return self.delete(script, *rest)
        if how == "EVAL":
            self.known[Script(script).sha] = script
        else:
            script = self.known.get(script)
        return self.answers[script] if script else NoScriptError()


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def redis():
    """That knows the scripts already."""
    redis = FakeRedis()
    redis.known = {each.sha: each.text for each in (COUNT, ECHO)}
    return redis


@pytest.fixture
def trips(redis, clock):
    return Trips(redis, clock=clock)


def count(read=int):
    return Question(script=COUNT, keys=("count",), read=read, alone=lambda: "alone")


def echo():
    return Question(script=ECHO, keys=("echo",), read=bytes, alone=lambda: b"alone")


def test_all_that_is_asked_takes_one_trip(trips, redis):
    assert trips.ask(count(), echo()) == [1, b"echo"]
    assert redis.trips == 1 and redis.deleted == []


def test_without_a_redis_this_process_is_always_alone():
    assert Trips(None).ask(count(), echo()) == ["alone", b"alone"]
    assert Trips(None).lost_seconds() > REST_SECONDS


def test_a_redis_that_was_started_anew_is_told_what_to_run(trips, redis):
    del redis.known[COUNT.sha]
    assert trips.ask(echo(), count()) == [b"echo", 1]
    assert trips.ask(echo(), count()) == [b"echo", 1]
    assert redis.trips == 3


def test_what_it_kept_over_its_start_is_not_believed(trips, redis):
    redis.known = {}
    trips.ask(count(), echo())
    assert redis.deleted == ["count", "echo"]


def test_what_lasts_is_believed(trips, redis):
    redis.known = {}
    assert trips.ask(count(), replace(echo(), lasts=True)) == [1, b"echo"]
    assert redis.deleted == ["count"]
    redis.known, redis.deleted = {}, []
    trips.ask(replace(echo(), lasts=True))
    assert redis.deleted == []


@pytest.mark.parametrize(
    "failure", [RedisUnreachable("redis://:jumpy@redis"), RedisSilent("jumpy"), OSError("jumpy"),
                ResponseError("jumpy")],
)
def test_who_is_not_answered_goes_on_alone(trips, redis, caplog, failure):
    redis.fails = failure
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert trips.ask(count(), echo(), insist=True) == ["alone", b"alone"]
    mine = [record.message for record in caplog.records if record.name == "redis"]
    assert mine == ["going on alone"]
    assert "jumpy" not in caplog.text


def test_a_redis_that_did_not_answer_is_left_alone_for_a_while(trips, redis, clock):
    redis.fails = RedisSilent()
    trips.ask(count())
    redis.fails = None
    clock.now += REST_SECONDS - 0.1
    assert trips.ask(count()) == ["alone"] and redis.trips == 1
    clock.now += 0.1
    assert trips.ask(count()) == [1] and redis.trips == 2


def test_who_insists_asks_a_redis_that_is_left_alone_and_then_all_do(trips, redis):
    redis.fails = RedisSilent()
    trips.ask(count())
    redis.fails = None
    assert trips.ask(count(), insist=True) == [1]
    assert trips.ask(count()) == [1]


def test_while_one_tries_whether_it_is_back_nobody_else_waits(trips, redis, clock):
    redis.fails = RedisSilent()
    trips.ask(count())
    clock.now += REST_SECONDS
    told = []
    redis.meanwhile = lambda: told.append(trips.ask(count()))
    trips.ask(count())
    assert told == [["alone"]]


def test_it_is_lost_from_the_first_try_that_failed_until_one_succeeds(trips, redis, clock):
    assert trips.lost_seconds() == 0

    def silent():
        clock.now += 0.5

    redis.fails, redis.meanwhile = RedisSilent(), silent
    trips.ask(count())
    assert trips.lost_seconds() == 0.5
    trips.ask(count(), insist=True)
    assert trips.lost_seconds() == 1
    redis.fails = None
    trips.ask(count(), insist=True)
    assert trips.lost_seconds() == 0


def test_who_did_not_try_for_a_time_cannot_tell_that_it_was_lost_meanwhile(trips, redis, clock):
    redis.fails = RedisSilent()
    trips.ask(count())
    clock.now += UNTRIED_SECONDS + 0.1
    trips.ask(count(), insist=True)
    assert trips.lost_seconds() == 0.0
    clock.now += UNTRIED_SECONDS
    trips.ask(count(), insist=True)
    assert trips.lost_seconds() == pytest.approx(UNTRIED_SECONDS)


@pytest.mark.parametrize(
    "answer", [b"no number", None, [], ResponseError("WRONGTYPE jumpy"), ResponseError("OOM")]
)
def test_what_none_of_us_wrote_is_forgotten_and_the_rest_is_told(trips, redis, caplog, answer):
    redis.answers[COUNT.text] = answer
    with caplog.at_level(logging.WARNING):
        assert trips.ask(count(), echo()) == ["alone", b"echo"]
    assert redis.deleted == ["count"] and "jumpy" not in caplog.text
    # It did answer.
    assert trips.lost_seconds() == 0


def test_a_redis_that_forgets_nothing_does_no_harm(trips, redis):
    def refuse(*keys):
        raise ResponseError("READONLY")

    redis.answers[COUNT.text], redis.delete = None, refuse
    assert trips.ask(count(), echo()) == ["alone", b"echo"]


def test_a_mistake_of_our_own_is_not_passed_over(trips, redis):
    def mistaken(answer):
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        trips.ask(count(read=mistaken))
