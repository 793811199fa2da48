"""Deadline, correlation id and idempotency key travel with every call."""

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import time_machine
from nameko.exceptions import MalformedRequest, deserialize, serialize
from nameko.messaging import HeaderDecoder

from config.keys import KeyRing, parse_ring
from config.messaging.call import (
    CHECKED_CALLER,
    Call,
    DeadlineExceeded,
    complete,
    headers_of,
    new_context,
    receive,
)
from config.messaging.caller import OPERATOR, Caller, signed

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
NEW = "2:hTq0bVx4ZkR7mWc9JfNs2LgYpD5aEu8i"
OLD = "1:Zp3rKd8sWq1vXn6yBt4mHc9gLf2jUa7e"
RING = parse_ring(OLD)
ADA = Caller("patient", 7, 41)


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


@pytest.mark.parametrize(
    "deadline",
    [
        None, True, "soon", "1803978000", [1], {}, b"1", float("nan"), float("inf"), -float("inf"),
        1e300, 10**400, -(10**400),
    ],
    ids=repr,
)
def test_a_deadline_that_is_no_number_is_replaced(deadline):
    context = {"deadline": deadline}
    complete(context, seconds=5)
    assert context["deadline"] == NINE.timestamp() + 5


@pytest.mark.parametrize("deadline", [0, 1.5, NINE.timestamp() - 1])
def test_a_deadline_that_is_over_stays_over(deadline):
    context = {"deadline": deadline}
    complete(context, seconds=5)
    assert context["deadline"] == deadline


def received(sent, *, ring=RING, message_id="message"):
    return receive(sent, seconds=5, ring=ring, message_id=message_id)


def sent_by(caller, *, correlation="abc", ring=RING):
    """What another program sends along with a call of ``caller``."""
    name = signed(caller, correlation=correlation, key="key", ring=ring)
    return new_context(correlation=correlation, seconds=2, key="key", caller=name)


def test_only_what_travels_is_kept_of_what_was_sent():
    sent = sent_by(ADA) | {"started": 1, "replayed": True, "language": "de", "user_id": 1}
    assert received(sent) == sent_by(ADA) | {CHECKED_CALLER: ADA}


def test_nobody_can_send_a_caller_as_checked_already():
    assert received({CHECKED_CALLER: Caller("admin", 1)})[CHECKED_CALLER] == OPERATOR


def test_a_call_that_names_no_caller_is_an_operators():
    context = received({})
    assert context[CHECKED_CALLER] == OPERATOR
    assert context["correlation_id"] == context["idempotency_key"] == "message"
    assert context["deadline"] == NINE.timestamp() + 5


def test_what_was_received_is_the_receivers_own():
    sent = {}
    received(sent)
    assert sent == {}


def test_a_caller_travels_on_to_the_next_service():
    context = received(sent_by(ADA))
    onward = HeaderDecoder().unpack_message_headers(SimpleNamespace(headers=headers_of(context)))
    assert CHECKED_CALLER not in onward
    assert received(onward)[CHECKED_CALLER] == ADA


def assert_refused(sent, *, ring=RING):
    with pytest.raises(MalformedRequest) as refused:
        received(sent, ring=ring)
    assert str(refused.value) == "the caller is not signed"


def test_a_callers_name_replayed_with_another_call_is_refused():
    assert_refused(sent_by(ADA) | {"correlation_id": "abd"})


def test_a_callers_name_without_the_id_it_was_signed_for_is_refused():
    sent = sent_by(ADA)
    del sent["correlation_id"]
    assert_refused(sent)


def test_a_correlation_id_of_no_proper_form_is_not_what_a_caller_was_signed_for():
    assert_refused(sent_by(ADA, correlation="a b"))


@pytest.mark.parametrize(
    "forged",
    ["", "admin", None, 7, True, float("nan"), ["admin"], {"role": "admin"}, "\ud800", "x" * 10**6],
    ids=lambda forged: f"{forged!a:.12}",
)
def test_a_forged_caller_is_refused_and_not_taken_for_an_operator(forged):
    assert_refused(sent_by(ADA) | {"caller": forged})


def test_keys_rotate_without_a_call_being_lost():
    sent = sent_by(ADA)
    assert received(sent, ring=parse_ring(f"{NEW},{OLD}"))[CHECKED_CALLER] == ADA
    assert_refused(sent, ring=parse_ring(NEW))


def test_without_keys_nobody_is_believed():
    assert_refused(sent_by(ADA), ring=KeyRing())
    assert received({}, ring=KeyRing())[CHECKED_CALLER] == OPERATOR


ODD = [None, "", 0, True, float("nan"), 10**400, [], ["x"], {}, {"x": "y"}, b"x", "x" * 10**6,
       "\ud800", "a\nb", "Übel", "\0"]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd!a:.12}")
@pytest.mark.parametrize("name", ["correlation_id", "idempotency_key"])
def test_an_id_of_no_proper_form_gives_way_to_the_messages_own(name, odd):
    assert received({name: odd})[name] == "message"


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd!a:.12}")
def test_a_messages_own_id_of_no_proper_form_gives_way_to_a_new_one(odd):
    context = received({}, message_id=odd)
    assert re.fullmatch("[0-9a-f-]{36}", context["correlation_id"])
    assert re.fullmatch("[0-9a-f-]{36}", context["idempotency_key"])


def test_the_longest_ids_are_kept():
    sent = {"correlation_id": "x" * 64, "idempotency_key": "!" * 255}
    context = received(sent)
    assert {name: context[name] for name in sent} == sent
    longer = {name: f"{value}x" for name, value in sent.items()}
    assert not set(received(longer).values()) & set(longer.values())


def test_an_answer_that_was_kept_is_marked_in_the_context_of_the_call():
    context = new_context(correlation="abc", seconds=1, key="key")
    Call(correlation_id="abc", deadline=0, key="key", context=context).mark_replayed()
    assert context["replayed"] is True


def test_a_call_that_came_too_late_says_so_to_its_caller():
    arrived = deserialize(json.loads(json.dumps(serialize(DeadlineExceeded()))))
    assert type(arrived) is DeadlineExceeded
