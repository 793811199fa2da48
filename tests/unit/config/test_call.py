"""Deadline, correlation id and idempotency key travel with every call."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import time_machine
from nameko.exceptions import deserialize, serialize
from nameko.messaging import HeaderDecoder

from config.messaging.call import Call, DeadlineExceeded, complete, headers_of, new_context

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NINE, tick=False) as clock:
        yield clock


def test_a_new_call_ends_after_its_seconds():
    context = new_context(correlation="abc", seconds=2.5, key="key")
    assert context["deadline"] == NINE.timestamp() + 2.5


def test_seconds_left_run_down_and_below_zero(clock):
    call = Call(correlation_id="abc", deadline=NINE.timestamp() + 2, key="key", context={})
    assert call.seconds_left == 2
    clock.shift(3)
    assert call.seconds_left == -1


def test_nameko_reads_back_what_the_headers_carry():
    context = new_context(correlation="abc", seconds=2.5, key="key")
    sent = json.loads(json.dumps(headers_of(context)))
    assert HeaderDecoder().unpack_message_headers(SimpleNamespace(headers=sent)) == context


def test_nothing_else_of_the_context_travels():
    context = new_context(correlation="abc", seconds=1, key="key") | {"started": 1, "user": "ada"}
    assert len(headers_of(context)) == 3
    assert "ada" not in headers_of(context).values()


def test_a_call_keeps_what_it_brought_along():
    context = brought = new_context(correlation="abc", seconds=1, key="key")
    complete(context, seconds=99, message_id="message")
    assert context == brought


def test_a_call_of_a_stock_client_goes_by_the_id_of_its_message():
    context = {}
    complete(context, seconds=5, message_id="message")
    assert context == {
        "correlation_id": "message",
        "idempotency_key": "message",
        "deadline": NINE.timestamp() + 5,
    }


def test_a_message_delivered_again_has_the_same_key():
    first, again = {}, {}
    complete(first, seconds=5, message_id="message")
    complete(again, seconds=5, message_id="message")
    assert first["idempotency_key"] == again["idempotency_key"]


def test_calls_without_any_id_are_told_apart():
    first, second = {}, {}
    complete(first, seconds=5)
    complete(second, seconds=5)
    assert first["idempotency_key"] != second["idempotency_key"]


@pytest.mark.parametrize("deadline", [None, "soon", "1803978000", [1]])
def test_a_deadline_that_is_no_number_is_replaced(deadline):
    context = {"deadline": deadline}
    complete(context, seconds=5)
    assert context["deadline"] == NINE.timestamp() + 5


@pytest.mark.parametrize("deadline", [0, 1.5, NINE.timestamp() - 1])
def test_a_deadline_that_is_over_stays_over(deadline):
    context = {"deadline": deadline}
    complete(context, seconds=5)
    assert context["deadline"] == deadline


def test_an_answer_that_was_kept_is_marked_in_the_context_of_the_call():
    context = new_context(correlation="abc", seconds=1, key="key")
    Call(correlation_id="abc", deadline=0, key="key", context=context).mark_replayed()
    assert context["replayed"] is True


def test_a_call_that_came_too_late_says_so_to_its_caller():
    arrived = deserialize(json.loads(json.dumps(serialize(DeadlineExceeded()))))
    assert type(arrived) is DeadlineExceeded
