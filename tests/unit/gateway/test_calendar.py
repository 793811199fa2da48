"""Appointments in calendar programs, as a parser of theirs reads them."""

import re
from datetime import UTC, datetime

import pytest
from icalendar import Calendar

from config.messaging.client import Answer
from gateway.calendar import as_calendar
from schemas.accounts import DOCTOR, PATIENT
from schemas.statuses import STATUSES
from tests.unit.gateway.fakes import FakePool

BOOKED = {
    "id": 5, "patientId": 7, "doctorId": 3, "date": "2027-03-28T00:30:00Z",
    "end": "2027-03-28T01:15:00Z", "durationMinutes": 45, "description": "It hurts\r\nBADLY:yes",
    "status": "booked", "cancelReason": None, "uncovered": False,
    "createdAt": "2027-03-01T08:00:00Z", "updatedAt": "2027-03-02T09:10:11.987654Z", "version": 3,
}


def event_of(text):
    calendar = Calendar.from_ical(text)
    (event,) = calendar.walk("VEVENT")
    return event


@pytest.fixture
def told(serve):
    """The document, for an appointment with these changes."""

    def told(**changes):
        pool = FakePool(appointment_get=Answer({**BOOKED, **changes}))
        answer = serve(pool, role=PATIENT, subject=7).get("/appointments/5/calendar.ics")
        assert answer.status_code == 200
        return answer

    return told


def test_an_appointment_is_a_document_to_keep(told):
    answer = told()
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="appointment-5.ics"'
    assert answer.headers["ETag"] == '"3"'


def test_a_calendar_is_told_when_it_is(told):
    calendar = Calendar.from_ical(told().data)
    assert (calendar["VERSION"], calendar["METHOD"]) == ("2.0", "PUBLISH")
    assert calendar["PRODID"]
    event = event_of(told().data)
    assert event["DTSTART"].dt == datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    assert event["DTEND"].dt == datetime(2027, 3, 28, 1, 15, tzinfo=UTC)
    assert event["CREATED"].dt == datetime(2027, 3, 1, 8, tzinfo=UTC)
    changed = datetime(2027, 3, 2, 9, 10, 11, tzinfo=UTC)
    assert event["DTSTAMP"].dt == event["LAST-MODIFIED"].dt == changed


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_cancelled_one_is_cancelled(told, status):
    expected = "CANCELLED" if status == "cancelled" else "CONFIRMED"
    assert event_of(told(status=status).data)["STATUS"] == expected


def test_a_newer_version_is_the_same_event_with_a_higher_number(told):
    first, moved = event_of(told(version=1).data), event_of(told(version=4).data)
    assert (first["SEQUENCE"], moved["SEQUENCE"]) == (0, 3)
    assert first["UID"] == moved["UID"]


def test_the_same_version_is_the_same_document(told):
    assert told().data == told().data


def test_events_are_told_apart_and_do_not_give_the_id_away(told, serve):
    other = serve(FakePool(appointment_get=Answer({**BOOKED, "id": 6}))).get(
        "/appointments/6/calendar.ics"
    )
    one, another = event_of(told().data)["UID"], event_of(other.data)["UID"]
    assert one != another
    assert re.fullmatch("[0-9a-f]{32}", one)


def test_nothing_is_told_but_when_it_is(told):
    members = {
        "UID", "SEQUENCE", "STATUS", "SUMMARY", "DTSTAMP", "CREATED", "LAST-MODIFIED", "DTSTART",
        "DTEND",
    }
    event = event_of(told().data)
    assert set(event) == members and event["SUMMARY"] == "Appointment"
    assert b"hurts" not in told().data and b"BADLY" not in told().data


def test_lines_end_and_fold_as_the_standard_has_it(told):
    lines = told().data.split(b"\r\n")
    assert lines[-1] == b"" and len(lines) > 10
    assert all(b"\n" not in line and b"\r" not in line for line in lines)
    long = as_calendar(BOOKED, uid="a" * 200)
    assert max(map(len, long.split(b"\r\n"))) <= 75
    assert event_of(long)["UID"] == "a" * 200


def test_who_has_this_version_is_not_sent_it_again(serve):
    client = serve(FakePool(appointment_get=Answer(BOOKED)), role=DOCTOR, subject=3)
    answer = client.get("/appointments/5/calendar.ics", headers={"If-None-Match": '"3"'})
    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", '"3"')
    assert "Content-Disposition" not in answer.headers


def test_an_appointment_of_others_is_not_there(serve):
    client = serve(FakePool(appointment_get=Answer(BOOKED)), role=PATIENT, subject=8)
    assert client.get("/appointments/5/calendar.ics").status_code == 404
