"""Hours and times off on real databases: versions, events, and what bookings are told."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.engine import URL

from config.encryption import Unreadable
from doctor.models import Doctor, Outbox, Schedule, TimeOff
from doctor.service import DoctorService
from schemas import errors
from schemas.fields import as_instant
from schemas.schedule import ScheduleSchema, timetable, timetable_of
from tests.integration.clinic import Clinic
from tests.integration.databases import migrated
from tests.integration.people import word
from tests.vaults import vault_for
from tests.waiting import PATIENCE

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
UNKNOWN = 2**62
MORNINGS = {
    "timezone": "Europe/Berlin",
    "slotMinutes": 30,
    "weekly": [
        {"day": "tue", "start": "09:00", "end": "12:00"},
        {"day": "mon", "start": "13:00", "end": "24:00"},
        {"day": "mon", "start": "08:30", "end": "12:00"},
    ],
    "exceptions": [
        {"date": "2027-05-17", "windows": []},
        {"date": "2027-05-16", "windows": [{"start": "10:00", "end": "11:00"}]},
    ],
    "minNoticeMinutes": 60,
    "maxDaysAhead": 90,
    "bufferMinutes": 5,
}
DEFAULTS = {
    "slotMinutes": 30,
    "exceptions": [],
    "minNoticeMinutes": 0,
    "maxDaysAhead": 365,
    "bufferMinutes": 0,
}
EASTER = {"start": "2027-03-26T00:00:00Z", "end": "2027-03-30T00:00:00Z", "reason": "Easter"}

EASTER_LOCAL = {"start": "2027-03-26T00:00:00", "end": "2027-03-30T00:00:00Z"}


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    with migrated("doctor", database_urls["doctor"], vault_for("doctor")) as engine:
        yield engine


@pytest.fixture
def clinic(engine: Engine) -> Clinic:
    return Clinic({"doctor": engine})


@pytest.fixture
def open_at_noon(clinic: Clinic) -> Callable[..., DoctorService]:
    """The service as it is at ``NOW``; several, for who works at the same time."""

    def service(key: str | None = None) -> DoctorService:
        service = clinic.doctors(key)
        service.clock = lambda: NOW
        return service

    return service


@pytest.fixture
def doctors(open_at_noon: Callable[..., DoctorService]) -> DoctorService:
    return open_at_noon()


def sent(**fields: Any) -> dict[str, Any]:
    return {"name": f"Dr {word()}", "phone": "+442079460321", "speciality": word()} | fields


@pytest.fixture
def garrett(doctors: DoctorService) -> int:
    """A doctor in London."""
    return int(doctors.create(sent())["id"])


def told(clinic: Clinic, doctor_id: int) -> list[tuple[str, int | None]]:
    """The names of the events about the doctor, with the version of the timetable they tell; in
    a sequence without a gap."""
    events = clinic.events(Outbox, "doctor", subject=str(doctor_id))
    assert [each["sequence"] for each in events] == [*range(1, len(events) + 1)]
    return [(each["type"], each["data"].get("scheduleVersion")) for each in events]


def stored(clinic: Clinic, table: Any, doctor_id: int) -> list[Any]:
    with clinic.session("doctor") as session:
        return list(session.scalars(select(table).filter_by(doctor_id=doctor_id)))


# Schedules


def test_a_doctor_without_a_schedule_has_the_version_0_of_none(
    doctors: DoctorService, garrett: int
) -> None:
    assert doctors.get_schedule(garrett) == {
        "timezone": "Europe/London", "weekly": None, **DEFAULTS, "version": 0
    }


def test_a_schedule_is_answered_as_it_was_sent(doctors: DoctorService, garrett: int) -> None:
    answer = doctors.set_schedule(garrett, MORNINGS)
    assert answer == {**MORNINGS, "version": 1}
    assert doctors.get_schedule(garrett) == answer


def test_a_schedule_is_replaced_as_a_whole_and_counted_though_nothing_changes(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    doctors.set_schedule(garrett, MORNINGS)
    for version in (2, 3):
        assert doctors.set_schedule(garrett, {"weekly": []}) == {
            "timezone": "Europe/Berlin", "weekly": [], **DEFAULTS, "version": version
        }
    assert told(clinic, garrett)[-1] == ("doctor.schedule_changed", 3)


def test_the_time_zone_of_a_schedule_becomes_the_doctors(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    before = doctors.get(garrett)
    doctors.set_schedule(garrett, MORNINGS)
    after = doctors.get(garrett)
    assert (after["timezone"], after["version"]) == ("Europe/Berlin", before["version"] + 1)
    doctors.set_schedule(garrett, MORNINGS)
    doctors.set_schedule(garrett, MORNINGS | {"timezone": None})
    assert doctors.get(garrett) == after
    assert told(clinic, garrett) == [
        ("doctor.registered", None),
        ("doctor.updated", None),
        ("doctor.schedule_changed", 1),
        ("doctor.schedule_changed", 2),
        ("doctor.schedule_changed", 3),
    ]


def test_a_doctor_who_moves_has_another_schedule_by_the_same_hours(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    doctors.set_schedule(garrett, {"weekly": []})
    doctors.update(garrett, sent(timezone="Asia/Tokyo"))
    moved = doctors.get_schedule(garrett)
    assert (moved["timezone"], moved["version"]) == ("Asia/Tokyo", 2)
    assert told(clinic, garrett)[2:] == [("doctor.updated", None), ("doctor.schedule_changed", 2)]


def test_a_doctor_who_moves_without_a_schedule_still_tells_of_it(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    doctors.update(garrett, sent(timezone="Asia/Tokyo"))
    assert doctors.get_schedule(garrett)["weekly"] is None
    assert doctors.availability(garrett)["schedule"] is None
    assert told(clinic, garrett)[1:] == [("doctor.updated", None), ("doctor.schedule_changed", 1)]


def test_each_time_zone_in_which_no_schedule_is_shown_has_a_version_of_its_own(
    doctors: DoctorService, garrett: int
) -> None:
    shown = [doctors.get_schedule(garrett)]
    for timezone in ("Asia/Tokyo", "Asia/Tokyo", "Europe/London"):
        doctors.update(garrett, sent(timezone=timezone))
        shown.append(doctors.get_schedule(garrett))
    none = {"weekly": None, **DEFAULTS}
    assert shown == [
        {"timezone": "Europe/London", **none, "version": 0},
        {"timezone": "Asia/Tokyo", **none, "version": 1},
        {"timezone": "Asia/Tokyo", **none, "version": 1},
        {"timezone": "Europe/London", **none, "version": 2},
    ]


def test_a_first_schedule_is_not_stored_for_a_time_zone_that_is_not_the_doctors_any_more(
    doctors: DoctorService, garrett: int
) -> None:
    doctors.update(garrett, sent(timezone="Asia/Tokyo"))
    with pytest.raises(errors.Stale):
        doctors.set_schedule(garrett, {"weekly": []}, [0])
    assert doctors.get_schedule(garrett)["weekly"] is None
    assert doctors.set_schedule(garrett, {"weekly": []}, [1])["version"] == 2


def passing_while_waiting(engine: Engine, service: DoctorService) -> datetime:
    """The later time that it will be for ``service`` once it has the doctor locked."""
    later = NOW + timedelta(seconds=30)

    def has_waited(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.endswith("FOR UPDATE"):
            service.clock = lambda: later

    event.listen(engine, "after_cursor_execute", has_waited)
    return later


@pytest.mark.parametrize("database_urls", ["mariadb"], indirect=True)
@pytest.mark.parametrize("change", [
    lambda doctors, doctor_id: doctors.update(doctor_id, sent(timezone="Asia/Tokyo")),
    lambda doctors, doctor_id: doctors.set_schedule(doctor_id, MORNINGS),
    lambda doctors, doctor_id: doctors.add_time_off(doctor_id, EASTER),
    lambda doctors, doctor_id: doctors.remove_time_off(
        doctor_id, doctors.find_time_off(doctor_id)["items"][0]["id"]
    ),
])
def test_a_change_that_had_to_wait_happens_when_its_turn_has_come(
    doctors: DoctorService,
    garrett: int,
    engine: Engine,
    clinic: Clinic,
    change: Callable[[DoctorService, int], Any],
) -> None:
    doctors.add_time_off(garrett, EASTER)
    later = passing_while_waiting(engine, doctors)
    change(doctors, garrett)
    assert clinic.events(Outbox, "doctor", subject=str(garrett))[-1]["time"] == as_instant(later)
    if doctors.get(garrett)["version"] > 1:
        assert doctors.get(garrett)["updatedAt"] == as_instant(later)


@pytest.mark.parametrize("timezone", [{}, {"timezone": None}, {"timezone": "Asia/Tokyo"}])
def test_a_time_zone_that_is_left_out_or_the_same_stays_and_changes_no_timetable(
    doctors: DoctorService, clinic: Clinic, timezone: dict[str, str | None]
) -> None:
    known = doctors.create(sent(timezone="Asia/Tokyo"))
    assert doctors.update(known["id"], sent(**timezone))["timezone"] == "Asia/Tokyo"
    assert told(clinic, known["id"]) == [("doctor.registered", None), ("doctor.updated", None)]


def test_a_stored_schedule_gives_the_timetable_that_was_sent(
    doctors: DoctorService, garrett: int
) -> None:
    for schedule in (MORNINGS, MORNINGS | {"weekly": []}, {"weekly": MORNINGS["weekly"]}):
        doctors.set_schedule(garrett, schedule)
        meant = timetable(ScheduleSchema().load(schedule), timezone="Europe/Berlin")
        assert timetable_of(doctors.availability(garrett)) == meant


def test_the_largest_schedule_is_stored_and_answered_again_for_its_key(
    open_at_noon: Callable[..., DoctorService], garrett: int
) -> None:
    hours = [
        {"start": f"{hour:02}:00", "end": f"{hour:02}:30"} for hour in range(14)
    ]
    largest = MORNINGS | {
        "weekly": [
            window | {"day": day}
            for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
            for window in hours
        ],
        "exceptions": [
            {"date": str(date(2027, 1, 1) + timedelta(days=n)), "windows": hours[:2]}
            for n in range(400)
        ],
    }
    first, again = (open_at_noon(f"k{garrett}").set_schedule(garrett, largest) for _ in range(2))
    assert first == again == {**largest, "version": 1}


@pytest.mark.parametrize("act", ["get_schedule", "find_time_off", "availability", "slots"])
def test_who_is_not_there_has_no_timetable(doctors: DoctorService, act: str) -> None:
    with pytest.raises(errors.DoctorNotFound):
        getattr(doctors, act)(UNKNOWN)


def test_a_timetable_of_nobody_cannot_be_changed(doctors: DoctorService) -> None:
    for act in (
        lambda: doctors.set_schedule(UNKNOWN, MORNINGS),
        lambda: doctors.add_time_off(UNKNOWN, EASTER),
        lambda: doctors.preview_time_off(UNKNOWN, EASTER),
        lambda: doctors.remove_time_off(UNKNOWN, 1),
    ):
        with pytest.raises(errors.DoctorNotFound):
            act()


# Versions


def test_a_schedule_is_changed_only_from_a_version_that_is_allowed(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    doctors.set_schedule(garrett, {"weekly": []}, [0])
    for stale in ([0], [], [2, 3]):
        with pytest.raises(errors.Stale):
            doctors.set_schedule(garrett, MORNINGS, stale)
    assert doctors.get_schedule(garrett)["weekly"] == []
    assert doctors.get(garrett)["timezone"] == "Europe/London"
    assert doctors.set_schedule(garrett, MORNINGS, [7, 1])["version"] == 2
    assert [name for name, _ in told(clinic, garrett)].count("doctor.schedule_changed") == 2


def test_a_record_is_changed_only_from_a_version_that_is_allowed(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    assert doctors.update(garrett, sent(), [1])["version"] == 2
    kept = doctors.get(garrett)
    for stale in ([1], []):
        with pytest.raises(errors.Stale):
            doctors.update(garrett, sent(timezone="Asia/Tokyo"), stale)
    assert doctors.get(garrett) == kept
    assert told(clinic, garrett) == [("doctor.registered", None), ("doctor.updated", None)]


@pytest.mark.parametrize("versions", [1, "1", [None], [True], ["1"], {"1": 1}])
def test_what_are_no_versions_is_refused(
    doctors: DoctorService, garrett: int, versions: Any
) -> None:
    for change in (doctors.update, doctors.set_schedule):
        with pytest.raises(errors.InvalidInput) as refused:
            change(garrett, sent() if change == doctors.update else MORNINGS, versions)
        assert list(refused.value.errors) == ["versions"]


@pytest.mark.parametrize("change", ["set_schedule", "update"])
def test_of_changes_of_one_version_at_once_exactly_one_is_made_each_time(
    open_at_noon: Callable[..., DoctorService], garrett: int, clinic: Clinic, change: str
) -> None:
    first = {"set_schedule": 0, "update": 1}[change]
    gate, rounds = Barrier(8), range(first, first + 6)

    def race(number: int) -> list[int]:
        """The versions that this one made."""
        body = MORNINGS | {"slotMinutes": 5 * number} if change == "set_schedule" else sent()
        made = []
        for version in rounds:
            gate.wait(timeout=PATIENCE)
            with suppress(errors.Stale):
                made.append(getattr(open_at_noon(), change)(garrett, body, [version])["version"])
        return made

    with ThreadPoolExecutor(8) as pool:
        made = sorted(version for each in pool.map(race, range(1, 9)) for version in each)
    assert made == [version + 1 for version in rounds]
    name = {"set_schedule": "doctor.schedule_changed", "update": "doctor.updated"}[change]
    assert [each for each, _ in told(clinic, garrett)][-len(rounds):] == [name] * len(rounds)


def test_changes_of_all_kinds_at_once_count_without_a_gap(
    open_at_noon: Callable[..., DoctorService], garrett: int, clinic: Clinic
) -> None:
    gate = Barrier(8)

    def work(number: int) -> None:
        service = open_at_noon()
        gate.wait(timeout=PATIENCE)
        for _ in range(3):
            service.set_schedule(garrett, MORNINGS | {"timezone": None})
            added = service.add_time_off(garrett, EASTER)
            service.update(garrett, sent())
            service.remove_time_off(garrett, added["id"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    counted = [version for _, version in told(clinic, garrett) if version is not None]
    assert counted == [*range(1, 8 * 3 * 3 + 1)]
    assert doctors_version(open_at_noon(), garrett) == counted[-1]


def doctors_version(service: DoctorService, doctor_id: int) -> int:
    return int(service.availability(doctor_id)["scheduleVersion"])


# Time off


def test_time_off_is_told_counted_and_can_be_taken_back(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    added = doctors.add_time_off(garrett, EASTER)
    assert added == {"id": added["id"], **EASTER}
    assert doctors.find_time_off(garrett) == {"items": [added], "next": None}
    assert doctors.remove_time_off(garrett, added["id"]) is None
    assert doctors.find_time_off(garrett) == {"items": [], "next": None}
    with pytest.raises(errors.TimeOffNotFound):
        doctors.remove_time_off(garrett, added["id"])
    assert told(clinic, garrett)[1:] == [
        ("doctor.time_off_changed", 1), ("doctor.time_off_changed", 2)
    ]


def test_time_off_without_an_offset_is_local_to_the_doctor(
    doctors: DoctorService, garrett: int
) -> None:
    doctors.set_schedule(garrett, MORNINGS)
    local = {"start": "2027-03-28T00:00:00", "end": "2027-03-28T04:00:00"}
    added = doctors.add_time_off(garrett, local)
    # The clocks go forward that night.
    assert (added["start"], added["end"]) == ("2027-03-27T23:00:00Z", "2027-03-28T02:00:00Z")
    assert added["reason"] is None


def test_times_off_are_told_of_a_doctor_whose_phone_number_does_not_open(
    doctors: DoctorService, engine: Engine, garrett: int
) -> None:
    with engine.begin() as connection:
        spoilt = update(Doctor).where(Doctor.id == garrett).values(phone_sealed=b"spoilt")
        connection.execute(spoilt)
    assert doctors.find_time_off(garrett)["items"] == []
    assert doctors.preview_time_off(garrett, EASTER) == {"id": None, **EASTER}
    with pytest.raises(Unreadable):
        doctors.get(garrett)


@pytest.mark.parametrize("act", ["add_time_off", "preview_time_off"])
@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        ("2027-03-26T00:00:00Z", "2027-03-26T00:00:00Z", "end"),
        ("2027-03-26T00:00:00Z", "2027-03-26T00:00:00+01:00", "end"),
        ("2027-02-01T00:00:00Z", "2027-03-01T12:00:00Z", "end"),
        ("2027-03-28T01:30:00", "2027-03-30T00:00:00", "start"),
        ("2027-03-27T00:00:00", "2027-03-28T01:30:00", "end"),
        ("2027-03-27", "2027-03-28T01:30:00", "start"),
    ],
    ids=["empty", "backwards", "just over", "start skipped", "end skipped", "a date"],
)
def test_time_off_that_makes_no_sense_is_refused(
    doctors: DoctorService, garrett: int, clinic: Clinic, act: str, start: str, end: str, field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        getattr(doctors, act)(garrett, {"start": start, "end": end})
    assert list(refused.value.errors) == [field]
    assert stored(clinic, TimeOff, garrett) == []
    assert told(clinic, garrett) == [("doctor.registered", None)]


def test_time_off_that_has_begun_is_taken_and_so_is_all_there_is(
    doctors: DoctorService, garrett: int
) -> None:
    periods = [
        {"start": "2027-02-01T00:00:00Z", "end": "2027-03-01T12:00:00.000001Z"},
        {"start": "0001-01-01T00:00:00Z", "end": "9999-12-31T23:59:59.999999Z"},
    ]
    for period in periods:
        doctors.add_time_off(garrett, period)
    assert doctors.availability(garrett)["timeOff"] == [periods[1], periods[0]]
    assert doctors.slots(garrett) == {"items": []}


def test_a_preview_tells_what_would_be_and_stores_nothing(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    assert doctors.preview_time_off(garrett, EASTER) == {"id": None, **EASTER}
    assert stored(clinic, TimeOff, garrett) == []
    assert doctors_version(doctors, garrett) == 0
    assert told(clinic, garrett) == [("doctor.registered", None)]


def test_time_off_of_another_doctor_is_not_there(doctors: DoctorService, garrett: int) -> None:
    other = doctors.create(sent())["id"]
    theirs = doctors.add_time_off(other, EASTER)
    with pytest.raises(errors.TimeOffNotFound):
        doctors.remove_time_off(garrett, theirs["id"])
    assert doctors.find_time_off(other)["items"] == [theirs]
    assert doctors.find_time_off(garrett)["items"] == []


def test_times_off_come_in_pages_by_id(doctors: DoctorService, garrett: int) -> None:
    known = [doctors.add_time_off(garrett, EASTER | {"reason": str(n)}) for n in range(3)]
    first = doctors.find_time_off(garrett, limit=2)
    assert first == {"items": known[:2], "next": known[1]["id"]}
    assert doctors.find_time_off(garrett, limit=2, after=first["next"]) == {
        "items": known[2:], "next": None
    }
    for wrong in ({"limit": 0}, {"limit": 101}, {"after": -1}):
        with pytest.raises(errors.InvalidInput):
            doctors.find_time_off(garrett, **wrong)


def test_there_is_an_end_to_times_off_but_those_that_are_over_do_not_count(
    doctors: DoctorService, garrett: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("doctor.domain.MOST_TIMES_OFF", 2)
    for _ in range(2):
        doctors.add_time_off(garrett, EASTER)
    for act in (doctors.add_time_off, doctors.preview_time_off):
        with pytest.raises(errors.InvalidInput) as refused:
            act(garrett, EASTER)
        assert list(refused.value.errors) == ["body"]
    doctors.clock = lambda: datetime(2028, 1, 1, tzinfo=UTC)
    later = {"start": "2028-02-01T00:00:00Z", "end": "2028-02-02T00:00:00Z"}
    assert doctors.add_time_off(garrett, later).items() >= later.items()


def test_the_reason_is_sealed_in_its_row(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    mark = word()
    doctors.add_time_off(garrett, EASTER | {"reason": mark})
    with clinic.session("doctor") as session:
        row = session.scalars(select(TimeOff).filter_by(doctor_id=garrett)).one()
        assert row.reason == mark
        assert mark.encode() not in (row.reason_sealed or b"")
        events = session.scalars(select(Outbox.body).filter_by(subject=str(garrett))).all()
    assert not any(mark in body for body in events)


def test_time_off_that_is_sent_again_is_taken_once(
    open_at_noon: Callable[..., DoctorService], garrett: int, clinic: Clinic
) -> None:
    key = word()
    first, again = (open_at_noon(key).add_time_off(garrett, EASTER) for _ in range(2))
    assert first == again
    assert len(stored(clinic, TimeOff, garrett)) == 1
    assert len(told(clinic, garrett)) == 2


def test_taking_time_off_back_again_with_its_key_is_quiet(
    open_at_noon: Callable[..., DoctorService], garrett: int, clinic: Clinic
) -> None:
    key, added = word(), open_at_noon().add_time_off(garrett, EASTER)
    for _ in range(2):
        assert open_at_noon(key).remove_time_off(garrett, added["id"]) is None
    assert len(told(clinic, garrett)) == 3


# What bookings are told


def test_an_availability_tells_what_is_not_over_in_the_order_of_its_start(
    doctors: DoctorService, garrett: int
) -> None:
    may = {"start": "2027-05-01T00:00:00Z", "end": "2027-05-02T00:00:00Z"}
    for period in (may, EASTER):
        doctors.add_time_off(garrett, period)
    doctors.set_schedule(garrett, MORNINGS)
    easter = {name: EASTER[name] for name in ("start", "end")}
    hours = {name: value for name, value in MORNINGS.items() if name != "timezone"}
    assert doctors.availability(garrett) == {
        "doctorId": garrett,
        "scheduleVersion": 3,
        "timezone": "Europe/Berlin",
        "schedule": hours,
        "timeOff": [easter, may],
    }
    doctors.clock = lambda: datetime(2027, 3, 30, tzinfo=UTC)
    assert doctors.availability(garrett)["timeOff"] == [may]


def test_all_doctors_of_a_speciality_are_asked_for_at_once(
    doctors: DoctorService, engine: Engine
) -> None:
    speciality = f"{word()} und Füße"
    known = [
        doctors.create(sent(speciality=each))["id"]
        for each in (speciality, speciality.upper(), speciality, word())
    ]
    doctors.set_schedule(known[0], MORNINGS)
    for doctor_id in known[1:]:
        doctors.add_time_off(doctor_id, EASTER)
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    found = doctors.availabilities(speciality.title())
    event.remove(engine, "before_cursor_execute", note)
    assert found == [doctors.availability(doctor_id) for doctor_id in known[:3]]
    assert len([each for each in asked if each.startswith("SELECT")]) <= 3
    assert doctors.availabilities(word()) == []


def test_without_a_speciality_all_doctors_are_asked_for(doctors: DoctorService) -> None:
    known = [doctors.create(sent())["id"] for _ in range(2)]
    doctors.set_schedule(known[0], MORNINGS)
    doctors.add_time_off(known[1], EASTER)
    found = [each for each in doctors.availabilities() if each["doctorId"] in known]
    assert found == [doctors.availability(doctor_id) for doctor_id in known]


@pytest.mark.parametrize("speciality", ["", 7, "x" * 101])
def test_a_speciality_is_a_text(doctors: DoctorService, speciality: Any) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        doctors.availabilities(speciality)
    assert list(refused.value.errors) == ["speciality"]


def starts(answer: dict[str, Any]) -> list[str]:
    return [each["start"] for each in answer["items"]]


def test_slots_are_those_of_the_timetable_less_what_is_busy(
    doctors: DoctorService, garrett: int
) -> None:
    doctors.set_schedule(garrett, MORNINGS | {"bufferMinutes": 0})
    tuesday = {"since": "2027-03-02", "until": "2027-03-03"}
    free = doctors.slots(garrett, **tuesday)
    assert free["items"][0] == {
        "start": "2027-03-02T08:00:00Z", "end": "2027-03-02T08:30:00Z", "doctorId": garrett
    }
    assert len(starts(free)) == 6
    busy = [
        {"start": "2027-03-02T10:30:00Z", "end": "2027-03-02T11:00:00Z"},
        {"start": "2027-03-02T09:00:00+01:00", "end": "2027-03-02T09:45:00+01:00"},
    ]
    assert starts(doctors.slots(garrett, **tuesday, busy=busy)) == starts(free)[2:5]
    assert starts(doctors.slots(garrett, **tuesday, duration_minutes=150)) == starts(free)[:2]


def test_slots_come_from_now_on_when_nothing_is_said(doctors: DoctorService, garrett: int) -> None:
    found = starts(doctors.slots(garrett))
    assert (found[0], found[-1]) == ("2027-03-01T12:30:00Z", "2027-03-08T11:30:00Z")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": "2027-03-02", "until": "2027-03-01"}, "to"),
        ({"since": "2027-03-01", "until": "2027-04-02"}, "to"),
        ({"since": "soon"}, "from"),
        ({"duration_minutes": 7}, "durationMinutes"),
        ({"busy": [{"start": "2027-03-02T10:30:00Z"}]}, "busy.0.end"),
        ({"busy": [7]}, "busy.0"),
        ({"busy": [{"start": "2027-03-02T10:30:00", "end": "2027-03-02T11Z"}]}, "busy.0.end"),
        ({"busy": [EASTER_LOCAL]}, "busy.0.start"),
        ({"busy": {}}, "busy"),
        ({"since": "9999-12-31"}, "from"),
        ({"since": "9999-12-31T23:30:00Z", "until": "9999-12-31T23:59:00Z"}, None),
        ({"since": "0001-01-01T00:00:00Z", "until": "0001-01-01T00:30:00Z"}, None),
    ],
)
def test_a_question_about_slots_that_makes_no_sense_is_refused(
    doctors: DoctorService, asked: dict[str, Any], field: str | None
) -> None:
    for timezone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"):
        doctor_id = doctors.create(sent(timezone=timezone))["id"]
        try:
            answer = doctors.slots(doctor_id, **asked)
        except errors.InvalidInput as refused:
            assert field in (None, *refused.errors)
        else:
            assert field is None and answer == {"items": []}


def test_stored_hours_are_one_text_whatever_the_order_of_their_members(
    doctors: DoctorService, garrett: int, clinic: Clinic
) -> None:
    texts = []
    for schedule in (MORNINGS, dict(reversed(MORNINGS.items()))):
        doctors.set_schedule(garrett, schedule)
        texts += [row.hours for row in stored(clinic, Schedule, garrett)]
    assert texts[0] == texts[1]
    assert "timezone" not in json.loads(texts[0])
