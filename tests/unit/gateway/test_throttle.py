"""How often strangers may try one account, and one e-mail addresses; nobody pays for others."""

import logging

import pytest
import time_machine
from limits.storage import MemoryStorage
from redis.exceptions import ConnectionError as RedisUnreachable

from gateway.throttle import REST_SECONDS, STRANGERS, AttemptLimits
from schemas.errors import TooManyAttempts

PER_MINUTE = 3


@pytest.fixture(autouse=True)
def clock():
    """At the beginning of a window, so that a test does not run over its end."""
    with time_machine.travel("2027-03-01T09:00:00Z", tick=False) as travelled:
        yield travelled


@pytest.fixture
def limits():
    return AttemptLimits(None, per_minute=PER_MINUTE)


def sign_in(limits, *, account="ada", familiar=False):
    limits.sign_in(account=account, familiar=familiar)


def own_record(limits, *, account="ada"):
    limits.own_record(account=account)


def refusal(attempt, limits, **who):
    with pytest.raises(TooManyAttempts) as refused:
        attempt(limits, **who)
    return refused.value


def test_strangers_together_may_try_one_account_so_often(limits):
    for _ in range(PER_MINUTE * STRANGERS):
        sign_in(limits)
    refusal(sign_in, limits)
    sign_in(limits, account="another")


def test_strangers_do_not_lock_the_owner_out(limits):
    for _ in range(PER_MINUTE * STRANGERS):
        sign_in(limits)
    refusal(sign_in, limits)
    sign_in(limits, familiar=True)


def test_the_owners_own_attempts_are_none_of_strangers(limits):
    for _ in range(PER_MINUTE * STRANGERS + 1):
        sign_in(limits, familiar=True)
    sign_in(limits)


def test_changes_of_ones_own_record_are_counted(limits):
    for _ in range(PER_MINUTE):
        own_record(limits)
    refusal(own_record, limits)
    own_record(limits, account="bo")


def test_attempts_are_counted_for_each_purpose_apart(limits):
    for _ in range(PER_MINUTE):
        own_record(limits)
    refusal(own_record, limits)
    for _ in range(PER_MINUTE * STRANGERS):
        sign_in(limits)
    refusal(sign_in, limits)
    own_record(limits, account="another")
    sign_in(limits, account="another")


def test_a_refusal_says_when_the_next_attempt_is_worth_making(limits, clock):
    for _ in range(PER_MINUTE):
        own_record(limits)
    seconds = refusal(own_record, limits).seconds
    assert 1 <= seconds <= 60
    # A window slides: what was tried in it counts less and less in the next.
    clock.shift(seconds + 60)
    own_record(limits)


@pytest.mark.parametrize("shift", [0, 0.1, 59.9, 59.999])
def test_it_never_says_at_once(limits, clock, shift):
    clock.shift(shift)
    for _ in range(PER_MINUTE):
        own_record(limits)
    refused = refusal(own_record, limits)
    assert refused.seconds >= 1
    assert str(refused.seconds) in str(refused)


class FailingStorage(MemoryStorage):
    """Redis that answers until it is told not to."""

    fails, asked = False, 0

    def acquire_sliding_window_entry(self, *args, **kwargs):
        self._check()
        return super().acquire_sliding_window_entry(*args, **kwargs)

    def get_sliding_window(self, *args, **kwargs):
        self._check()
        return super().get_sliding_window(*args, **kwargs)

    def _check(self):
        self.asked += 1
        if self.fails:
            raise RedisUnreachable("redis://:jumpy@redis:6379")


class Seconds:
    """A clock that is told the time."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_processes_that_share_a_storage_count_together():
    shared = MemoryStorage()
    one, other = (AttemptLimits(shared, per_minute=PER_MINUTE) for _ in range(2))
    for _ in range(PER_MINUTE):
        own_record(one)
    refusal(own_record, other)


@pytest.mark.parametrize("from_the_start", [True, False])
def test_while_redis_does_not_answer_a_process_counts_alone(caplog, from_the_start):
    shared = FailingStorage()
    limits = AttemptLimits(shared, per_minute=PER_MINUTE)
    if not from_the_start:
        for _ in range(PER_MINUTE):
            own_record(limits)
    shared.fails = True
    with caplog.at_level(logging.WARNING):
        for _ in range(PER_MINUTE):
            own_record(limits)
        assert refusal(own_record, limits).seconds >= 1
    mine = {record.message for record in caplog.records if record.name == "throttle"}
    assert mine == {"counting alone"}
    assert "jumpy" not in caplog.text


def test_a_redis_that_did_not_answer_is_left_alone_for_a_while():
    shared, now = FailingStorage(), Seconds()
    limits = AttemptLimits(shared, per_minute=PER_MINUTE, clock=now)
    shared.fails = True
    for _ in range(PER_MINUTE):
        own_record(limits)
    assert shared.asked == 1
    now.seconds += REST_SECONDS
    refusal(own_record, limits)
    assert shared.asked == 2


def test_when_redis_answers_again_its_count_is_the_one():
    shared, now = FailingStorage(), Seconds()
    limits = AttemptLimits(shared, per_minute=PER_MINUTE, clock=now)
    for _ in range(PER_MINUTE):
        own_record(limits)
    shared.fails = True
    own_record(limits)
    shared.fails = False
    now.seconds += REST_SECONDS
    refusal(own_record, limits)


class Poisoned(MemoryStorage):
    """A Redis in which somebody has written what is no count."""

    def get_sliding_window(self, key, expiry=None):
        raise ValueError("could not convert string to float: '1e999'")

    acquire_sliding_window_entry = get_sliding_window


class Unending(MemoryStorage):
    """A Redis in which somebody has written a count that does not end."""

    counts = True

    def acquire_sliding_window_entry(self, *args, **kwargs):
        return not self.counts and super().acquire_sliding_window_entry(*args, **kwargs)

    def get_sliding_window(self, key, expiry=None):
        return (0, 0.0, 10**9, 0.0) if self.counts else super().get_sliding_window(key, expiry)

    def clear_sliding_window(self, key, expiry):
        self.counts = False


def test_a_count_that_never_ends_locks_nobody_out_for_longer_than_an_attempt():
    limits = AttemptLimits(Unending(), per_minute=PER_MINUTE)
    refusal(own_record, limits)
    for _ in range(PER_MINUTE):
        own_record(limits)
    refusal(own_record, limits)


def test_what_is_no_count_is_not_taken_for_one():
    limits = AttemptLimits(Poisoned(), per_minute=PER_MINUTE)
    for _ in range(PER_MINUTE):
        own_record(limits)
    assert refusal(own_record, limits)
