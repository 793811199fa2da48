"""Events are CloudEvents, and tell ids, times and status words only."""

import json
import uuid
from datetime import UTC, datetime

import pytest
from marshmallow import ValidationError

from schemas.errors import InvalidInput
from schemas.events import DATA, NAMES, EventSchema, envelope, read_event

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
CHECK_UP = {
    "appointment_id": 3,
    "patient_id": 1,
    "doctor_id": 2,
    "start": NINE,
    "end": NINE.replace(minute=30),
    "status": "booked",
}
PERSONAL = {
    "name": "Ada Byron",
    "email": "ada@example.com",
    "phone": "+442079460958",
    "dob": "1985-12-10",
    "address": "London",
    "description": "Check-up",
    "cancel_reason": "ill",
}


def told(**changes):
    return envelope(
        **{
            "source": "appointment",
            "name": "scheduled",
            "subject": 3,
            "sequence": 1,
            "time": NINE,
            "correlation_id": "abc",
            "data": CHECK_UP,
        }
        | changes
    )


def test_an_event_has_every_member_of_the_contract():
    event = told()
    assert uuid.UUID(event.pop("id"))
    assert event == {
        "specversion": "1.0",
        "source": "/appointment",
        "type": "appointment.scheduled",
        "subject": "3",
        "time": "2027-03-01T09:00:00Z",
        "datacontenttype": "application/json",
        "sequence": 1,
        "correlationid": "abc",
        "data": {
            "appointmentId": 3,
            "patientId": 1,
            "doctorId": 2,
            "start": "2027-03-01T09:00:00Z",
            "end": "2027-03-01T09:30:00Z",
            "status": "booked",
        },
    }


def test_a_move_is_told_with_where_it_was_before():
    before = {
        "previous_start": NINE.replace(day=2), "previous_end": NINE.replace(day=2, minute=30),
        "previous_doctor_id": 4,
    }
    event = told(name="rescheduled", data=CHECK_UP | before)
    assert event["data"] == told()["data"] | {
        "previousStart": "2027-03-02T09:00:00Z",
        "previousEnd": "2027-03-02T09:30:00Z",
        "previousDoctorId": 4,
    }
    assert read_event(event, source="appointment", name="rescheduled") == CHECK_UP | before


def test_a_reminder_is_told_with_how_long_before_it_is():
    event = told(name="reminder_due", data=CHECK_UP | {"minutes_before": 1440})
    assert event["data"] == told()["data"] | {"minutesBefore": 1440}


@pytest.mark.parametrize("name", ["schedule_changed", "time_off_changed"])
def test_a_change_of_a_timetable_is_told_with_its_number(name):
    event = told(source="doctor", name=name, data={"doctor_id": 2, "schedule_version": 7})
    assert event["data"] == {"doctorId": 2, "scheduleVersion": 7}
    read = read_event(event, source="doctor", name=name)
    assert read == {"doctor_id": 2, "schedule_version": 7}


@pytest.mark.parametrize("sent", [-1, "7", 7.5, True, 2**63])
def test_what_is_no_number_of_a_timetable_is_not_read(sent):
    event = told(source="doctor", name="schedule_changed", data={"doctor_id": 2})
    event["data"]["scheduleVersion"] = sent
    with pytest.raises(InvalidInput) as refused:
        read_event(event, source="doctor", name="schedule_changed")
    assert list(refused.value.errors) == ["scheduleVersion"]


def test_no_two_events_have_the_same_id():
    assert told()["id"] != told()["id"]


@pytest.mark.parametrize(("source", "name"), [(s, name) for s in NAMES for name in NAMES[s]])
def test_an_event_of_every_name_is_one_that_its_reader_takes(source, name):
    event = told(source=source, name=name, data=CHECK_UP)
    read = EventSchema().load(json.loads(json.dumps(event)))
    assert read["type"] == f"{source}.{name}"
    assert read["time"] == NINE
    assert DATA[source]().load(read["data"])[f"{source}_id"] == CHECK_UP[f"{source}_id"]


@pytest.mark.parametrize("source", NAMES)
def test_what_is_personal_stays_behind_even_when_it_is_given(source):
    event = json.dumps(told(source=source, name=NAMES[source][0], data=CHECK_UP | PERSONAL))
    assert [value for value in PERSONAL.values() if value in event] == []


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("specversion", "0.3"),
        ("id", "1"),
        ("source", "appointment"),
        ("source", "/billing"),
        ("type", "appointment.paid"),
        ("type", "scheduled"),
        ("datacontenttype", "text/plain"),
        ("sequence", 0),
        ("sequence", "1"),
        ("sequence", 2**63),
        ("time", "yesterday"),
        ("data", "text"),
    ],
)
def test_an_event_that_breaks_the_contract_is_not_read(member, value):
    with pytest.raises(ValidationError) as refused:
        EventSchema().load(told() | {member: value})
    assert list(refused.value.messages) == [member]


@pytest.mark.parametrize("member", sorted(told()))
def test_an_event_without_one_of_its_members_is_not_read(member):
    event = told()
    del event[member]
    with pytest.raises(ValidationError) as refused:
        EventSchema().load(event)
    assert list(refused.value.messages) == [member]


def test_who_reacts_to_an_event_reads_its_data():
    read = read_event(told(), source="appointment", name="scheduled")
    assert read == CHECK_UP


def test_what_a_newer_publisher_adds_is_passed_over():
    event = told() | {"traceparent": "00-1", "data": told()["data"] | {"room": 7}}
    assert read_event(event, source="appointment", name="scheduled") == CHECK_UP


@pytest.mark.parametrize(
    ("changes", "member"),
    [
        ({"type": "appointment.cancelled"}, "type"),
        ({"type": "appointment.paid"}, "type"),
        ({"data": {"patientId": 1}}, "appointmentId"),
        ({"data": [1]}, "data"),
        ({"time": "soon"}, "time"),
    ],
)
def test_another_event_than_the_one_that_is_reacted_to_is_refused(changes, member):
    with pytest.raises(InvalidInput) as refused:
        read_event(told() | changes, source="appointment", name="scheduled")
    assert member in refused.value.errors


@pytest.mark.parametrize("junk", [None, [], "text", b"bytes", 7])
def test_what_is_no_event_at_all_is_refused(junk):
    with pytest.raises(InvalidInput):
        read_event(junk, source="appointment", name="scheduled")
