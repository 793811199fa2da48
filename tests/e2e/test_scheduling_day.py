"""A day at the front desk, in both modes: schedules, slots, moves, statuses, time off."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url

from config.snapshot import snapshot
from tests.e2e.desk import (
    Json,
    book,
    doctor_body,
    eventually,
    problem,
    register_patient,
    rfc3339,
    stored,
    unique,
)
from tests.systems import System, clinic, succeed

BERLIN = ZoneInfo("Europe/Berlin")
RULES = [
    "in_the_past", "too_soon", "too_far", "outside_hours", "off_grid", "time_off", "slot_taken"
]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def monday(weeks: int = 5) -> date:
    """Of a week well ahead; its days have the same offset."""
    today = datetime.now(UTC).date()
    return today + timedelta(days=7 * weeks - today.weekday())


def at(day: date, clock: str) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), BERLIN)


def window(day: str, start: str, end: str) -> Json:
    return {"day": day, "start": start, "end": end}


def schedule_body(**changes: Any) -> Json:
    """Half hours from nine to half past ten and from two to half past three, each day."""
    weekly = [
        window(day, *hours)
        for day in DAYS
        for hours in (("09:00", "10:30"), ("14:00", "15:30"))
    ]
    return {"timezone": "Europe/Berlin", "slotMinutes": 30, "weekly": weekly, **changes}


def doctor_with(client: httpx.Client, *, speciality: str | None = None, **schedule: Any) -> Json:
    """One of a speciality that nobody else has, and the schedule."""
    sent = doctor_body(speciality=speciality or unique(), timezone="Europe/Berlin")
    doctor = stored(client.post("/doctors", json=sent))
    set_schedule(client, doctor, schedule_body(**schedule))
    return doctor


def set_schedule(client: httpx.Client, doctor: Json, body: Json) -> Json:
    path = f"/doctors/{doctor['id']}/schedule"
    etag = client.get(path).headers["ETag"]
    answer = client.put(path, json=body, headers={"If-Match": etag})
    assert answer.status_code == 200, answer.text
    kept: Json = answer.json()
    return kept


def found(answer: httpx.Response) -> list[Json]:
    assert answer.status_code == 200, answer.text
    items: list[Json] = answer.json()["items"]
    return items


def slots_of(client: httpx.Client, doctor: Json, day: date, **query: Any) -> list[Json]:
    asked = {"from": f"{day}", "to": f"{day + timedelta(days=1)}", **query}
    return found(client.get(f"/doctors/{doctor['id']}/slots", params=asked))


def starts(slots: Sequence[Json]) -> list[datetime]:
    return [datetime.fromisoformat(slot["start"]) for slot in slots]


def clock_times(slots: Sequence[Json]) -> list[str]:
    return [f"{start.astimezone(BERLIN):%H:%M}" for start in starts(slots)]


def explained(client: httpx.Client, doctor: Json, start: datetime) -> Json:
    answer = client.get(
        f"/doctors/{doctor['id']}/slots/explain", params={"start": rfc3339(start)}
    )
    assert answer.status_code == 200, answer.text
    said: Json = answer.json()
    return said


def move(
    client: httpx.Client, appointment: Json, *, etag: str | None = None, **changes: Any
) -> httpx.Response:
    path = f"/appointments/{appointment['id']}"
    known = etag or client.get(path).headers["ETag"]
    return client.patch(path, json=changes, headers={"If-Match": known})


@pytest.fixture
def patient(client: httpx.Client) -> Json:
    return register_patient(client)


# Slots


def test_a_day_is_booked_from_its_slot_list_without_a_refusal_and_then_the_list_is_empty(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    offered = slots_of(client, doctor, day)
    assert clock_times(offered) == ["09:00", "09:30", "10:00", "14:00", "14:30", "15:00"]
    for slot in offered:
        assert slot["doctorId"] == doctor["id"]
        booked = stored(book(client, patient, doctor, slot["start"]))
        assert (booked["date"], booked["end"]) == (slot["start"], slot["end"])
    assert slots_of(client, doctor, day) == []
    assert len(slots_of(client, doctor, day + timedelta(days=1))) == 6


def test_a_dated_exception_stands_in_the_place_of_the_weekly_hours(
    client: httpx.Client, patient: Json
) -> None:
    closed, other = monday(), monday() + timedelta(days=1)
    doctor = doctor_with(client, exceptions=[
        {"date": f"{closed}", "windows": []},
        {"date": f"{other}", "windows": [{"start": "18:00", "end": "19:00"}]},
    ])
    assert slots_of(client, doctor, closed) == []
    assert clock_times(slots_of(client, doctor, other)) == ["18:00", "18:30"]
    refused = book(client, patient, doctor, at(closed, "09:00"))
    assert problem(refused, 422, "outside_hours")["rule"]["rule"] == "outside_hours"
    stored(book(client, patient, doctor, at(other, "18:30")))


def test_longer_appointments_get_the_starts_from_which_they_fit_into_a_window(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    hour = slots_of(client, doctor, day, durationMinutes=60)
    assert clock_times(hour) == ["09:00", "09:30", "14:00", "14:30"]
    for slot in (hour[0], hour[3]):
        stored(book(client, patient, doctor, slot["start"], durationMinutes=60))
    assert clock_times(slots_of(client, doctor, day)) == ["10:00", "14:00"]
    assert slots_of(client, doctor, day, durationMinutes=60) == []


def test_the_gap_is_kept_before_and_after(client: httpx.Client, patient: Json) -> None:
    doctor, day = doctor_with(client, bufferMinutes=15), monday()
    stored(book(client, patient, doctor, at(day, "14:30")))
    assert clock_times(slots_of(client, doctor, day)) == ["09:00", "09:30", "10:00"]
    problem(book(client, patient, doctor, at(day, "15:00")), 409, "slot_taken")


def test_the_earliest_over_a_speciality_come_in_order_and_can_be_booked(
    client: httpx.Client, patient: Json
) -> None:
    speciality, day = unique(), monday()
    doctors = [
        doctor_with(client, speciality=speciality, weekly=[window("mon", start, end)])
        for start, end in (("10:00", "11:00"), ("09:00", "09:30"), ("10:00", "10:30"))
    ]
    query = {"speciality": speciality.upper(), "from": f"{day}", "limit": 4}
    first = found(client.get("/slots", params=query))
    places = [doctors[place]["id"] for place in (1, 0, 2, 0)]
    assert [slot["doctorId"] for slot in first] == places
    assert clock_times(first) == ["09:00", "10:00", "10:00", "10:30"]
    for slot in (first[0], first[1], first[3]):
        stored(book(client, patient, {"id": slot["doctorId"]}, slot["start"]))
    left = found(client.get("/slots", params={**query, "limit": 2}))
    assert [slot["doctorId"] for slot in left] == [doctors[2]["id"], doctors[1]["id"]]
    assert starts(left)[1] == at(day + timedelta(days=7), "09:00")


def test_a_speciality_that_nobody_has_is_an_empty_list(client: httpx.Client) -> None:
    assert found(client.get("/slots", params={"speciality": unique()})) == []


# Why not?


@pytest.fixture(params=RULES)
def refused_start(
    request: pytest.FixtureRequest, client: httpx.Client, patient: Json
) -> tuple[str, Json, datetime]:
    """A rule, a doctor, and a start that this rule is the first to be against."""
    rule, day, now = request.param, monday(), datetime.now(UTC)
    notice = {"too_soon": {"minNoticeMinutes": 60 * 24 * 90}, "too_far": {"maxDaysAhead": 20}}
    doctor = doctor_with(client, **notice.get(rule, {}))
    if rule == "time_off":
        take_off(client, doctor, at(day, "09:00"), at(day, "10:00"))
    if rule == "slot_taken":
        stored(book(client, patient, doctor, at(day, "09:00")))
    early = {
        "in_the_past": now - timedelta(days=1),
        "outside_hours": at(day, "12:00"),
        "off_grid": at(day, "09:10"),
    }
    return rule, doctor, early.get(rule, at(day, "09:00"))


def test_each_rule_says_pass_or_fail_and_a_booking_is_refused_with_the_one_that_failed(
    client: httpx.Client, patient: Json, refused_start: tuple[str, Json, datetime]
) -> None:
    rule, doctor, start = refused_start
    said = explained(client, doctor, start)
    assert (said["doctorId"], said["bookable"]) == (doctor["id"], False)
    assert [each["rule"] for each in said["rules"]] == RULES
    assert next(each["rule"] for each in said["rules"] if not each["passed"]) == rule
    status = 409 if rule == "slot_taken" else 422
    refused = problem(book(client, patient, doctor, start), status, rule)
    assert refused["rule"]["rule"] == rule and refused["rule"]["passed"] is False
    assert len(refused["alternatives"]) <= 3


def test_the_nearest_start_that_would_do_does(client: httpx.Client, patient: Json) -> None:
    doctor, day = doctor_with(client), monday()
    said = explained(client, doctor, at(day, "11:40"))
    assert starts([said["nearest"]]) == [at(day, "10:00")]
    stored(book(client, patient, doctor, said["nearest"]["start"]))


def test_a_start_that_can_be_booked_passes_every_rule(
    client: httpx.Client, patient: Json
) -> None:
    doctor, start = doctor_with(client), at(monday(), "14:30")
    said = explained(client, doctor, start)
    assert said["bookable"] and all(each["passed"] for each in said["rules"])
    assert starts([said["nearest"]]) == [start]
    stored(book(client, patient, doctor, start))


def test_the_alternatives_of_a_refused_booking_can_be_booked(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    stored(book(client, register_patient(client), doctor, at(day, "09:30")))
    refused = problem(book(client, patient, doctor, at(day, "09:30")), 409, "slot_taken")
    assert clock_times(refused["alternatives"]) == ["09:00", "10:00", "14:00"]
    for slot in refused["alternatives"]:
        stored(book(client, patient, {"id": slot["doctorId"]}, slot["start"]))


def test_alternatives_are_times_at_which_the_patient_can_come(
    client: httpx.Client, patient: Json
) -> None:
    doctor, other, day = doctor_with(client), doctor_with(client), monday()
    stored(book(client, patient, other, at(day, "09:00")))
    refused = problem(book(client, patient, doctor, at(day, "09:00")), 409, "patient_busy")
    assert clock_times(refused["alternatives"]) == ["09:30", "10:00", "14:00"]


# Moving


def test_a_moved_appointment_keeps_its_id_and_frees_its_old_time(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    booked = stored(book(client, patient, doctor, at(day, "09:00")))
    moved = move(client, booked, date=rfc3339(at(day, "14:00")))
    assert moved.status_code == 200, moved.text
    assert moved.json()["id"] == booked["id"]
    assert starts([{"start": moved.json()["date"]}]) == [at(day, "14:00")]
    assert clock_times(slots_of(client, doctor, day)) == [
        "09:00", "09:30", "10:00", "14:30", "15:00"
    ]
    lines = found(client.get(f"/appointments/{booked['id']}/history"))
    assert [(line["what"], line["date"]) for line in lines] == [
        ("scheduled", booked["date"]), ("rescheduled", moved.json()["date"])
    ]


def test_an_appointment_moves_to_another_doctor(client: httpx.Client, patient: Json) -> None:
    doctor, other, day = doctor_with(client), doctor_with(client), monday()
    booked = stored(book(client, patient, doctor, at(day, "09:00")))
    moved = move(client, booked, doctorId=other["id"])
    assert (moved.status_code, moved.json()["doctorId"]) == (200, other["id"])
    assert len(slots_of(client, doctor, day)) == 6
    assert len(slots_of(client, other, day)) == 5


def test_a_move_that_is_refused_leaves_everything_as_it_was(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    stored(book(client, register_patient(client), doctor, at(day, "14:00")))
    booked = stored(book(client, patient, doctor, at(day, "09:00")))
    before = client.get(f"/appointments/{booked['id']}")
    refused = move(client, booked, date=rfc3339(at(day, "14:00")))
    assert problem(refused, 409, "slot_taken")["alternatives"]
    problem(move(client, booked, date=rfc3339(at(day, "12:00"))), 422, "outside_hours")
    after = client.get(f"/appointments/{booked['id']}")
    assert after.json() == before.json()
    assert after.headers["ETag"] == before.headers["ETag"]
    assert "09:00" not in clock_times(slots_of(client, doctor, day))


def test_of_two_who_move_what_they_have_read_the_second_is_told(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    booked = stored(book(client, patient, doctor, at(day, "09:00")))
    path = f"/appointments/{booked['id']}"
    etag = client.get(path).headers["ETag"]
    assert move(client, booked, etag=etag, date=rfc3339(at(day, "10:00"))).status_code == 200
    stale = move(client, booked, etag=etag, date=rfc3339(at(day, "14:00")))
    problem(stale, 412, "precondition_failed")
    unread = client.patch(path, json={"date": rfc3339(at(day, "14:00"))})
    problem(unread, 428, "precondition_required")
    assert starts([{"start": client.get(path).json()["date"]}]) == [at(day, "10:00")]


# Statuses


def set_status(client: httpx.Client, appointment: Json, status: str) -> httpx.Response:
    path = f"/appointments/{appointment['id']}/status"
    return client.post(path, json={"status": status})


def test_before_its_start_a_patient_can_arrive_and_nothing_else_be_said(
    client: httpx.Client, patient: Json
) -> None:
    doctor = doctor_with(client)
    booked = stored(book(client, patient, doctor, at(monday(), "09:00")))
    for early in ("noshow", "fulfilled"):
        refused = problem(set_status(client, booked, early), 409, "move_not_allowed")
        assert (refused["current"], refused["allowed"]) == ("booked", ["arrived"])
    arrived = set_status(client, booked, "arrived")
    assert (arrived.status_code, arrived.json()["status"]) == (200, "arrived")
    assert set_status(client, booked, "arrived").status_code == 200
    lines = found(client.get(f"/appointments/{booked['id']}/history"))
    assert [line["status"] for line in lines] == ["booked", "arrived"]
    problem(move(client, booked, date=rfc3339(at(monday(), "10:00"))), 409, "not_booked")


def test_what_is_cancelled_stays_so_and_cancelling_again_is_quiet(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    booked = stored(book(client, patient, doctor, at(day, "09:00")))
    path = f"/appointments/{booked['id']}"
    for _ in range(2):
        assert client.delete(path, params={"reason": "ill"}).status_code == 204
    refused = problem(set_status(client, booked, "arrived"), 409, "move_not_allowed")
    assert (refused["current"], refused["allowed"]) == ("cancelled", [])
    assert [line["what"] for line in found(client.get(f"{path}/history"))] == [
        "scheduled", "cancelled"
    ]
    assert len(slots_of(client, doctor, day)) == 6


# Lists


def test_a_day_of_a_doctor_is_read_page_by_page_in_order(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    booked = [
        stored(book(client, patient, doctor, slot["start"]))["id"]
        for slot in reversed(slots_of(client, doctor, day))
    ]
    query = {"doctorId": doctor["id"], "from": f"{day}", "to": f"{day + timedelta(days=1)}"}
    assert all_pages(client, {**query, "limit": 4}) == list(reversed(booked))
    assert all_pages(client, {**query, "status": "cancelled"}) == []
    assert all_pages(client, {"doctorId": doctor["id"], "unresolved": "true"}) == []


def all_pages(client: httpx.Client, query: Json) -> list[int]:
    ids, cursor = list[int](), dict[str, str]()
    while True:
        page = client.get("/appointments", params={**query, **cursor})
        ids += [each["id"] for each in found(page)]
        if page.json()["nextCursor"] is None:
            assert "Link" not in page.headers
            return ids
        assert 'rel="next"' in page.headers["Link"]
        cursor = {"cursor": page.json()["nextCursor"]}


# Time off


def time_off_body(start: datetime, end: datetime) -> Json:
    return {"start": rfc3339(start), "end": rfc3339(end), "reason": "A course"}


def take_off(client: httpx.Client, doctor: Json, start: datetime, end: datetime) -> Json:
    path = f"/doctors/{doctor['id']}/time-off"
    return stored(client.post(path, json=time_off_body(start, end)))


def uncovered(client: httpx.Client, doctor: Json) -> set[int]:
    query = {"uncovered": "true", "doctorId": doctor["id"]}
    return {each["id"] for each in found(client.get("/appointments", params=query))}


def test_time_off_shows_whom_it_affects_and_flags_them_and_cancels_nothing(
    client: httpx.Client, patient: Json, published: "Published"
) -> None:
    doctor, day = doctor_with(client), monday()
    hit, missed = (
        stored(book(client, patient, doctor, at(day, clock)))["id"] for clock in ("09:30", "14:00")
    )
    path = f"/doctors/{doctor['id']}/time-off"
    body = time_off_body(at(day, "09:00"), at(day, "12:00"))
    tried = client.post(path, json=body, params={"dryRun": "true"})
    assert (tried.status_code, tried.json()["affected"]) == (200, [hit])
    assert found(client.get(path)) == [] and len(slots_of(client, doctor, day)) == 4

    away = stored(client.post(path, json=body))
    assert away["affected"] == [hit]
    assert [each["id"] for each in found(client.get(path))] == [away["id"]]
    assert clock_times(slots_of(client, doctor, day)) == ["14:30", "15:00"]
    eventually(lambda: uncovered(client, doctor) == {hit}, what="uncovered")
    flagged = client.get(f"/appointments/{hit}").json()
    assert (flagged["status"], flagged["uncovered"]) == ("booked", True)
    published.wait_for(hit, ["scheduled", "uncovered"])

    assert client.delete(f"{path}/{away['id']}").status_code == 204
    eventually(lambda: uncovered(client, doctor) == set(), what="covered")
    published.wait_for(hit, ["scheduled", "uncovered", "covered"])
    published.wait_for(missed, ["scheduled"])
    assert client.get(f"/appointments/{hit}").json()["status"] == "booked"


def test_a_new_schedule_flags_what_it_has_no_room_for_and_a_move_into_its_hours_mends_it(
    client: httpx.Client, patient: Json, published: "Published"
) -> None:
    doctor, day = doctor_with(client), monday()
    booked = stored(book(client, patient, doctor, at(day, "09:00")))
    set_schedule(client, doctor, schedule_body(weekly=[window("mon", "14:00", "15:30")]))
    eventually(lambda: uncovered(client, doctor) == {booked["id"]}, what="uncovered")
    moved = move(client, booked, date=rfc3339(at(day, "14:00")))
    assert (moved.status_code, moved.json()["uncovered"]) == (200, False)
    published.wait_for(booked["id"], ["scheduled", "uncovered", "rescheduled", "covered"])


def test_nothing_is_offered_or_booked_while_the_doctor_is_away(
    client: httpx.Client, patient: Json
) -> None:
    doctor, day = doctor_with(client), monday()
    take_off(client, doctor, at(day, "10:00"), at(day, "14:30"))
    assert clock_times(slots_of(client, doctor, day)) == ["09:00", "09:30", "14:30", "15:00"]
    refused = book(client, patient, doctor, at(day, "14:00"))
    assert problem(refused, 422, "time_off")["alternatives"]


class Published:
    """The events that a system's relays have put on the broker."""

    def __init__(self, url: URL) -> None:
        self._url = url

    def of(self, appointment_id: int) -> list[str]:
        """Their names, by ``sequence``, which has no gap."""
        wanted = text(
            "SELECT body FROM outbox WHERE subject = :subject AND published_at IS NOT NULL "
            "ORDER BY sequence"
        )
        with snapshot(self._url) as connection:
            rows = connection.execute(wanted, {"subject": str(appointment_id)}).scalars().all()
        events = [json.loads(row) for row in rows]
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        return [event["type"].removeprefix("appointment.") for event in events]

    def wait_for(self, appointment_id: int, names: list[str]) -> None:
        eventually(lambda: self.of(appointment_id) == names, what=f"{names}")


@pytest.fixture
def published(system: System) -> Published:
    if "DATABASE_URL" not in system.environ:
        file = f"{system.environ['DATA_DIR']}/appointment.sqlite3"
        return Published(URL.create("sqlite", database=file))
    url = make_url(system.environ["DATABASE_URL"])
    return Published(url.set(database=f"{url.database}_appointment"))


# In the end


@pytest.fixture
def options(system: System) -> list[str]:
    return [] if "DATABASE_URL" in system.environ else ["--embedded"]


def test_the_check_finds_nothing_wrong_with_the_day(
    system: System, client: httpx.Client, patient: Json, options: list[str]
) -> None:
    doctor = doctor_with(client)
    stored(book(client, patient, doctor, at(monday(), "09:00")))
    said = succeed(clinic("check", *options), environ=system.environ)
    assert said.endswith("Nothing is wrong.\n")
