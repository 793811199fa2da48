"""Appointments as clients write them."""

from datetime import UTC, datetime

import pytest

from schemas.appointment import AppointmentSchema
from schemas.errors import InvalidInput
from schemas.loading import load

CHECK_UP = {
    "patientId": 1,
    "doctorId": 2,
    "date": "2027-03-01T10:00:00+01:00",
    "description": "Check-up",
}


def complaints(payload):
    with pytest.raises(InvalidInput) as refused:
        load(AppointmentSchema(), payload)
    return refused.value.errors


def test_an_appointment_loads_by_attribute_names():
    assert load(AppointmentSchema(), CHECK_UP) == {
        "patient_id": 1,
        "doctor_id": 2,
        "starts_at": datetime(2027, 3, 1, 9, tzinfo=UTC),
        "duration_minutes": None,
        "description": "Check-up",
    }


def test_a_date_without_an_offset_waits_for_the_doctors_time_zone():
    loaded = load(AppointmentSchema(), CHECK_UP | {"date": "2027-03-01T10:00:00"})
    assert loaded["starts_at"] == datetime(2027, 3, 1, 10)


@pytest.mark.parametrize("field", ["patientId", "doctorId", "date", "description"])
def test_an_appointment_needs(field):
    payload = {name: value for name, value in CHECK_UP.items() if name != field}
    assert complaints(payload) == {field: "Missing data for required field."}
    assert complaints(CHECK_UP | {field: None}) == {field: "Field may not be null."}


@pytest.mark.parametrize("minutes", [5, 10, 480, None])
def test_a_duration_is_5_minutes_to_8_hours_or_left_open(minutes):
    loaded = load(AppointmentSchema(), CHECK_UP | {"durationMinutes": minutes})
    assert loaded["duration_minutes"] == minutes


@pytest.mark.parametrize("minutes", [0, 4, 6, 481, 485, -30, "30", 30.0, True])
def test_any_other_duration_is_refused(minutes):
    assert list(complaints(CHECK_UP | {"durationMinutes": minutes})) == ["durationMinutes"]


@pytest.mark.parametrize("field", ["patientId", "doctorId"])
@pytest.mark.parametrize("value", ["1", True, 0, 2**63, 1.0])
def test_people_are_named_by_64_bit_ids(field, value):
    assert list(complaints(CHECK_UP | {field: value})) == [field]


def test_a_description_has_1_to_2000_characters_on_any_number_of_lines():
    longest = "x\n" * 999 + "xy"
    loaded = load(AppointmentSchema(), CHECK_UP | {"description": longest})
    assert loaded["description"] == longest
    assert list(complaints(CHECK_UP | {"description": longest + "z"})) == ["description"]
    assert list(complaints(CHECK_UP | {"description": " \n "})) == ["description"]


@pytest.mark.parametrize(
    "field", ["id", "end", "status", "cancelReason", "uncovered", "createdAt", "updatedAt", "start"]
)
def test_a_client_cannot_set(field):
    assert complaints(CHECK_UP | {field: "booked"}) == {field: "Unknown field."}


def test_a_stored_appointment_dumps_in_camel_case_and_utc():
    stored = {
        "id": 3,
        "patient_id": 1,
        "doctor_id": 2,
        "starts_at": datetime(2027, 3, 1, 9, tzinfo=UTC),
        "ends_at": datetime(2027, 3, 1, 9, 30, tzinfo=UTC),
        "duration_minutes": 30,
        "description": "Check-up",
        "status": "booked",
        "cancel_reason": None,
        "uncovered": False,
        "created_at": datetime(2027, 2, 1, tzinfo=UTC),
        "updated_at": datetime(2027, 2, 1, tzinfo=UTC),
    }
    assert AppointmentSchema().dump(stored) == {
        "id": 3,
        "patientId": 1,
        "doctorId": 2,
        "date": "2027-03-01T09:00:00Z",
        "end": "2027-03-01T09:30:00Z",
        "durationMinutes": 30,
        "description": "Check-up",
        "status": "booked",
        "cancelReason": None,
        "uncovered": False,
        "createdAt": "2027-02-01T00:00:00Z",
        "updatedAt": "2027-02-01T00:00:00Z",
    }
