"""Patients and doctors as clients write them."""

from datetime import UTC, date, datetime

import pytest

from schemas.errors import InvalidInput
from schemas.loading import load
from schemas.people import DoctorSchema, PatientSchema, email_key

ADA = {
    "name": "Ada Byron",
    "email": "ada@example.com",
    "phone": "+44 20 7946 0958",
    "dob": "1985-12-10",
    "address": "12 St James Square\nLondon",
}
GARRETT = {"name": "Dr Garrett", "phone": "+44 20 7946 0321", "speciality": "General practice"}


def complaints(schema, payload):
    with pytest.raises(InvalidInput) as refused:
        load(schema, payload)
    return refused.value.errors


def without(payload, field):
    return {name: value for name, value in payload.items() if name != field}


def test_a_patient_loads_by_attribute_names():
    assert load(PatientSchema(), ADA) == {
        "name": "Ada Byron",
        "email": "ada@example.com",
        "phone": "+442079460958",
        "dob": date(1985, 12, 10),
        "address": "12 St James Square\nLondon",
    }


def test_a_doctor_without_a_time_zone_gets_none_here():
    assert load(DoctorSchema(), GARRETT) == {
        "name": "Dr Garrett",
        "email": None,
        "phone": "+442079460321",
        "speciality": "General practice",
        "timezone": None,
    }


@pytest.mark.parametrize("field", ["name", "phone", "dob", "address"])
def test_a_patient_needs(field):
    message = {field: "Missing data for required field."}
    assert complaints(PatientSchema(), without(ADA, field)) == message
    assert complaints(PatientSchema(), ADA | {field: None}) == {field: "Field may not be null."}


@pytest.mark.parametrize("field", ["name", "phone", "speciality"])
def test_a_doctor_needs(field):
    message = {field: "Missing data for required field."}
    assert complaints(DoctorSchema(), without(GARRETT, field)) == message
    assert complaints(DoctorSchema(), GARRETT | {field: None}) == {field: "Field may not be null."}


@pytest.mark.parametrize("payload", [without(ADA, "email"), ADA | {"email": None}])
def test_an_email_address_may_be_left_out_or_null(payload):
    assert load(PatientSchema(), payload)["email"] is None


def test_an_email_address_that_is_there_must_be_one():
    assert complaints(PatientSchema(), ADA | {"email": ""}) == {"email": "Must not be empty."}


def test_a_doctors_time_zone_may_be_null():
    assert load(DoctorSchema(), GARRETT | {"timezone": None})["timezone"] is None


@pytest.mark.parametrize("field", ["id", "createdAt", "updatedAt", "speciality", "created_at"])
def test_a_patient_cannot_set(field):
    assert complaints(PatientSchema(), ADA | {field: 1}) == {field: "Unknown field."}


@pytest.mark.parametrize(
    ("schema", "payload", "field", "longest"),
    [
        (PatientSchema(), ADA, "name", 200),
        (PatientSchema(), ADA, "address", 500),
        (DoctorSchema(), GARRETT, "speciality", 100),
    ],
)
def test_a_text_may_be_as_long_as_its_limit_and_no_longer(schema, payload, field, longest):
    assert load(schema, payload | {field: "x" * longest})[field] == "x" * longest
    too_long = complaints(schema, payload | {field: "x" * (longest + 1)})
    assert too_long == {field: f"Must have at most {longest} characters."}


def test_a_name_has_one_line():
    told = complaints(PatientSchema(), ADA | {"name": "Ada\nByron"})
    assert told == {"name": "Must not contain control characters."}


def test_a_national_number_is_read_in_the_configured_region():
    payload = ADA | {"phone": "020 7946 0958"}
    assert load(PatientSchema(phone_region="GB"), payload)["phone"] == "+442079460958"
    assert list(complaints(PatientSchema(), payload)) == ["phone"]


def test_the_region_of_one_schema_is_not_that_of_another():
    PatientSchema(phone_region="GB")
    assert list(complaints(PatientSchema(), ADA | {"phone": "020 7946 0958"})) == ["phone"]


def test_a_stored_patient_dumps_in_camel_case_and_utc():
    stored = {
        "id": 2**63 - 1,
        "name": "Ada Byron",
        "email": None,
        "phone": "+442079460958",
        "dob": date(1985, 12, 10),
        "address": "London",
        "created_at": datetime(2027, 3, 1, 9, tzinfo=UTC),
        "updated_at": datetime(2027, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC),
    }
    assert PatientSchema().dump(stored) == {
        "id": 9223372036854775807,
        "name": "Ada Byron",
        "email": None,
        "phone": "+442079460958",
        "dob": "1985-12-10",
        "address": "London",
        "createdAt": "2027-03-01T09:00:00Z",
        "updatedAt": "2027-03-01T09:00:00.250000Z",
    }


def test_addresses_that_differ_in_case_only_are_the_same():
    assert email_key("Ada.Byron@Example.COM") == email_key("ada.byron@example.com")


def test_addresses_of_two_people_are_not_the_same():
    assert email_key("ada@example.com") != email_key("ada@example.org")


def test_no_address_equals_nobodys():
    assert email_key(None) is None
