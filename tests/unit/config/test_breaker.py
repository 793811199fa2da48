"""When a peer that fails is left in peace, and when it is tried again."""

import threading
from datetime import UTC, datetime, timedelta

import time_machine

from config.breaker import FAILURES, OPEN_SECONDS, Breakers
from config.messaging.client import NoAnswer

NINE = datetime(2027, 3, 4, 9, tzinfo=UTC)


def fail(breakers, peer, *, times):
    for _ in range(times):
        breakers[peer].failed(NoAnswer(peer))


def test_a_peer_that_answers_is_always_asked():
    breakers = Breakers()
    for _ in range(3 * FAILURES):
        breakers["patient"].succeeded()
    assert not breakers["patient"].refuses


def test_one_failure_less_than_the_limit_changes_nothing():
    breakers = Breakers()
    fail(breakers, "patient", times=FAILURES - 1)
    assert not breakers["patient"].refuses


def test_after_five_failures_in_a_row_the_peer_is_not_asked():
    breakers = Breakers()
    fail(breakers, "patient", times=5)
    assert breakers["patient"].refuses


def test_an_answer_between_failures_starts_the_count_again():
    breakers = Breakers()
    fail(breakers, "patient", times=FAILURES - 1)
    breakers["patient"].succeeded()
    fail(breakers, "patient", times=FAILURES - 1)
    assert not breakers["patient"].refuses


def test_failures_of_one_peer_do_not_shut_out_another():
    breakers = Breakers()
    fail(breakers, "patient", times=FAILURES)
    assert not breakers["doctor"].refuses


def test_any_kind_of_failure_counts():
    breakers = Breakers()
    for _ in range(FAILURES):
        breakers["patient"].failed(OSError())
    assert breakers["patient"].refuses


def test_a_peer_keeps_its_breaker():
    breakers = Breakers()
    assert breakers["patient"] is breakers["patient"]


def test_a_late_success_of_an_older_call_does_not_close_it():
    breakers = Breakers()
    fail(breakers, "patient", times=FAILURES)
    breakers["patient"].succeeded()
    assert breakers["patient"].refuses


def test_it_refuses_until_its_time_is_over_and_then_lets_a_call_try():
    breakers = Breakers()
    with time_machine.travel(NINE, tick=False) as clock:
        fail(breakers, "patient", times=FAILURES)
        clock.shift(timedelta(seconds=OPEN_SECONDS) - timedelta(milliseconds=1))
        assert breakers["patient"].refuses
        clock.shift(timedelta(milliseconds=1))
        assert not breakers["patient"].refuses


def test_a_trial_that_goes_well_forgives_all_failures():
    breakers = Breakers()
    with time_machine.travel(NINE, tick=False) as clock:
        fail(breakers, "patient", times=FAILURES)
        clock.shift(timedelta(seconds=OPEN_SECONDS))
        breakers["patient"].succeeded()
        fail(breakers, "patient", times=FAILURES - 1)
        assert not breakers["patient"].refuses


def test_a_trial_that_fails_opens_it_for_its_whole_time_again():
    breakers = Breakers()
    with time_machine.travel(NINE, tick=False) as clock:
        fail(breakers, "patient", times=FAILURES)
        clock.shift(timedelta(seconds=OPEN_SECONDS))
        fail(breakers, "patient", times=1)
        clock.shift(timedelta(seconds=OPEN_SECONDS - 1))
        assert breakers["patient"].refuses


def test_outcomes_told_from_many_threads_are_all_counted():
    breakers = Breakers()
    threads = [
        threading.Thread(target=fail, args=(breakers, "patient"), kwargs={"times": 1})
        for _ in range(FAILURES)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breakers["patient"].refuses
