"""When a kind of call that fails is left alone, and when it is tried again."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from prometheus_client import REGISTRY

from config.breaker import FAILURES, OPEN_SECONDS, Breakers
from config.messaging.client import NoAnswer

NINE = datetime(2027, 3, 4, 9, tzinfo=UTC)
GET, FIND, OTHER = ("patient", "get"), ("patient", "find"), ("doctor", "get")
CALL_SECONDS = 20.0
# A part of a second that adds up without rounding.
MOMENT = 2**-10


class Clock:
    """Stands still, or goes on a little each time that it is read."""

    now, tick = 1000.0, 0.0

    def __call__(self):
        self.now += self.tick
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breakers(clock):
    return Breakers(clock=clock)


def admit(breakers, kind=GET):
    return breakers[kind].admit(seconds=CALL_SECONDS)


def fail(breakers, kind=GET, *, times=1):
    for _ in range(times):
        admit(breakers, kind).failed(NoAnswer("patient"))


def admitted(breakers, kind=GET):
    """Whether a call that nothing will be heard of may be made."""
    permit = admit(breakers, kind)
    if permit:
        with permit:
            pass
    return permit is not None


def half_open(breakers, clock):
    fail(breakers, times=FAILURES)
    clock.now += OPEN_SECONDS


def test_a_peer_that_answers_is_always_asked(breakers):
    for _ in range(3 * FAILURES):
        admit(breakers).succeeded()
    assert admitted(breakers)


def test_one_failure_less_than_the_limit_changes_nothing(breakers):
    fail(breakers, times=FAILURES - 1)
    assert admitted(breakers)


def test_after_five_failures_in_a_row_it_is_not_asked(breakers):
    fail(breakers, times=5)
    assert not admitted(breakers)


def test_an_answer_between_failures_starts_the_count_again(breakers):
    fail(breakers, times=FAILURES - 1)
    admit(breakers).succeeded()
    fail(breakers, times=FAILURES - 1)
    assert admitted(breakers)


def test_failures_of_one_kind_of_call_shut_out_no_other(breakers):
    fail(breakers, times=FAILURES)
    assert admitted(breakers, FIND) and admitted(breakers, OTHER)


def test_any_kind_of_failure_counts(breakers):
    for _ in range(FAILURES):
        admit(breakers).failed(OSError())
    assert not admitted(breakers)


def test_a_call_that_nothing_was_heard_of_counts_neither_way(breakers):
    fail(breakers, times=FAILURES - 1)
    assert admitted(breakers)
    fail(breakers)
    assert not admitted(breakers)


def test_a_late_success_of_an_older_call_does_not_close_it(breakers):
    older = admit(breakers)
    fail(breakers, times=FAILURES)
    older.succeeded()
    assert not admitted(breakers)


def test_it_refuses_until_its_time_is_over_and_then_lets_a_call_try(breakers, clock):
    fail(breakers, times=FAILURES)
    clock.now += OPEN_SECONDS - MOMENT
    assert not admitted(breakers)
    clock.now += MOMENT
    assert admitted(breakers)


def test_while_one_call_tries_no_other_does(breakers, clock):
    half_open(breakers, clock)
    assert admit(breakers)
    clock.now += CALL_SECONDS - MOMENT
    assert not admitted(breakers)


def test_of_many_threads_at_once_one_may_try(breakers, clock):
    half_open(breakers, clock)
    permits, barrier = [], threading.Barrier(20)

    def ask():
        barrier.wait()
        permits.append(admit(breakers))

    together(*[ask] * 20)
    assert len(permits) == 20 and len([each for each in permits if each]) == 1


def test_a_trial_that_goes_well_forgives_all_failures(breakers, clock):
    half_open(breakers, clock)
    admit(breakers).succeeded()
    fail(breakers, times=FAILURES - 1)
    assert admitted(breakers)


def test_a_trial_that_fails_opens_it_for_its_whole_time_again(breakers, clock):
    half_open(breakers, clock)
    fail(breakers)
    clock.now += OPEN_SECONDS - MOMENT
    assert not admitted(breakers)
    clock.now += MOMENT
    assert admitted(breakers)


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_while_one_call_tries_the_outcome_of_an_older_one_says_nothing(breakers, clock, outcome):
    older = admit(breakers)
    half_open(breakers, clock)
    trial = admit(breakers)
    older.succeeded() if outcome == "succeeded" else older.failed(NoAnswer("patient"))
    assert breakers.states() == {"patient.get": "half-open"}
    assert not admitted(breakers)
    trial.succeeded()
    assert breakers.states() == {}


def test_a_trial_that_ends_without_an_outcome_leaves_the_next_call_to_try(breakers, clock):
    half_open(breakers, clock)
    with admit(breakers):
        assert not admitted(breakers)
    assert admit(breakers)


def test_a_trial_that_is_never_heard_of_again_does_not_keep_others_out_for_ever(breakers, clock):
    half_open(breakers, clock)
    lost = admit(breakers)
    clock.now += CALL_SECONDS
    trial = admit(breakers)
    lost.succeeded()
    assert breakers.states() == {"patient.get": "half-open"}
    trial.succeeded()
    assert breakers.states() == {}


def test_with_nobody_trying_the_next_call_may_however_finely_the_clock_ticks(breakers, clock):
    clock.tick = MOMENT
    half_open(breakers, clock)
    for _ in range(100):
        assert admitted(breakers)


def test_a_step_of_the_time_of_day_changes_nothing(monkeypatch):
    # Long enough for a busy machine, and short of the step.
    monkeypatch.setattr("config.breaker.OPEN_SECONDS", 3600)
    breakers = Breakers()
    with time_machine.travel(NINE) as time_of_day:
        fail(breakers, times=FAILURES)
        time_of_day.shift(timedelta(days=1))
        assert not admitted(breakers)


def test_outcomes_told_from_many_threads_are_all_counted(breakers):
    permits = [admit(breakers) for _ in range(FAILURES)]
    together(*[lambda permit=each: permit.failed(OSError()) for each in permits])
    assert not admitted(breakers)


def together(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_states_name_those_that_are_not_closed(breakers, clock):
    admit(breakers, OTHER).succeeded()
    fail(breakers, FIND, times=FAILURES)
    half_open(breakers, clock)
    assert admit(breakers)
    assert breakers.states() == {"patient.find": "open", "patient.get": "half-open"}


def test_operators_see_from_its_opening_to_its_closing_that_calls_are_left_alone(breakers, clock):
    def shown():
        return REGISTRY.get_sample_value(
            "clinic_breaker_open", {"service": "patient", "method": "get"}
        )

    admit(breakers).succeeded()
    assert shown() == 0
    half_open(breakers, clock)
    assert shown() == 1
    trial = admit(breakers)
    assert shown() == 1
    trial.succeeded()
    assert shown() == 0
