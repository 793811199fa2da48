"""Every complaint names its field."""

import pytest
from marshmallow import Schema, fields

from schemas.errors import InvalidInput
from schemas.fields import Identifier, Text
from schemas.loading import load, load_id, load_text


class Window(Schema):
    day = Text(longest=3, required=True)


class Week(Schema):
    doctor_id = Identifier(required=True, data_key="doctorId")
    note = Text(longest=5, load_default=None, allow_none=True)
    weekly = fields.List(fields.Nested(Window))


def complaints(act, *args, **kwargs):
    with pytest.raises(InvalidInput) as refused:
        act(*args, **kwargs)
    return refused.value.errors


def test_fields_come_out_by_their_attribute_names():
    assert load(Week(), {"doctorId": 7}) == {"doctor_id": 7, "note": None}


@pytest.mark.parametrize("payload", [None, [], [{"doctorId": 7}], "text", 7, True])
def test_only_an_object_is_loaded(payload):
    assert complaints(load, Week(), payload) == {"body": "Must be a JSON object."}


def test_every_refused_field_is_named_at_once():
    found = complaints(load, Week(), {"doctorId": "7", "note": "too long", "unknown": 1})
    assert found == {
        "doctorId": "Must be a whole number.",
        "note": "Must have at most 5 characters.",
        "unknown": "Unknown field.",
    }


def test_a_field_is_named_as_the_client_writes_it():
    assert complaints(load, Week(), {"doctor_id": 7}) == {
        "doctorId": "Missing data for required field.",
        "doctor_id": "Unknown field.",
    }


def test_a_field_inside_a_list_is_named_by_its_path():
    payload = {"doctorId": 7, "weekly": [{"day": "mon"}, {"day": "monday", "end": "12:00"}]}
    assert complaints(load, Week(), payload) == {
        "weekly.1.day": "Must have at most 3 characters.",
        "weekly.1.end": "Unknown field.",
    }


def test_null_is_nothing_for_an_optional_field_and_refused_for_a_required_one():
    assert load(Week(), {"doctorId": 7, "note": None})["note"] is None
    assert complaints(load, Week(), {"doctorId": None}) == {"doctorId": "Field may not be null."}


@pytest.mark.parametrize("value", [1, 2**63 - 1])
def test_an_id_alone_is_loaded(value):
    assert load_id(value) == value


@pytest.mark.parametrize("value", [None, "1", True, 1.0, 0, -1, 2**63, [1]])
def test_what_is_no_id_is_told_under_the_name_of_the_field(value):
    assert list(complaints(load_id, value)) == ["id"]
    assert list(complaints(load_id, value, "patientId")) == ["patientId"]


def test_a_text_alone_is_loaded_trimmed():
    assert load_text(" ill ", "reason", longest=3) == "ill"


@pytest.mark.parametrize("value", [None, "", "  ", "four", 7, "a\x00b"])
def test_what_is_no_text_is_told_under_the_name_of_the_field(value):
    assert list(complaints(load_text, value, "reason", longest=3)) == ["reason"]
