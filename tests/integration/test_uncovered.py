"""What becomes of those who are booked when the doctor's timetable changes, on MariaDB."""

import json
import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from appointment.models import Appointment, Change, Inbox
from appointment.repository import Appointments
from config.clock import utc_now
from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Answer, Request
from config.messaging.pool import Pool
from doctor.models import Outbox as DoctorOutbox
from schemas.errors import DoctorNotFound, InvalidInput, Unavailable
from schemas.events import envelope
from schemas.fields import as_instant
from schemas.schedule import timetable_of
from tests.integration.practice import NOW, WEEK, Practice, later, open_practice
from tests.systems import System
from tests.waiting import PATIENCE, wait_for


@pytest.fixture(scope="module")
def opened(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


@pytest.fixture
def practice(opened: Practice) -> Practice:
    opened.now = NOW
    return opened


def take_off(practice: Practice, doctor: int, start: Any, end: Any) -> int:
    away = {"start": as_instant(start), "end": as_instant(end)}
    return int(practice.doctors().add_time_off(doctor, away)["id"])


def flags(practice: Practice, *appointments: int) -> list[bool]:
    return [practice.stored(each).uncovered for each in appointments]


def test_time_off_uncovers_those_who_are_booked_in_it_and_nobody_else(practice: Practice) -> None:
    doctor, other = (practice.doctor(weekly=WEEK) for _ in range(2))
    before, within, after = (practice.book(doctor, later(hours=hours)) for hours in (0, 2, 4))
    others = practice.book(other, later(hours=2))
    take_off(practice, doctor, later(hours=1), later(hours=4))
    practice.told(doctor, "time_off_changed")
    assert flags(practice, before, within, after, others) == [False, True, False, False]


def test_it_is_told_noted_and_counted_and_the_time_is_kept(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, later(hours=2))
    take_off(practice, doctor, later(hours=1), later(hours=4))
    practice.told(doctor, "time_off_changed")
    stored = practice.stored(booked)
    assert (stored.status, stored.version, stored.uncovered) == ("booked", 2, True)
    assert stored.schedule_version == practice.doctors().availability(doctor)["scheduleVersion"]
    assert [name for name, _ in practice.events(booked)] == ["scheduled", "uncovered"]
    assert practice.history(booked) == ["scheduled", "uncovered"]
    assert len(practice.claims(doctor)) == 6


def test_when_the_time_off_is_removed_they_are_covered_again(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, later(hours=2))
    away = take_off(practice, doctor, later(hours=1), later(hours=4))
    practice.told(doctor, "time_off_changed")
    practice.doctors().remove_time_off(doctor, away)
    practice.told(doctor, "time_off_changed")
    assert flags(practice, booked) == [False]
    assert [name for name, _ in practice.events(booked)] == ["scheduled", "uncovered", "covered"]


def test_other_hours_uncover_those_outside_of_them(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    early, late = practice.book(doctor, later(hours=0)), practice.book(doctor, later(hours=7))
    practice.doctors().set_schedule(
        doctor, {"weekly": [{"day": "mon", "start": "10:00", "end": "17:00"}]}
    )
    practice.told(doctor, "schedule_changed")
    assert flags(practice, early, late) == [True, False]


def test_another_time_zone_means_other_hours(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    early, late = practice.book(doctor, later(hours=0)), practice.book(doctor, later(hours=7))
    practice.doctors().set_schedule(doctor, {"weekly": WEEK, "timezone": "America/New_York"})
    practice.told(doctor, "schedule_changed")
    assert flags(practice, early, late) == [True, False]


def test_notice_and_grid_are_nothing_to_who_is_booked(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, later(minutes=30))
    strict = {"weekly": WEEK, "minNoticeMinutes": 10_000, "slotMinutes": 480, "bufferMinutes": 60}
    practice.doctors().set_schedule(doctor, strict)
    practice.told(doctor, "schedule_changed")
    assert flags(practice, booked) == [False]


def test_what_has_begun_or_was_cancelled_is_left_alone(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    begun, gone = practice.book(doctor, later(hours=0)), practice.book(doctor, later(hours=2))
    practice.appointments().cancel(gone)
    practice.now = later(hours=0)
    practice.doctors().set_schedule(doctor, {"weekly": []})
    practice.told(doctor, "schedule_changed")
    assert flags(practice, begun, gone) == [False, False]


def test_what_is_told_twice_changes_nothing_the_second_time(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, later(hours=2))
    take_off(practice, doctor, later(hours=1), later(hours=4))
    for _ in range(3):
        practice.told(doctor, "time_off_changed")
    assert len(practice.events(booked)) == 2
    assert practice.stored(booked).version == 2


@pytest.mark.parametrize("seed", range(6))
def test_events_shuffled_and_told_again_lead_to_what_the_timetable_is_in_the_end(
    practice: Practice, seed: int
) -> None:
    dice, doctor = random.Random(seed), practice.doctor(weekly=WEEK)
    booked = [practice.book(doctor, later(hours=hours)) for hours in range(8)]
    waiting, away = list[str](), list[int]()
    for _ in range(8):
        hour = dice.randrange(7)
        if away and dice.random() < 0.4:
            practice.doctors().remove_time_off(doctor, away.pop())
        else:
            away.append(take_off(practice, doctor, later(hours=hour), later(hours=hour + 2)))
        waiting += ["time_off_changed"] * dice.choice((1, 2))
        dice.shuffle(waiting)
        # Some are told late, after the next change.
        for _ in range(dice.randrange(len(waiting))):
            practice.told(doctor, waiting.pop())
    for name in waiting or ["time_off_changed"]:
        practice.told(doctor, name)
    off = timetable_of(practice.doctors().availability(doctor)).time_off
    assert flags(practice, *booked) == [
        any(start < each.ends_at and each.starts_at < end for start, end in off)
        for each in map(practice.stored, booked)
    ]
    for each in booked:
        told = [name for name, _ in practice.events(each)[1:]]
        assert told == ["uncovered", "covered"] * (len(told) // 2) + ["uncovered"] * (len(told) % 2)
        assert practice.stored(each).version == 1 + len(told)


def test_an_answer_that_is_older_than_what_was_checked_already_changes_nothing(
    practice: Practice,
) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, later(hours=2))
    take_off(practice, doctor, later(hours=1), later(hours=4))
    old = practice.doctors().availability(doctor)
    practice.doctors().set_schedule(doctor, {"weekly": WEEK})
    practice.told(doctor, "schedule_changed")
    background = practice.background()
    background.ask = lambda *requests: [Answer(old | {"timeOff": []})]
    background.time_off_changed(envelope(
        source="doctor", name="time_off_changed", subject=doctor, sequence=1, time=NOW,
        correlation_id="late", data={"doctor_id": doctor},
    ))
    assert flags(practice, booked) == [True]


def test_when_the_doctor_service_does_not_answer_the_event_is_given_back(
    practice: Practice,
) -> None:
    doctor, background = practice.doctor(weekly=WEEK), practice.background()

    def silent(*requests: Any) -> list[Answer]:
        raise Unavailable("doctor")

    background.ask = silent
    event = envelope(
        source="doctor", name="schedule_changed", subject=doctor, sequence=1, time=NOW,
        correlation_id="silent", data={"doctor_id": doctor},
    )
    with pytest.raises(Unavailable):
        background.schedule_changed(event)
    # Neither of those whom the handler drops events for.
    assert not issubclass(Unavailable, (InvalidInput, DoctorNotFound))


@pytest.mark.parametrize("junk", [None, [], {}, {"data": {"doctorId": 1}}], ids=repr)
def test_what_is_no_such_event_is_refused(practice: Practice, junk: Any) -> None:
    for handler in (practice.background().schedule_changed, practice.background().time_off_changed):
        with pytest.raises(InvalidInput):
            handler(junk)


def test_a_doctor_whom_nobody_knows_is_refused(practice: Practice) -> None:
    with pytest.raises(DoctorNotFound):
        practice.told(2**40, "schedule_changed")


def test_a_check_that_waited_for_a_change_comes_after_it(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, later(hours=2))
    take_off(practice, doctor, later(hours=1), later(hours=4))
    assert_comes_after_a_change(
        practice, booked, lambda: practice.told(doctor, "time_off_changed")
    )
    assert flags(practice, booked) == [True]


def test_an_erasure_that_waited_for_a_change_comes_after_it(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(hours=2))
    patient = practice.stored(booked).patient_id
    erased = envelope(
        source="patient", name="erased", subject=patient, sequence=1, time=NOW,
        correlation_id="erased-by-test", data={"patient_id": patient},
    )
    assert_comes_after_a_change(
        practice, booked, lambda: practice.background().patient_erased(erased)
    )
    assert practice.stored(booked).status == "cancelled"


def assert_comes_after_a_change(
    practice: Practice, booked: int, work: Callable[[], None]
) -> None:
    """Of an appointment that somebody else is changing when ``work`` begins."""
    with ThreadPoolExecutor(1) as pool:
        with practice.session() as session, session.begin():
            appointments = Appointments(session)
            changing = appointments.get_locked(booked)
            waiting = pool.submit(work)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            practice.now = NOW + timedelta(minutes=1)
            appointments.changed(changing, now=practice.now)
            practice.now = NOW + timedelta(minutes=2)
        waiting.result(timeout=PATIENCE)
    stored = practice.stored(booked)
    assert (stored.version, stored.updated_at) == (3, NOW + timedelta(minutes=2))
    with practice.session() as session:
        lines = select(Change.at).filter_by(appointment_id=booked).order_by(Change.id)
        assert session.scalars(lines).all() == [NOW, stored.updated_at]


def test_moving_one_that_is_uncovered_covers_it(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, later(hours=2))
    take_off(practice, doctor, later(hours=1), later(hours=4))
    practice.told(doctor, "time_off_changed")
    practice.appointments().reschedule(booked, {"date": as_instant(later(hours=5))})
    assert flags(practice, booked) == [False]


def test_timetables_told_of_twice_and_shuffled_leave_what_is_right_and_are_each_handled_once(
    practice: Practice
) -> None:
    doctors = [practice.doctor(weekly=WEEK) for _ in range(3)]
    booked = [
        practice.book(doctor, later(hours=hour)) for doctor in doctors for hour in range(3)
    ]
    for number, doctor in enumerate(doctors):
        take_off(practice, doctor, later(hours=number), later(hours=number + 1))
        for hours in ("12:00", "17:00", "11:00"):
            practice.doctors().set_schedule(
                doctor, {"weekly": [{"day": "mon", "start": "09:00", "end": hours}]}
            )
    events = [json.loads(row.body) for row in timetable_events(practice, doctors)] * 2
    assert len(events) == 2 * 5 * len(doctors)
    random.Random(5).shuffle(events)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda event: hear(practice, event, key=event["id"]), events))

    def state() -> list[tuple[bool, int]]:
        rows = [practice.stored(each) for each in booked]
        return [(row.uncovered, row.sequence) for row in rows]

    found = state()
    assert [uncovered for uncovered, _ in found] == [
        # Away at nine, ten or eleven; and at eleven nobody is there.
        True, False, True, False, True, True, False, False, True
    ]
    assert all(len(practice.events(each)) == row[1] for each, row in zip(booked, found))
    for event in events:
        # As if it were another one: there is nothing left to change.
        hear(practice, event, key=uuid.uuid4().hex)
    assert state() == found
    with practice.session() as session:
        for event in events:
            assert len(session.scalars(select(Inbox).filter_by(event_id=event["id"])).all()) == 1


def timetable_events(practice: Practice, doctors: list[int]) -> list[DoctorOutbox]:
    told = select(DoctorOutbox).where(
        DoctorOutbox.subject.in_(map(str, doctors)), DoctorOutbox.name.contains("_changed")
    )
    with practice.session("doctor") as session:
        return list(session.scalars(told))


def hear(practice: Practice, event: dict[str, Any], *, key: str) -> None:
    _, _, name = event["type"].partition(".")
    getattr(practice.background(key), name)(event)


def test_it_is_told_over_the_broker_and_what_the_system_asks_is_no_operators_call(
    stack: System,
) -> None:
    pool = Pool(stack.environ["AMQP_URI"], size=1, unavailable=Unavailable)

    def call(service: str, method: str, *args: Any) -> Any:
        key = uuid.uuid4().hex
        context = new_context(correlation=key, seconds=PATIENCE, key=key)
        request = Request(service, method, args)
        (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
        return answer.result()

    try:
        person = {"name": "Ada Byron", "phone": "+442079460958"}
        patient = call("patient", "create", person | {"dob": "1985-12-10", "address": "London"})
        doctor = call("doctor", "create", person | {"speciality": "Surgery", "timezone": "UTC"})
        start = utc_now() + timedelta(days=9)
        booked = call("appointment", "schedule", {
            "patientId": patient["id"], "doctorId": doctor["id"], "date": as_instant(start),
            "description": "Check-up",
        })
        away = {"start": as_instant(start), "end": as_instant(start + timedelta(days=1))}
        taken = call("doctor", "add_time_off", doctor["id"], away)
        wait_for(lambda: call("appointment", "get", booked["id"])["uncovered"])
        call("doctor", "remove_time_off", doctor["id"], taken["id"])
        wait_for(lambda: not call("appointment", "get", booked["id"])["uncovered"])
    finally:
        pool.close()
    with stack.client() as admin:
        trail = admin.get("/audit", params={"subject": f"doctor/{doctor['id']}", "limit": 100})
    seen = sorted(line["action"].removeprefix("doctor.") for line in trail.json()["items"])
    # Availability once, for the operator's booking; what the system asked by itself is not theirs.
    assert seen == ["add_time_off", "availability", "create", "remove_time_off"]


def test_a_doctor_with_2000_later_appointments_is_checked_in_one_go(practice: Practice) -> None:
    doctor, count = practice.doctor(weekly=WEEK), 2000
    rows = [
        {
            "patient_id": 10**6 + n, "doctor_id": doctor, "starts_at": later(days=n),
            "ends_at": later(days=n, minutes=30), "duration_minutes": 30,
            "description_sealed": b"", "status": "booked", "uncovered": False,
            "schedule_version": 0, "version": 1, "sequence": 0, "created_at": NOW,
            "updated_at": NOW,
        }
        for n in range(count)
    ]
    with practice.session() as session, session.begin():
        session.execute(insert(Appointment), rows)
    take_off(practice, doctor, NOW, NOW + timedelta(days=4000))
    practice.told(doctor, "time_off_changed")
    found = practice.of(doctor)
    assert len(found) == count and all(each.uncovered for each in found)
    assert {each.sequence for each in found} == {1}
