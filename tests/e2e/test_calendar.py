"""Appointments in calendar programs, in each mode, read by a parser of theirs."""

from datetime import datetime, timedelta

import httpx
import pytest
from icalendar import Calendar, Event

from tests.e2e.desk import (
    Json,
    book,
    morning,
    problem,
    register_doctor,
    register_patient,
    rfc3339,
    stored,
)


@pytest.fixture
def booked(client: httpx.Client) -> Json:
    return stored(book(client, register_patient(client), register_doctor(client), morning()))


def event_of(client: httpx.Client, appointment: Json) -> Event:
    answer = client.get(f"/appointments/{appointment['id']}/calendar.ics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    (event,) = Calendar.from_ical(answer.content).walk("VEVENT")
    assert isinstance(event, Event)
    return event


def test_a_booked_appointment_is_in_the_calendar_at_its_time(
    client: httpx.Client, booked: Json
) -> None:
    event = event_of(client, booked)
    assert event["DTSTART"].dt == datetime.fromisoformat(booked["date"])
    assert event["DTEND"].dt - event["DTSTART"].dt == timedelta(minutes=booked["durationMinutes"])
    assert (event["STATUS"], event["SEQUENCE"]) == ("CONFIRMED", 0)


def test_a_moved_and_then_cancelled_appointment_stays_the_same_event(
    client: httpx.Client, booked: Json
) -> None:
    address, first = f"/appointments/{booked['id']}", event_of(client, booked)
    moved = client.patch(
        address, json={"date": rfc3339(morning(31))}, headers={"If-Match": "*"}
    )
    assert moved.status_code == 200, moved.text
    second = event_of(client, booked)
    assert second["DTSTART"].dt == morning(31)
    assert client.delete(address).status_code == 204
    third = event_of(client, booked)
    assert [each["SEQUENCE"] for each in (first, second, third)] == [0, 1, 2]
    assert {each["UID"] for each in (first, second, third)} == {first["UID"]}
    assert [each["STATUS"] for each in (second, third)] == ["CONFIRMED", "CANCELLED"]


def test_no_two_appointments_are_the_same_event(client: httpx.Client, booked: Json) -> None:
    patient, doctor = {"id": booked["patientId"]}, {"id": booked["doctorId"]}
    other = stored(book(client, patient, doctor, morning(32)))
    assert event_of(client, booked)["UID"] != event_of(client, other)["UID"]


def test_whoever_syncs_the_calendar_learns_nothing_but_when_it_is(client: httpx.Client) -> None:
    patient = register_patient(client, name="Ada Byron")
    booked = stored(book(client, patient, register_doctor(client), morning(), description="Ill"))
    text = client.get(f"/appointments/{booked['id']}/calendar.ics").text
    private = ("Ada", "Byron", "Garrett", "Ill", "DESCRIPTION")
    assert [word for word in private if word in text] == []


def test_a_calendar_that_asks_again_is_told_when_nothing_is_new(
    client: httpx.Client, booked: Json
) -> None:
    address = f"/appointments/{booked['id']}/calendar.ics"
    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(address).content == first.content


def test_an_appointment_that_is_not_there_is_in_no_calendar(client: httpx.Client) -> None:
    problem(client.get(f"/appointments/{2**62}/calendar.ics"), 404, "not_found")
