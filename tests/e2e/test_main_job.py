"""Registering, booking, cancelling: what the system is for, in each mode."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.e2e.desk import (
    Json,
    book,
    booking_body,
    doctor_body,
    eventually,
    morning,
    patient_body,
    problem,
    refused_fields,
    register_doctor,
    register_patient,
    rfc3339,
    stored,
    unique,
)
from tests.systems import System
from tests.waiting import PATIENCE

MINUTES = timedelta(minutes=1)
PEOPLE = pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/patients", patient_body, id="patient"),
        pytest.param("/doctors", doctor_body, id="doctor"),
    ],
)


@pytest.fixture
def patient(client: httpx.Client) -> Json:
    return register_patient(client)


@pytest.fixture
def doctor(client: httpx.Client) -> Json:
    return register_doctor(client)


def skipped_time(zone: str) -> tuple[datetime, datetime]:
    """A local time of next year that the clocks of ``zone`` jump over, and the first one after."""
    info = ZoneInfo(zone)
    local, step = datetime(next_year(), 1, 1), 15 * MINUTES

    def exists() -> bool:
        back = local.replace(tzinfo=info).astimezone(UTC).astimezone(info)
        return back.replace(tzinfo=None) == local

    while exists():
        local += step
    skipped = local
    while not exists():
        local += step
    return skipped, local


def next_year() -> int:
    return datetime.now(UTC).year + 1


# People


@PEOPLE
def test_who_registers_is_found_at_the_location_with_what_was_sent(
    client: httpx.Client, path: str, body: Any
) -> None:
    sent = body()
    created = client.post(path, json=sent)
    record = stored(created)
    assert created.headers["Location"] == f"{path}/{record['id']}"
    assert client.get(created.headers["Location"]).json() == record
    assert {name: record[name] for name in sent} == sent
    assert record.keys() - sent.keys() == {"id", "createdAt", "updatedAt"}
    made = datetime.fromisoformat(record["createdAt"])
    assert abs(datetime.now(UTC) - made) < 60 * MINUTES


@PEOPLE
def test_a_person_needs_no_email_and_many_may_have_none(
    client: httpx.Client, path: str, body: Any
) -> None:
    without = {name: value for name, value in body().items() if name != "email"}
    first, second = (stored(client.post(path, json=without)) for _ in range(2))
    assert (first["email"], second["email"]) == (None, None)
    assert first["id"] != second["id"]


@PEOPLE
def test_a_put_replaces_the_whole_record(client: httpx.Client, path: str, body: Any) -> None:
    record = stored(client.post(path, json=body()))
    wanted = body(name="Grace Hopper", phone="+12125550123")
    del wanted["email"]
    replaced = client.put(f"{path}/{record['id']}", json=wanted)
    assert replaced.status_code == 200, replaced.text
    assert client.get(f"{path}/{record['id']}").json() == replaced.json()
    kept = {name: record[name] for name in ("id", "createdAt")}
    changed = replaced.json()
    assert changed == {**wanted, "email": None, "updatedAt": changed["updatedAt"], **kept}
    assert changed["updatedAt"] > record["updatedAt"]


@PEOPLE
def test_a_taken_email_is_refused_whatever_its_case(
    client: httpx.Client, path: str, body: Any
) -> None:
    word = unique()
    owner = stored(client.post(path, json=body(email=f"mixed.{word}@example.org")))
    other = stored(client.post(path, json=body()))
    shouted = body(email=f"MIXED.{word.upper()}@EXAMPLE.ORG")
    problem(client.post(path, json=shouted), 409, "email_taken")
    problem(client.put(f"{path}/{other['id']}", json=shouted), 409, "email_taken")
    assert client.get(f"{path}/{other['id']}").json() == other
    assert client.get(f"{path}/{owner['id']}").json() == owner


@PEOPLE
def test_a_person_keeps_the_own_email_on_a_put_in_another_case_too(
    client: httpx.Client, path: str, body: Any
) -> None:
    sent = body()
    record = stored(client.post(path, json=sent))
    address = sent["email"].replace("example", "EXAMPLE").upper()
    for email in (sent["email"], address):
        kept = client.put(f"{path}/{record['id']}", json={**sent, "email": email})
        assert kept.status_code == 200, kept.text
        assert kept.json()["email"].casefold() == sent["email"]


@PEOPLE
def test_an_email_that_was_given_up_can_be_taken(
    client: httpx.Client, path: str, body: Any
) -> None:
    sent = body()
    record = stored(client.post(path, json=sent))
    assert client.put(f"{path}/{record['id']}", json=body()).status_code == 200
    assert stored(client.post(path, json=sent))["email"] == sent["email"]


def test_a_patient_and_a_doctor_may_share_an_email(client: httpx.Client) -> None:
    email = f"both.{unique()}@example.org"
    register_patient(client, email=email)
    assert register_doctor(client, email=email)["email"] == email


def test_a_phone_number_is_stored_as_e164(client: httpx.Client) -> None:
    assert register_patient(client, phone=" +44 (0)20 7946-0958 ")["phone"] == "+442079460958"


def test_a_doctor_without_a_zone_is_in_the_clinics(client: httpx.Client) -> None:
    body = doctor_body()
    del body["timezone"]
    assert stored(client.post("/doctors", json=body))["timezone"] == "UTC"


def test_who_turns_130_today_can_still_register(client: httpx.Client) -> None:
    today = datetime.now(UTC).date()
    birthday = today + timedelta(days=(today.month, today.day) == (2, 29))
    oldest = birthday.replace(year=birthday.year - 130).isoformat()
    assert register_patient(client, dob=oldest)["dob"] == oldest


@PEOPLE
def test_an_unknown_record_is_404_for_get_and_put(
    client: httpx.Client, path: str, body: Any
) -> None:
    problem(client.get(f"{path}/{2**62}"), 404, "not_found")
    problem(client.put(f"{path}/{2**62}", json=body()), 404, "not_found")


# Booking and cancelling


def test_a_booking_is_found_at_its_location(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    start = morning()
    created = book(client, patient, doctor, start, durationMinutes=45, description="Sore throat")
    record = stored(created)
    assert created.headers["Location"] == f"/appointments/{record['id']}"
    assert client.get(created.headers["Location"]).json() == record
    assert record == {
        "id": record["id"],
        "patientId": patient["id"],
        "doctorId": doctor["id"],
        "date": rfc3339(start),
        "end": rfc3339(start + 45 * MINUTES),
        "durationMinutes": 45,
        "description": "Sore throat",
        "status": "booked",
        "cancelReason": None,
        "uncovered": False,
        "createdAt": record["createdAt"],
        "updatedAt": record["updatedAt"],
    }


def test_an_appointment_takes_30_minutes_unless_told_otherwise(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    record = stored(book(client, patient, doctor, morning()))
    assert record["durationMinutes"] == 30
    assert record["end"] == rfc3339(morning() + 30 * MINUTES)


def test_a_slot_is_taken_freed_by_cancelling_and_booked_again(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    start, other = morning(), register_patient(client)
    first = stored(book(client, patient, doctor, start))
    problem(book(client, other, doctor, start), 409, "slot_taken")
    address = f"/appointments/{first['id']}"

    cancelled = client.delete(address, params={"reason": "The patient is well again"})
    assert (cancelled.status_code, cancelled.content) == (204, b"")
    once = client.get(address).json()
    assert (once["status"], once["cancelReason"]) == ("cancelled", "The patient is well again")
    assert once["updatedAt"] > first["updatedAt"]

    again = client.delete(address, params={"reason": "Another reason"})
    assert again.status_code == 204
    assert client.get(address).json() == once

    second = stored(book(client, other, doctor, start))
    assert second["id"] != first["id"]
    assert client.get(address).json() == once


def test_a_patient_cannot_see_two_doctors_at_once(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    other = register_doctor(client)
    stored(book(client, patient, doctor, morning()))
    problem(book(client, patient, other, morning()), 409, "patient_busy")
    # The refusal kept nothing of the other doctor's time.
    stored(book(client, register_patient(client), other, morning()))


def test_the_doctor_and_the_patient_are_free_again_after_a_cancellation(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    first = stored(book(client, patient, doctor, morning()))
    assert client.delete(f"/appointments/{first['id']}").status_code == 204
    assert client.get(f"/appointments/{first['id']}").json()["cancelReason"] is None
    stored(book(client, patient, register_doctor(client), morning()))
    stored(book(client, register_patient(client), doctor, morning()))


def test_periods_that_only_touch_can_both_be_booked(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    start = morning()
    middle = stored(book(client, patient, doctor, start))
    after = stored(book(client, patient, doctor, middle["end"]))
    before = stored(book(client, patient, doctor, start - 30 * MINUTES))
    assert (before["end"], middle["end"]) == (middle["date"], after["date"])


@pytest.mark.parametrize(
    ("shift", "minutes"),
    [
        pytest.param(-25, 30, id="its end, by 5 minutes"),
        pytest.param(25, 30, id="its beginning, by 5 minutes"),
        pytest.param(10, 5, id="from inside"),
        pytest.param(-60, 480, id="from all around"),
    ],
)
def test_a_period_that_overlaps_is_refused(
    client: httpx.Client, patient: Json, doctor: Json, shift: int, minutes: int
) -> None:
    stored(book(client, patient, doctor, morning()))
    start = morning() + shift * MINUTES
    elsewhere, somebody = register_doctor(client), register_patient(client)
    taken = book(client, somebody, doctor, start, durationMinutes=minutes)
    problem(taken, 409, "slot_taken")
    busy = book(client, patient, elsewhere, start, durationMinutes=minutes)
    problem(busy, 409, "patient_busy")


@pytest.mark.parametrize("minutes", [5, 480])
def test_the_shortest_and_the_longest_appointment_can_be_booked(
    client: httpx.Client, patient: Json, doctor: Json, minutes: int
) -> None:
    record = stored(book(client, patient, doctor, morning(), durationMinutes=minutes))
    assert record["end"] == rfc3339(morning() + minutes * MINUTES)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
def test_a_time_without_an_offset_is_read_in_the_doctors_zone(
    client: httpx.Client, patient: Json, zone: str
) -> None:
    local = (morning() + timedelta(days=3)).replace(tzinfo=None)
    record = stored(book(client, patient, register_doctor(client, timezone=zone), str(local)))
    assert record["date"] == rfc3339(local.replace(tzinfo=ZoneInfo(zone)))


def test_a_time_with_an_offset_means_the_same_in_every_zone(
    client: httpx.Client, patient: Json
) -> None:
    tokyo = register_doctor(client, timezone="Asia/Tokyo")
    start = morning().astimezone(ZoneInfo("America/New_York"))
    record = stored(book(client, patient, tokyo, start.isoformat()))
    assert record["date"] == rfc3339(start)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_a_local_time_that_the_clocks_skip_is_refused(
    client: httpx.Client, patient: Json, zone: str
) -> None:
    somewhere = register_doctor(client, timezone=zone)
    skipped, after = skipped_time(zone)
    assert refused_fields(book(client, patient, somewhere, skipped.isoformat())) == {"date"}
    stored(book(client, patient, somewhere, after.isoformat()))


def test_the_same_minute_cannot_be_booked_twice_on_the_night_of_two_equal_hours(
    client: httpx.Client, patient: Json
) -> None:
    """The hour that comes twice is two hours: told apart by their offsets, both can be booked."""
    berlin = register_doctor(client, timezone="Europe/Berlin")
    last_sunday = max(
        day
        for day in (datetime(next_year(), 10, number) for number in range(25, 32))
        if day.weekday() == 6
    )
    local = f"{last_sunday:%Y-%m-%d}T02:30:00"
    first = stored(book(client, patient, berlin, local))
    assert first["date"] == f"{last_sunday:%Y-%m-%d}T00:30:00Z"
    problem(book(client, patient, berlin, f"{local}+02:00"), 409, "slot_taken")
    assert stored(book(client, patient, berlin, f"{local}+01:00"))["id"] != first["id"]


@pytest.mark.parametrize("age", [0 * MINUTES, MINUTES, timedelta(days=365)])
def test_a_start_that_is_not_in_the_future_is_refused(
    client: httpx.Client, patient: Json, doctor: Json, age: timedelta
) -> None:
    start = datetime.now(UTC) - age
    problem(book(client, patient, doctor, start.isoformat()), 422, "in_the_past")


def test_people_who_are_not_registered_cannot_be_booked(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    nobody = {"id": 2**62}
    problem(book(client, nobody, doctor, morning()), 422, "unknown_patient")
    problem(book(client, patient, nobody, morning()), 422, "unknown_doctor")
    stored(book(client, patient, doctor, morning()))


def test_an_unknown_appointment_is_404(client: httpx.Client) -> None:
    problem(client.get(f"/appointments/{2**62}"), 404, "not_found")
    problem(client.delete(f"/appointments/{2**62}"), 404, "not_found")


# The same request again


def test_a_key_sent_again_gives_the_same_answer_and_one_appointment(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    key = unique()
    first = book(client, patient, doctor, morning(), key=key)
    again = book(client, patient, doctor, morning(), key=key)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert stored(again) == stored(first)
    assert again.headers["Location"] == first.headers["Location"]
    # One cancellation frees the time: it was booked once.
    assert client.delete(first.headers["Location"]).status_code == 204
    stored(book(client, patient, doctor, morning()))


@PEOPLE
def test_a_registration_sent_again_with_its_key_makes_one_person(
    client: httpx.Client, path: str, body: Any
) -> None:
    sent, headers = body(), {"Idempotency-Key": unique()}
    first, again = (client.post(path, json=sent, headers=headers) for _ in range(2))
    assert stored(again) == stored(first)
    assert again.headers["Idempotent-Replayed"] == "true"
    problem(client.post(path, json=sent), 409, "email_taken")


def test_the_order_of_the_members_makes_no_other_request(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    body, headers = booking_body(patient, doctor, morning()), {"Idempotency-Key": unique()}
    first = client.post("/appointments", json=body, headers=headers)
    turned = dict(reversed(body.items()))
    again = client.post("/appointments", json=turned, headers=headers)
    assert stored(again) == stored(first)


def test_a_key_sent_with_another_body_is_refused_and_books_nothing(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    key, later = unique(), morning() + 60 * MINUTES
    first = stored(book(client, patient, doctor, morning(), key=key))
    reused = book(client, patient, doctor, later, key=key)
    problem(reused, 422, "idempotency_key_reused")
    assert stored(book(client, patient, doctor, morning(), key=key)) == first
    stored(book(client, patient, doctor, later))


def test_requests_without_a_key_are_each_their_own(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    stored(book(client, patient, doctor, morning()))
    problem(book(client, patient, doctor, morning()), 409, "slot_taken")


def test_a_refusal_is_replayed_even_when_the_slot_is_free_again(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    key, other = unique(), register_patient(client)
    holder = stored(book(client, patient, doctor, morning()))
    first = problem(book(client, other, doctor, morning(), key=key), 409, "slot_taken")
    assert client.delete(f"/appointments/{holder['id']}").status_code == 204
    again = book(client, other, doctor, morning(), key=key)
    body = problem(again, 409, "slot_taken")
    assert {**body, "correlationId": ""} == {**first, "correlationId": ""}
    stored(book(client, other, doctor, morning(), key=unique()))


def test_a_replayed_refusal_says_that_it_is_one(
    client: httpx.Client, patient: Json, doctor: Json
) -> None:
    key, other = unique(), register_patient(client)
    stored(book(client, patient, doctor, morning()))
    first = book(client, other, doctor, morning(), key=key)
    assert "Idempotent-Replayed" not in first.headers
    again = book(client, other, doctor, morning(), key=key)
    problem(again, 409, "slot_taken")
    assert again.headers.get("Idempotent-Replayed") == "true"


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "tab\there"])
def test_a_key_that_is_not_1_to_255_visible_characters_is_refused(
    client: httpx.Client, patient: Json, doctor: Json, key: str
) -> None:
    problem(book(client, patient, doctor, morning(), key=key), 400, "unreadable")
    stored(book(client, patient, doctor, morning(), key="x" * 243 + unique()))


def test_twenty_posts_at_once_with_one_key_make_one_appointment(
    system: System, client: httpx.Client, patient: Json, doctor: Json
) -> None:
    key, barrier = unique(), Barrier(20)

    def post() -> httpx.Response:
        with system.client() as own:
            barrier.wait(timeout=PATIENCE)
            return book(own, patient, doctor, morning(), key=key)

    with ThreadPoolExecutor(20) as crowd:
        answers = [future.result() for future in [crowd.submit(post) for _ in range(20)]]
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409, "request_in_flight")
            assert int(answer.headers["Retry-After"]) >= 1
    records = [answer.json() for answer in answers if answer.status_code == 201]
    settled = eventually(
        lambda: (answer := book(client, patient, doctor, morning(), key=key)).status_code == 201
        and answer,
        what="an answer to the key",
    )
    assert all(record == settled.json() for record in records)
    assert settled.headers["Idempotent-Replayed"] == "true"
    # One cancellation frees the time: it was booked once.
    assert client.delete(f"/appointments/{settled.json()['id']}").status_code == 204
    stored(book(client, patient, doctor, morning()))
