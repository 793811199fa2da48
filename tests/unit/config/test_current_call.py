"""A service knows the call it works on, and leaves one line about it."""

import contextvars
import logging
import sys
from functools import partial
from types import SimpleNamespace

import pytest
from nameko.rpc import Rpc
from nameko.timer import Timer

from config.logs import correlation_id
from config.messaging.call import CHECKED_CALLER, new_context
from config.messaging.caller import SYSTEM, Caller
from config.messaging.current_call import CurrentCall, call_of


class Refused(Exception):
    pass


def worker_of(context, expected_exceptions=Refused, kind=Rpc):
    entrypoint = kind(expected_exceptions=expected_exceptions)
    entrypoint.method_name = "create"
    return SimpleNamespace(
        data=context,
        container=SimpleNamespace(config={"CALL_SECONDS": 5}),
        service_name="patient",
        entrypoint=entrypoint,
    )


def line_about(caplog, error=None, **entrypoint):
    """The log record that a call leaves which ends in ``error``."""
    context = new_context(correlation="abc", seconds=1, key="key")
    context[CHECKED_CALLER] = Caller("patient", 7, 41)
    worker, calls = worker_of(context, **entrypoint), CurrentCall()

    def work():
        calls.worker_setup(worker)
        try:
            if error is not None:
                raise error
            calls.worker_result(worker, result={"id": 1})
        except Exception:
            calls.worker_result(worker, exc_info=sys.exc_info())

    with caplog.at_level(logging.INFO, logger="service"):
        contextvars.copy_context().run(work)
    (record,) = caplog.records
    return record


def test_a_call_is_made_of_what_travelled_with_it():
    context = new_context(correlation="abc", seconds=1, key="key")
    call = call_of(worker_of(context))
    assert (call.correlation_id, call.deadline, call.key) == ("abc", context["deadline"], "key")


def test_a_timer_gets_a_call_of_its_own_that_stays_the_same():
    worker = worker_of({})
    first = call_of(worker)
    assert first.seconds_left == pytest.approx(5, abs=1)
    assert call_of(worker) == first


def test_a_timers_call_is_the_systems_own():
    assert call_of(worker_of({})).caller == SYSTEM


def test_a_call_knows_its_checked_caller():
    context = new_context(correlation="abc", seconds=1, key="key")
    ada = Caller("patient", 7, 41)
    assert call_of(worker_of(context | {CHECKED_CALLER: ada})).caller == ada


def test_a_call_does_not_believe_a_name_that_nobody_checked():
    context = new_context(correlation="abc", seconds=1, key="key", caller="admin")
    assert call_of(worker_of(context)).caller == SYSTEM


def test_a_mark_on_the_call_is_there_for_the_reply():
    worker = worker_of({})
    CurrentCall().get_dependency(worker).mark_replayed()
    assert worker.data["replayed"] is True


def test_a_timers_round_is_of_no_interest_unless_it_fails(caplog):
    caplog.set_level(logging.DEBUG, logger="service")
    calls, worker = CurrentCall(), worker_of({}, kind=partial(Timer, 60))

    def work():
        call_of(worker)
        calls.worker_setup(worker)
        calls.worker_result(worker)
        calls.worker_result(worker, exc_info=(OSError, OSError(), None))

    contextvars.copy_context().run(work)
    mine = [record.levelname for record in caplog.records if record.name == "service"]
    assert mine == ["DEBUG", "ERROR"]


def test_what_a_service_logs_carries_the_correlation_id_of_its_call():
    seen = []
    worker = worker_of(new_context(correlation="abc", seconds=1, key="key"))

    def work():
        CurrentCall().worker_setup(worker)
        seen.append(correlation_id.get())

    contextvars.copy_context().run(work)
    assert seen == ["abc"]


def test_a_call_that_went_well_leaves_its_method_and_its_duration(caplog):
    line = line_about(caplog)
    assert (line.levelname, line.method, line.outcome) == ("INFO", "patient.create", "ok")
    assert 0 <= line.ms < 1000


def test_the_line_says_who_called_by_account_and_not_by_name(caplog):
    assert line_about(caplog).caller == "account/7"


def test_an_expected_refusal_leaves_its_class_and_no_trace(caplog):
    line = line_about(caplog, Refused("Ada Byron"))
    assert (line.levelname, line.outcome, line.exc_info) == ("INFO", "Refused", None)


@pytest.mark.parametrize("expected", [Refused, ()])
def test_an_unexpected_error_leaves_a_trace(caplog, expected):
    line = line_about(caplog, KeyError("Ada Byron"), expected_exceptions=expected)
    assert (line.levelname, line.outcome) == ("ERROR", "KeyError")
    assert line.exc_info[0] is KeyError
