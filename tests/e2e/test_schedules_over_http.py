"""Schedules, times off, slots and lists over HTTP, in each mode: what is asked, sent and told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.desk import (
    Desk,
    Json,
    book,
    eventually,
    morning,
    patient_body,
    problem,
    refused_fields,
    register_doctor,
    register_patient,
    rfc3339,
    schedule_body,
    stored,
    time_off_body,
    unique,
)
from tests.systems import System

DEFAULTS = {
    "exceptions": [], "minNoticeMinutes": 0, "maxDaysAhead": 365, "bufferMinutes": 0,
    "slotMinutes": 30,
}


@pytest.fixture
def doctor(client: httpx.Client) -> Json:
    return register_doctor(client, speciality=f"Speciality {unique()}")


@pytest.fixture
def patient(client: httpx.Client) -> Json:
    return register_patient(client)


@pytest.fixture
def desk(system: System) -> Iterator[Desk]:
    with ExitStack() as ending:
        yield Desk(system, ending)


def put_schedule(client: httpx.Client, doctor: Json, body: Json) -> httpx.Response:
    address = f"/doctors/{doctor['id']}/schedule"
    return client.put(address, json=body, headers={"If-Match": "*"})


def put(client: httpx.Client, doctor: Json, *windows: str, **changes: Any) -> Json:
    answer = put_schedule(client, doctor, schedule_body(*windows, **changes))
    assert answer.status_code == 200, answer.text
    schedule: Json = answer.json()
    return schedule


def every_day(hours: str) -> list[str]:
    return [f"{day} {hours}" for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")]


def day_of(moment: datetime) -> Json:
    """The query for the slots of one day."""
    return {"from": f"{moment:%Y-%m-%d}", "to": f"{moment + timedelta(days=1):%Y-%m-%d}"}


def starts(client: httpx.Client, doctor: Json, **query: Any) -> list[str]:
    answer = client.get(f"/doctors/{doctor['id']}/slots", params=query)
    assert answer.status_code == 200, answer.text
    return [slot["start"] for slot in answer.json()["items"]]


# Schedules


def test_a_doctor_without_a_schedule_has_none_and_the_defaults(
    client: httpx.Client, doctor: Json
) -> None:
    told = client.get(f"/doctors/{doctor['id']}/schedule").json()
    assert told == {"timezone": "UTC", "weekly": None, **DEFAULTS}


def test_a_schedule_is_told_as_it_was_set(client: httpx.Client, doctor: Json) -> None:
    sent = {
        "timezone": "Europe/Berlin",
        "slotMinutes": 20,
        "weekly": [
            {"day": "mon", "start": "09:00", "end": "12:00"},
            {"day": "mon", "start": "13:00", "end": "24:00"},
        ],
        "exceptions": [
            {"date": "2027-05-17", "windows": []},
            {"date": "2027-05-24", "windows": [{"start": "10:00", "end": "11:00"}]},
        ],
        "minNoticeMinutes": 90,
        "maxDaysAhead": 60,
        "bufferMinutes": 5,
    }
    answer = put_schedule(client, doctor, sent)
    assert (answer.status_code, answer.json()) == (200, sent)
    assert client.get(f"/doctors/{doctor['id']}/schedule").json() == sent
    assert client.get(f"/doctors/{doctor['id']}").json()["timezone"] == "Europe/Berlin"


def test_what_a_schedule_leaves_out_is_the_default(client: httpx.Client, doctor: Json) -> None:
    answer = put_schedule(client, doctor, {"weekly": []})
    assert answer.json() == {"timezone": "UTC", "weekly": [], **DEFAULTS}


def test_the_largest_schedule_there_may_be_is_taken(client: httpx.Client, doctor: Json) -> None:
    windows = [f"{day} {h:02}:00-{h:02}:45" for day in ("mon", "tue", "wed", "thu")
               for h in range(24)]
    first = datetime(2027, 1, 1, tzinfo=UTC)
    days = [f"{first + timedelta(days=number):%Y-%m-%d}" for number in range(400)]
    two = [{"start": "09:00", "end": "12:00"}, {"start": "13:00", "end": "17:00"}]
    exceptions = [{"date": day, "windows": two} for day in days]
    sent = schedule_body(*windows, exceptions=exceptions)
    answer = put_schedule(client, doctor, sent)
    assert answer.status_code == 200, answer.text
    assert client.get(f"/doctors/{doctor['id']}/schedule").json() == {**DEFAULTS, **sent}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weekly": [{"day": "mon", "start": "09:00", "end": "12:00"},
                     {"day": "mon", "start": "11:00", "end": "13:00"}]}, "weekly.1.start"),
        ({"weekly": [{"day": "mon", "start": "12:00", "end": "12:00"}]}, "weekly.0.end"),
        ({"weekly": [{"day": "Monday", "start": "09:00", "end": "12:00"}]}, "weekly.0.day"),
        ({"weekly": None}, "weekly"),
        ({"weekly": {}}, "weekly"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"slotMinutes": 7}, "slotMinutes"),
        ({"exceptions": [{"date": "2027-02-30", "windows": []}]}, "exceptions.0.date"),
        ({"exceptions": [{"date": "2027-05-17", "windows": []}] * 2}, "exceptions.1.date"),
        ({"version": 1}, "version"),
    ],
)
def test_a_schedule_with_a_bad_field_is_refused_by_its_name_and_not_kept(
    client: httpx.Client, doctor: Json, changes: Json, field: str
) -> None:
    before = client.get(f"/doctors/{doctor['id']}/schedule")
    assert refused_fields(put_schedule(client, doctor, {**schedule_body(), **changes})) == {field}
    after = client.get(f"/doctors/{doctor['id']}/schedule")
    assert (after.json(), after.headers["ETag"]) == (before.json(), before.headers["ETag"])


# Time off


def take_off(
    client: httpx.Client, doctor: Json, *, key: str | None = None, query: str = "", **changes: Any
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = time_off_body(40, **changes)
    return client.post(f"/doctors/{doctor['id']}/time-off{query}", json=body, headers=headers)


def test_time_off_tells_which_appointments_it_affects(
    client: httpx.Client, doctor: Json, patient: Json
) -> None:
    start = morning(40)
    off = stored(book(client, register_patient(client), doctor, start))
    assert client.delete(f"/appointments/{off['id']}").status_code == 204
    inside = [stored(book(client, patient, doctor, start + timedelta(minutes=minutes)))["id"]
              for minutes in (-15, 15, 45)]
    for outside in (start - timedelta(hours=1), start + timedelta(hours=2)):
        stored(book(client, patient, doctor, outside))
    dry = take_off(client, doctor, query="?dryRun=true")
    assert (dry.status_code, dry.json()["id"], dry.json()["affected"]) == (200, None, inside)
    assert client.get(f"/doctors/{doctor['id']}/time-off").json()["items"] == []
    answer = take_off(client, doctor)
    taken = stored(answer)
    assert taken == {**time_off_body(40), "id": taken["id"], "affected": inside}
    assert answer.headers["Location"] == f"/doctors/{doctor['id']}/time-off/{taken['id']}"
    (listed,) = client.get(f"/doctors/{doctor['id']}/time-off").json()["items"]
    assert listed == taken


def test_what_time_off_affects_is_marked_not_cancelled_until_it_is_taken_back(
    client: httpx.Client, doctor: Json, patient: Json
) -> None:
    booked = stored(book(client, patient, doctor, morning(40)))
    taken = stored(take_off(client, doctor))
    query = {"doctorId": doctor["id"], "uncovered": "true"}

    def uncovered() -> list[int]:
        return [each["id"] for each in client.get("/appointments", params=query).json()["items"]]

    eventually(lambda: uncovered() == [booked["id"]], what="uncovered")
    told = client.get(f"/appointments/{booked['id']}").json()
    assert (told["status"], told["uncovered"]) == ("booked", True)
    gone = client.delete(f"/doctors/{doctor['id']}/time-off/{taken['id']}")
    assert (gone.status_code, gone.content) == (204, b"")
    eventually(lambda: uncovered() == [], what="covered")


def test_time_off_sent_again_is_taken_once(client: httpx.Client, doctor: Json) -> None:
    key = unique()
    first, again = (take_off(client, doctor, key=key) for _ in range(2))
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(client.get(f"/doctors/{doctor['id']}/time-off").json()["items"]) == 1
    other = take_off(client, doctor, key=key, reason="Another one")
    problem(other, 422, "idempotency_key_reused")


def test_time_off_sent_many_times_at_once_is_taken_once(system: System) -> None:
    with system.client() as client:
        doctor, key = register_doctor(client), unique()

    def send(_: int) -> int:
        with system.client() as mine:
            return take_off(mine, doctor, key=key).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(send, range(6))) <= {201, 409}
    with system.client() as client:
        assert len(client.get(f"/doctors/{doctor['id']}/time-off").json()["items"]) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"end": None}, "end"),
        ({"end": rfc3339(morning(40))}, "end"),
        ({"start": rfc3339(morning(-3)), "end": rfc3339(morning(-2))}, "end"),
        ({"start": "tomorrow"}, "start"),
        ({"reason": ""}, "reason"),
        ({"affected": []}, "affected"),
    ],
)
@pytest.mark.parametrize("query", ["", "?dryRun=true"])
def test_time_off_with_a_bad_field_is_refused_by_its_name(
    client: httpx.Client, doctor: Json, changes: Json, field: str, query: str
) -> None:
    assert refused_fields(take_off(client, doctor, query=query, **changes)) == {field}
    assert client.get(f"/doctors/{doctor['id']}/time-off").json()["items"] == []


def test_time_off_is_listed_a_page_at_a_time(client: httpx.Client, doctor: Json) -> None:
    ids = [stored(take_off(client, doctor))["id"] for _ in range(3)]
    first = client.get(f"/doctors/{doctor['id']}/time-off", params={"limit": 2})
    assert [each["id"] for each in first.json()["items"]] == ids[:2]
    second = client.get(first.links["next"]["url"]).json()
    assert ([each["id"] for each in second["items"]], second["nextCursor"]) == (ids[2:], None)


def test_only_the_doctors_own_time_off_can_be_given_back(
    client: httpx.Client, doctor: Json
) -> None:
    theirs = stored(take_off(client, register_doctor(client)))["id"]
    for number in (theirs, 2**62):
        gone = client.delete(f"/doctors/{doctor['id']}/time-off/{number}")
        assert problem(gone, 404, "not_found")["detail"] == f"There is no time off {number}."


# Slots


def test_slots_are_the_starts_that_can_be_booked(
    client: httpx.Client, doctor: Json, patient: Json
) -> None:
    put(client, doctor, *every_day("09:00-11:00"))
    day = morning(20)
    offered = starts(client, doctor, **day_of(day))
    assert offered == [rfc3339(day + timedelta(minutes=30 * each)) for each in range(4)]
    stored(book(client, patient, doctor, offered[1]))
    assert starts(client, doctor, **day_of(day)) == [offered[0], *offered[2:]]
    assert starts(client, doctor, **day_of(day), durationMinutes=60) == [offered[2]]


def test_slots_of_instants_take_offsets_however_the_plus_is_written(
    client: httpx.Client, doctor: Json
) -> None:
    put(client, doctor, *every_day("09:00-11:00"))
    day = f"{morning(20):%Y-%m-%d}"
    expected = [f"{day}T09:30:00Z", f"{day}T10:00:00Z"]
    for since, until in (("10:30:00+01:00", "11:30:00+01:00"), ("09:30", "10:30"),
                         ("04:30:00-05:00", "10:30Z")):
        for quoted in (quote, str):
            query = f"from={quoted(f'{day}T{since}')}&to={quoted(f'{day}T{until}')}"
            found = client.get(f"/doctors/{doctor['id']}/slots?{query}").json()["items"]
            assert [slot["start"] for slot in found] == expected, query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "tomorrow"}, "from"),
        ({"to": "2027-02-30"}, "to"),
        ({"from": "2031-05-01", "to": "2031-04-01"}, "to"),
        ({"from": "2031-05-01", "to": "2031-06-02"}, "to"),
        ({"from": "2031-05-01T00:00Z", "to": "2031-06-01T00:01Z"}, "to"),
        ({"durationMinutes": "7"}, "durationMinutes"),
        ({"durationMinutes": "half an hour"}, "durationMinutes"),
        ({"limit": "5"}, "limit"),
    ],
)
def test_a_question_for_slots_that_makes_no_sense_is_refused_by_its_parameter(
    client: httpx.Client, doctor: Json, query: Json, field: str
) -> None:
    assert refused_fields(client.get(f"/doctors/{doctor['id']}/slots", params=query)) == {field}


def test_the_first_slots_are_the_earliest_of_all_doctors_of_a_speciality(
    client: httpx.Client, doctor: Json, patient: Json
) -> None:
    other = register_doctor(client, speciality=doctor["speciality"].upper())
    put(client, doctor, *every_day("09:00-10:00"))
    put(client, other, *every_day("09:30-10:30"))
    day = morning(20)
    query = {"speciality": doctor["speciality"], "from": f"{day:%Y-%m-%d}", "limit": "3"}
    found = client.get("/slots", params=query).json()["items"]
    half = timedelta(minutes=30)
    first, second = (day, doctor["id"]), (day + half, doctor["id"])
    assert [(slot["start"], slot["doctorId"]) for slot in found] == [
        (rfc3339(start), number)
        for start, number in (first, second, (day + half, other["id"]))
    ]
    assert stored(book(client, patient, {"id": found[0]["doctorId"]}, found[0]["start"]))


def test_without_a_speciality_the_first_slots_are_those_of_all_doctors(
    client: httpx.Client, doctor: Json
) -> None:
    other = register_doctor(client, speciality=unique())
    for each in (doctor, other):
        # At five past nobody else begins, with a schedule or without.
        put(client, each, *every_day("12:05-12:35"))
    since, start = (f"{morning(20):%Y-%m-%d}T12:0{minute}:00Z" for minute in (1, 5))
    found = client.get("/slots", params={"from": since, "limit": 100}).json()["items"]
    first = {slot["doctorId"] for slot in found if slot["start"] == start}
    assert first >= {doctor["id"], other["id"]}


@pytest.mark.parametrize(
    ("query", "field"),
    [({"speciality": ""}, "speciality"), ({"limit": "101"}, "limit"), ({"limit": "ten"}, "limit")],
)
def test_a_question_for_the_first_slots_that_makes_no_sense_is_refused(
    client: httpx.Client, query: Json, field: str
) -> None:
    assert refused_fields(client.get("/slots", params=query)) == {field}


def test_a_start_is_explained_rule_by_rule_and_nobody_is_named(desk: Desk) -> None:
    doctor, hers = desk.doctor(), desk.patient()
    put(desk.admin, doctor.record, *every_day("09:00-11:00"))
    booked = stored(book(desk.admin, hers.record, doctor.record, morning(20)))
    other, address = desk.patient().client, f"/doctors/{doctor.id}/slots"
    answers = [
        other.get(f"{address}/explain", params={"start": booked["date"]}),
        other.get(address, params=day_of(morning(20))),
        other.get(f"{address}/explain", params={"start": rfc3339(morning(21))}),
    ]
    why = answers[0].json()
    assert why["bookable"] is False and answers[2].json()["bookable"] is True
    assert [each["rule"] for each in why["rules"]] == [
        "in_the_past", "too_soon", "too_far", "outside_hours", "off_grid", "time_off", "slot_taken"
    ]
    assert [each["rule"] for each in why["rules"] if not each["passed"]] == ["slot_taken"]
    assert why["nearest"]["start"] == rfc3339(morning(20) + timedelta(minutes=30))
    known = {"doctorId", "start", "end", "bookable", "rules", "nearest", "rule", "passed", "since",
             "until", "minutes", "items"}
    for answer in answers:
        assert answer.status_code == 200 and members(answer.json()) <= known


def members(told: Any) -> set[str]:
    """The names of all members, however deep."""
    if isinstance(told, dict):
        return set(told) | {name for each in told.values() for name in members(each)}
    return {name for each in told for name in members(each)} if isinstance(told, list) else set()


def test_a_refused_booking_tells_which_rule_and_what_would_do(
    client: httpx.Client, doctor: Json, patient: Json
) -> None:
    put(client, doctor, *every_day("09:00-11:00"))
    taken = stored(book(client, register_patient(client), doctor, morning(20)))
    refused = problem(book(client, patient, doctor, taken["date"]), 409, "slot_taken")
    assert refused["rule"]["rule"] == "slot_taken" and refused["rule"]["passed"] is False
    assert len(refused["alternatives"]) == 3
    for slot in refused["alternatives"]:
        assert slot.keys() == {"start", "end", "doctorId"}
        stored(book(client, register_patient(client), {"id": slot["doctorId"]}, slot["start"]))
    early = problem(book(client, patient, doctor, morning(20) - timedelta(hours=2)), 422,
                    "outside_hours")
    assert early["rule"]["since"] == rfc3339(morning(20))


# Lists


def test_doctors_are_found_by_words_of_the_name_and_by_speciality(client: httpx.Client) -> None:
    word, speciality = f"q{unique()}", f"Eyes {unique()}"
    both = register_doctor(client, name=f"Dr Zo\u00eb {word}", speciality=speciality)
    named = register_doctor(client, name=f"{word.upper()} Jones")
    special = register_doctor(client, speciality=speciality.upper())

    def found(**query: str) -> list[int]:
        return [each["id"] for each in client.get("/doctors", params=query).json()["items"]]

    assert found(q=word) == [both["id"], named["id"]]
    assert found(q=f"{word} zoe") == [both["id"]]
    assert found(speciality=speciality.lower()) == [both["id"], special["id"]]
    assert found(q=word, speciality=speciality) == [both["id"]]
    assert found(q=f"nobody{word}") == []


def test_a_patient_finds_doctors_and_nothing_private_of_them(desk: Desk) -> None:
    doctor = register_doctor(desk.admin, speciality=unique())
    query = {"speciality": doctor["speciality"]}
    (told,) = desk.patient().client.get("/doctors", params=query).json()["items"]
    assert told == {name: doctor[name] for name in ("id", "name", "speciality", "timezone")}


def test_appointments_are_found_by_each_filter(client: httpx.Client, doctor: Json) -> None:
    one, two = register_patient(client), register_patient(client)
    first = stored(book(client, one, doctor, morning(30)))["id"]
    second = stored(book(client, two, doctor, morning(31)))["id"]
    third = stored(book(client, one, doctor, morning(32)))["id"]
    client.delete(f"/appointments/{third}")
    hers = {"doctorId": doctor["id"]}

    def found(**query: Any) -> list[int]:
        return [each["id"] for each in client.get("/appointments", params=query).json()["items"]]

    assert found(**hers) == [first, second, third]
    assert found(patientId=one["id"]) == [first, third]
    assert found(**hers, status="cancelled") == [third]
    assert found(**hers, **day_of(morning(31))) == [second]
    assert found(**hers, **{"from": rfc3339(morning(31)), "to": rfc3339(morning(32))}) == [second]
    assert found(**hers, unresolved="true") == found(**hers, uncovered="true") == []
    assert found(**hers, unresolved="false", uncovered="false") == [first, second, third]


def test_a_page_of_appointments_leads_on_to_the_next_whatever_is_booked_meanwhile(
    client: httpx.Client, doctor: Json
) -> None:
    days = [34, 30, 32, 31, 33]
    booked = {day: stored(book(client, register_patient(client), doctor, morning(day)))["id"]
              for day in days}
    answer = client.get("/appointments", params={"doctorId": doctor["id"], "limit": 2})
    seen = [each["id"] for each in answer.json()["items"]]
    # Before what was seen, so it does not move the rest.
    stored(book(client, register_patient(client), doctor, morning(29)))
    while "next" in answer.links:
        answer = client.get(answer.links["next"]["url"])
        seen += [each["id"] for each in answer.json()["items"]]
    assert seen == [booked[day] for day in sorted(days)]
    assert answer.json()["nextCursor"] is None


def test_patients_and_doctors_find_their_own_whomever_they_ask_for(desk: Desk) -> None:
    doctor, other = desk.doctor(), desk.doctor()
    hers, his = desk.patient(), desk.patient()
    one = stored(book(desk.admin, hers.record, doctor.record, morning(30)))["id"]
    two = stored(book(desk.admin, his.record, doctor.record, morning(31)))["id"]
    three = stored(book(desk.admin, hers.record, other.record, morning(32)))["id"]
    for query in ({}, {"patientId": his.id}, {"patientId": hers.id}):
        items = hers.client.get("/appointments", params=query).json()["items"]
        assert [each["id"] for each in items] == [one, three], query
    items = doctor.client.get("/appointments", params={"doctorId": other.id}).json()["items"]
    assert [each["id"] for each in items] == [one, two]
    # What is asked besides is asked of their own.
    items = hers.client.get("/appointments", params={"doctorId": other.id}).json()["items"]
    assert [each["id"] for each in items] == [three]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"patientId": "one"}, "patientId"), ({"doctorId": "0"}, "doctorId"),
        ({"status": "late"}, "status"), ({"from": "soon"}, "from"), ({"to": "2027-02-30"}, "to"),
        ({"unresolved": "maybe"}, "unresolved"), ({"uncovered": "1"}, "uncovered"),
        ({"limit": "0"}, "limit"), ({"cursor": "AAAA"}, "cursor"), ({"after": "1"}, "after"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_by_its_name(
    client: httpx.Client, query: Json, field: str
) -> None:
    assert refused_fields(client.get("/appointments", params=query)) == {field}


# What becomes of an appointment


def test_a_moved_appointment_is_the_same_and_its_history_tells_what_it_was(
    desk: Desk
) -> None:
    doctor, patient = desk.doctor(), desk.patient()
    booked = stored(book(patient.client, patient.record, doctor.record, morning(30)))
    address = f"/appointments/{booked['id']}"
    moved = patient.client.patch(
        address, json={"date": rfc3339(morning(31)), "durationMinutes": 45},
        headers={"If-Match": patient.client.get(address).headers["ETag"]},
    )
    assert moved.status_code == 200, moved.text
    told = {**booked, "date": rfc3339(morning(31)), "durationMinutes": 45,
            "end": rfc3339(morning(31) + timedelta(minutes=45)),
            "updatedAt": moved.json()["updatedAt"]}
    assert moved.json() == told
    arrived = doctor.client.post(f"{address}/status", json={"status": "arrived"})
    assert (arrived.status_code, arrived.json()["status"]) == (200, "arrived")
    history = patient.client.get(f"{address}/history").json()["items"]
    assert [(line["what"], line["actorRole"], line["date"]) for line in history] == [
        ("scheduled", "patient", rfc3339(morning(30))),
        ("rescheduled", "patient", rfc3339(morning(31))),
        ("status_changed", "doctor", rfc3339(morning(31))),
    ]
    assert [line["version"] for line in history] == [1, 2, 3]


def test_a_status_that_may_not_come_next_is_refused_with_those_that_may(
    client: httpx.Client, doctor: Json, patient: Json
) -> None:
    booked = stored(book(client, patient, doctor, morning(30)))
    answer = client.post(f"/appointments/{booked['id']}/status", json={"status": "fulfilled"})
    refused = problem(answer, 409, "move_not_allowed")
    assert (refused["current"], refused["allowed"]) == ("booked", ["arrived"])


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "body"), ({"date": "soon"}, "date"), ({"status": "arrived"}, "status"),
     ({"patientId": 1}, "patientId"), ({"durationMinutes": 7}, "durationMinutes")],
)
def test_a_move_with_a_bad_field_is_refused_by_its_name_and_changes_nothing(
    client: httpx.Client, doctor: Json, body: Json, field: str
) -> None:
    booked = stored(book(client, stored(client.post("/patients", json=patient_body())), doctor,
                         morning(30)))
    address = f"/appointments/{booked['id']}"
    refused = client.patch(address, json=body, headers={"If-Match": "*"})
    assert refused_fields(refused) == {field}
    assert client.get(address).json() == booked
