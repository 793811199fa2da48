"""Errors keep their class, their arguments and their sentence on the way through RabbitMQ."""

import json
import re
from collections import Counter

import pytest
from nameko.exceptions import deserialize, serialize

from schemas.errors import (
    DoctorNotFound,
    EmailTaken,
    InvalidInput,
    MoveNotAllowed,
    NotBookable,
    NotFound,
    OffGrid,
    OutsideHours,
    SchedulingError,
    SlotTaken,
    TooLateToCancel,
    UnknownPatient,
)

NINE, TEN = "2027-03-01T09:00:00Z", "2027-03-01T10:00:00Z"
RULE = {"rule": "outside_hours", "passed": False, "since": NINE, "until": TEN, "minutes": None}
SLOT = {"start": NINE, "end": TEN, "doctorId": 2**63 - 1}


def family(root):
    yield root
    for child in root.__subclasses__():
        yield from family(child)


# Once, though some have two parents.
EVERY_ERROR = list(dict.fromkeys(family(SchedulingError)))[1:]


def example_of(kind):
    """With more arguments than any sentence has places for."""
    if issubclass(kind, InvalidInput):
        return kind({"email": "Not a valid e-mail address.", "weekly.0.start": "Ends before."})
    if issubclass(kind, NotBookable):
        return kind(RULE, [SLOT, SLOT])
    if issubclass(kind, MoveNotAllowed):
        return kind("arrived", ["fulfilled", "cancelled"])
    return kind(7, "Müller {0} %s", "2027-01-01T09:00:00Z")


def over_the_wire(error):
    return deserialize(json.loads(json.dumps(serialize(error))))


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_an_error_arrives_as_the_class_it_left_as(kind):
    sent = example_of(kind)
    arrived = over_the_wire(sent)
    assert type(arrived) is kind
    assert arrived.args == sent.args
    assert str(arrived) == str(sent)
    assert arrived.members == sent.members


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_a_second_hop_changes_nothing_more(kind):
    once = over_the_wire(example_of(kind))
    assert over_the_wire(once).args == once.args


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_an_error_says_a_whole_sentence(kind):
    text = str(example_of(kind))
    assert text[0].isupper() and text.endswith(".")


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_a_code_is_a_snake_case_word(kind):
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)


def test_no_two_errors_share_a_code_unless_they_say_that_a_record_is_missing():
    uses = Counter(kind.code for kind in EVERY_ERROR if NotFound not in kind.__bases__)
    assert [code for code, count in uses.items() if count > 1] == []


def test_every_missing_record_is_told_by_the_same_code():
    assert {kind.code for kind in family(NotFound)} == {"not_found"}


def test_details_that_are_not_text_become_text_before_they_leave():
    assert UnknownPatient(7).args == ("7",)


def test_braces_in_a_detail_are_only_text():
    assert str(DoctorNotFound("{0}{1}")) == "There is no doctor {0}{1}."


def test_an_error_without_details_has_no_arguments():
    assert over_the_wire(EmailTaken()).args == ()


def test_invalid_input_keeps_each_field_with_its_message():
    errors = {"dob": "Must be in the past.", "weekly.0.start": "Müßte früher sein."}
    assert over_the_wire(InvalidInput(errors)).errors == errors


def test_invalid_input_does_not_say_what_was_sent_in_its_own_sentence():
    assert str(InvalidInput({"email": "ada@example"})) == "Some fields are invalid."


def test_changing_the_errors_one_reads_changes_nothing_in_the_error():
    error = InvalidInput({"dob": "Must be in the past."})
    error.errors.clear()
    assert error.errors == {"dob": "Must be in the past."}


def test_field_and_message_become_text():
    assert InvalidInput({0: 1}).errors == {"0": "1"}


# What is told besides code and text


def test_most_errors_tell_nothing_more():
    assert over_the_wire(EmailTaken()).members == {}


def test_invalid_input_tells_each_field():
    members = over_the_wire(InvalidInput({"dob": "Must be in the past."})).members
    assert members == {"errors": [{"field": "dob", "message": "Must be in the past."}]}


def test_a_refused_booking_tells_the_rule_that_failed_and_what_would_do():
    members = over_the_wire(OutsideHours(RULE, [SLOT])).members
    rule = {"rule": "outside_hours", "passed": False, "since": NINE, "until": TEN}
    assert members == {"rule": rule, "alternatives": [SLOT]}


def test_numbers_in_a_rule_stay_numbers():
    rule = {"rule": "off_grid", "passed": False, "minutes": 20}
    assert over_the_wire(OffGrid(rule)).members == {"rule": rule, "alternatives": []}


def test_without_a_rule_none_is_told():
    assert over_the_wire(SlotTaken(None, [])).members == {"alternatives": []}


@pytest.mark.parametrize("kept", [(NINE,), (NINE, TEN), ({}, "7"), ([SLOT], {}), (None, None)])
@pytest.mark.parametrize("kind", list(family(NotBookable)))
def test_a_refusal_that_was_kept_with_other_arguments_is_still_told(kind, kept):
    sent = serialize(kind()) | {"exc_args": list(kept)}
    assert deserialize(sent).members == {"alternatives": []}


def test_who_comes_too_late_is_told_until_when_it_was_possible():
    assert over_the_wire(TooLateToCancel(NINE)).members == {"deadline": NINE}


@pytest.mark.parametrize("allowed", [[], ["arrived", "noshow"]])
def test_a_move_that_is_not_allowed_tells_the_ones_that_are(allowed):
    members = over_the_wire(MoveNotAllowed("booked", allowed)).members
    assert members == {"current": "booked", "allowed": allowed}
