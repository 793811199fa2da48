"""Who is known is booked without asking anybody, on MariaDB, by a timetable that still holds."""

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select, update

from appointment.domain import PATIENT_KEPT_FOR, TIMETABLE_KEPT_FOR
from appointment.models import CheckedTimetable, Erasure, KeptTimetable, KnownPatient
from appointment.service import AppointmentService
from config.messaging.client import Answer, Request
from schemas.bookability import covers
from schemas.errors import (
    NotBookable,
    OutsideHours,
    PatientBusy,
    SchedulingError,
    SlotTaken,
    TimeOff,
    Unavailable,
    UnknownDoctor,
    UnknownPatient,
)
from schemas.events import envelope
from schemas.fields import as_instant
from schemas.schedule import timetable_of
from tests.integration.practice import NOW, PATIENTS, WEEK, Practice, later, open_practice
from tests.waiting import PATIENCE

MORNING = [{"day": "mon", "start": "09:00", "end": "12:00"}]


@pytest.fixture(scope="module")
def opened(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


@pytest.fixture
def practice(opened: Practice) -> Practice:
    opened.now = NOW
    return opened


class Peers:
    """Those of the practice: counts what they are asked, and each can be down."""

    def __init__(self, practice: Practice, *down: str) -> None:
        self._practice = practice
        self.asked = Counter[str]()
        self.down = set(down)

    def __call__(self, *requests: Request) -> list[Answer]:
        self.asked.update(request.service for request in requests)
        for request in requests:
            if request.service in self.down:
                raise Unavailable(request.service)
        return self._practice.ask(*requests)


def desk(practice: Practice, peers: Peers, key: str | None = None) -> AppointmentService:
    service = practice.appointments(key=key)
    service.ask = peers
    return service


def book(
    practice: Practice, peers: Peers, doctor: int, start: datetime, patient: int | None = None
) -> int:
    wanted = {
        "patientId": patient or next(PATIENTS), "doctorId": doctor, "date": as_instant(start),
        "description": "Check-up",
    }
    return int(desk(practice, peers).schedule(wanted)["id"])


def hear(practice: Practice, name: str, patient: int, key: str | None = None) -> None:
    event = envelope(
        source="patient", name=name, subject=patient, sequence=1, time=NOW,
        correlation_id="told-by-test", data={"patient_id": patient},
    )
    getattr(practice.background(key), f"patient_{name}")(event)


def registered(practice: Practice) -> int:
    patient = next(PATIENTS)
    hear(practice, "registered", patient)
    return patient


def known(practice: Practice, patient: int) -> bool:
    with practice.session() as session:
        return session.get(KnownPatient, patient) is not None


def with_a_kept_timetable(practice: Practice, **schedule: Any) -> int:
    doctor = practice.doctor(**schedule or {"weekly": WEEK})
    practice.told(doctor, "schedule_changed")
    return doctor


def take_off(practice: Practice, doctor: int, start: datetime, end: datetime) -> None:
    away = {"start": as_instant(start), "end": as_instant(end)}
    practice.doctors().add_time_off(doctor, away)


def test_whoever_was_registered_is_booked_for_the_first_time_without_asking(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice)
    booked = book(practice, peers, doctor, later(), registered(practice))
    assert not peers.asked
    version = practice.doctors().availability(doctor)["scheduleVersion"]
    assert practice.stored(booked).schedule_version == version


def test_of_a_stranger_and_a_new_doctor_each_is_asked_once(practice: Practice) -> None:
    doctor, peers, patient = practice.doctor(weekly=WEEK), Peers(practice), next(PATIENTS)
    for hours in range(3):
        book(practice, peers, doctor, later(hours=hours), patient)
    assert peers.asked == {"patient": 1, "doctor": 1}


def test_only_who_is_missing_is_asked_about(practice: Practice) -> None:
    kept, new = with_a_kept_timetable(practice), practice.doctor(weekly=WEEK)
    peers = Peers(practice)
    book(practice, peers, kept, later())
    assert peers.asked == {"patient": 1}
    book(practice, peers, new, later(), registered(practice))
    assert peers.asked == {"patient": 1, "doctor": 1}


@pytest.mark.parametrize("down", [("patient",), ("doctor",), ("patient", "doctor")])
def test_while_others_are_down_those_who_are_known_are_booked_and_moved(
    practice: Practice, down: tuple[str, ...]
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice, *down)
    booked = book(practice, peers, doctor, later(), registered(practice))
    moved = desk(practice, peers).reschedule(booked, {"date": as_instant(later(hours=2))})
    assert (moved["date"], peers.asked) == (as_instant(later(hours=2)), {})


@pytest.mark.parametrize("down", ["patient", "doctor"])
def test_while_others_are_down_nobody_is_booked_whom_they_would_have_to_be_asked_about(
    practice: Practice, down: str
) -> None:
    peers = Peers(practice, down)
    strange = {"patient": with_a_kept_timetable(practice), "doctor": practice.doctor(weekly=WEEK)}
    patient = {"patient": next(PATIENTS), "doctor": registered(practice)}[down]
    with pytest.raises(Unavailable):
        book(practice, peers, strange[down], later(), patient)
    assert practice.of(strange[down]) == []
    peers.down.clear()
    book(practice, peers, strange[down], later(), patient)


def test_what_was_told_long_ago_is_asked_for_again_and_counts_while_nobody_answers(
    practice: Practice,
) -> None:
    doctor, patient = with_a_kept_timetable(practice), registered(practice)
    for days, passed, asked in (
        (42, timedelta(0), {}),
        (49, TIMETABLE_KEPT_FOR, {"doctor": 1}),
        (56, PATIENT_KEPT_FOR, {"patient": 1, "doctor": 1}),
    ):
        practice.now = NOW + passed
        down, up = Peers(practice, "patient", "doctor"), Peers(practice)
        book(practice, down, doctor, later(days=days), patient)
        book(practice, up, doctor, later(days=days, hours=1), patient)
        assert (down.asked, up.asked) == (asked, asked)


def test_when_the_timetable_has_changed_the_next_booking_is_judged_by_the_new_one(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice, "doctor", "patient")
    take_off(practice, doctor, later(), later(hours=1))
    practice.told(doctor, "time_off_changed")
    peers.down.clear()
    with pytest.raises(TimeOff):
        book(practice, peers, doctor, later(), registered(practice))
    peers.down = {"doctor", "patient"}
    book(practice, peers, doctor, later(hours=1), registered(practice))


def test_who_has_just_changed_the_timetable_can_have_it_hold_before_the_event_comes(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice)
    take_off(practice, doctor, later(), later(hours=1))
    practice.appointments().renew(doctor)
    with pytest.raises(TimeOff):
        book(practice, peers, doctor, later(), registered(practice))
    booked = book(practice, Peers(practice, "doctor"), doctor, later(hours=1), registered(practice))
    practice.told(doctor, "time_off_changed")
    assert not practice.stored(booked).uncovered


def test_what_is_renewed_late_does_not_replace_what_is_newer(practice: Practice) -> None:
    doctor, service = with_a_kept_timetable(practice), practice.appointments()
    old = practice.doctors().availability(doctor)
    take_off(practice, doctor, later(), later(hours=1))
    practice.told(doctor, "time_off_changed")
    service.ask = lambda *requests: [Answer(old)]
    service.renew(doctor)
    peers = Peers(practice)
    book(practice, peers, doctor, later(hours=2), registered(practice))
    assert not peers.asked
    with practice.session() as session:
        assert session.get_one(KeptTimetable, doctor).schedule_version == 2


def test_whom_a_kept_timetable_would_refuse_is_judged_by_the_one_that_there_is(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice, weekly=MORNING), Peers(practice)
    practice.doctors().set_schedule(doctor, {"weekly": WEEK})
    booked = book(practice, peers, doctor, later(hours=5), registered(practice))
    assert peers.asked == {"doctor": 1}
    assert practice.stored(booked).schedule_version == 2
    # And this one is kept from then on.
    book(practice, peers, doctor, later(hours=6), registered(practice))
    assert peers.asked == {"doctor": 1}


def test_a_local_time_means_what_it_does_where_the_doctor_is_now(practice: Practice) -> None:
    # In New York the clocks skip this hour; in London they do not.
    doctor = practice.doctor(timezone="America/New_York")
    peers, patient = Peers(practice), registered(practice)
    book(practice, peers, doctor, later(), patient)
    everyday = [{"day": "sun", "start": "00:00", "end": "24:00"}]
    practice.doctors().set_schedule(doctor, {"weekly": everyday, "timezone": "Europe/London"})
    wanted = {
        "patientId": patient, "doctorId": doctor, "date": "2027-03-14T02:30:00",
        "description": "Check-up",
    }
    assert desk(practice, peers).schedule(wanted)["date"] == "2027-03-14T02:30:00Z"


def moved_to_london(practice: Practice) -> int:
    """A doctor of whom New York is kept: the event that tells of the move has not come yet."""
    doctor = practice.doctor(timezone="America/New_York")
    book(practice, Peers(practice), doctor, later(), registered(practice))
    practice.doctors().set_schedule(doctor, {"weekly": WEEK, "timezone": "Europe/London"})
    return doctor


def test_a_local_time_is_never_read_where_the_doctor_was(practice: Practice) -> None:
    doctor, peers = moved_to_london(practice), Peers(practice)
    wanted = {
        "patientId": registered(practice), "doctorId": doctor, "date": "2027-03-02T14:00:00",
        "description": "Check-up",
    }
    assert desk(practice, peers).schedule(wanted)["date"] == "2027-03-02T14:00:00Z"
    assert peers.asked == {"doctor": 1}
    # With an offset it is the same anywhere.
    book(practice, Peers(practice, "doctor"), doctor, later(days=2), registered(practice))


def test_a_move_to_a_local_time_is_one_where_the_doctor_is_now(practice: Practice) -> None:
    doctor, peers = moved_to_london(practice), Peers(practice)
    # Nine o'clock in New York, which is what the appointment is at by the zone that is kept.
    booked = book(practice, peers, doctor, later(days=1, hours=5), registered(practice))
    moved = desk(practice, peers).reschedule(booked, {"date": "2027-03-02T09:00:00"})
    assert (moved["date"], peers.asked) == ("2027-03-02T09:00:00Z", {"doctor": 1})


def test_while_the_doctors_service_is_down_no_local_time_is_booked(practice: Practice) -> None:
    doctor, peers = moved_to_london(practice), Peers(practice, "doctor")
    wanted = {
        "patientId": registered(practice), "doctorId": doctor, "date": "2027-03-02T14:00:00",
        "description": "Check-up",
    }
    with pytest.raises(Unavailable):
        desk(practice, peers).schedule(wanted)
    assert peers.asked == {"doctor": 1}


def test_a_refusal_says_what_the_rules_are_now_and_has_alternatives_by_them(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice)
    practice.doctors().set_schedule(doctor, {"weekly": MORNING})
    with pytest.raises(OutsideHours) as refused:
        book(practice, peers, doctor, later(minutes=-30), registered(practice))
    rule, alternatives = refused.value.args[:2]
    assert rule["until"] == as_instant(later(hours=3))
    assert [each["start"] for each in alternatives] == [
        as_instant(later(minutes=minutes)) for minutes in (0, 30, 60)
    ]


def test_whom_the_hours_would_refuse_while_nobody_can_be_asked_is_told_that_it_is_not_known(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice, "doctor")
    patient = registered(practice)
    with pytest.raises(Unavailable):
        book(practice, peers, doctor, later(hours=9), patient)
    assert peers.asked == {"doctor": 1}
    peers.down.clear()
    with pytest.raises(OutsideHours):
        book(practice, peers, doctor, later(hours=9), patient)


@pytest.mark.parametrize("age", [timedelta(0), TIMETABLE_KEPT_FOR, PATIENT_KEPT_FOR], ids=str)
def test_that_somebody_is_there_already_is_told_while_nobody_can_be_asked(
    practice: Practice, age: timedelta
) -> None:
    doctor, other = (with_a_kept_timetable(practice) for _ in range(2))
    first, second = registered(practice), registered(practice)
    start = later(days=42)
    book(practice, Peers(practice), doctor, start, first)
    practice.now, down = NOW + age, ("patient", "doctor")
    with pytest.raises(SlotTaken) as taken:
        book(practice, Peers(practice, *down), doctor, start, second)
    assert [each["start"] for each in taken.value.alternatives] == [
        as_instant(later(days=42, minutes=minutes)) for minutes in (30, 60, 90)
    ]
    with pytest.raises(PatientBusy):
        book(practice, Peers(practice, *down), other, start, first)
    assert len(practice.of(doctor)) == 1 and practice.of(other) == []


def test_a_gap_that_is_kept_refuses_nobody(practice: Practice) -> None:
    doctor = with_a_kept_timetable(practice, weekly=WEEK, bufferMinutes=10)
    book(practice, Peers(practice), doctor, later(), registered(practice))
    practice.doctors().set_schedule(doctor, {"weekly": WEEK})
    patient = registered(practice)
    with pytest.raises(Unavailable):
        book(practice, Peers(practice, "doctor"), doctor, later(minutes=30), patient)
    book(practice, Peers(practice), doctor, later(minutes=30), patient)


def test_who_is_booked_before_the_change_was_told_is_uncovered_when_it_is(
    practice: Practice,
) -> None:
    doctor = with_a_kept_timetable(practice)
    take_off(practice, doctor, later(), later(hours=1))
    booked = book(practice, Peers(practice), doctor, later(), registered(practice))
    practice.told(doctor, "time_off_changed")
    assert practice.stored(booked).uncovered
    assert [name for name, _ in practice.events(booked)] == ["scheduled", "uncovered"]


def test_changes_and_bookings_of_those_who_are_known_at_once_leave_nobody_covered_who_is_not(
    practice: Practice,
) -> None:
    for seed in range(5):
        dice, doctor = random.Random(seed), with_a_kept_timetable(practice, weekly=WEEK)
        starts = [later(minutes=30 * n) for n in range(16)]
        dice.shuffle(starts)
        people, peers = [registered(practice) for _ in starts], Peers(practice)

        def change(doctor: int = doctor, dice: random.Random = dice) -> None:
            for _ in range(4):
                start = later(hours=dice.randrange(7))
                take_off(practice, doctor, start, start + timedelta(hours=1))
                practice.told(doctor, "time_off_changed")

        def book_some(
            mine: list[tuple[int, datetime]], doctor: int = doctor, peers: Peers = peers
        ) -> None:
            for patient, start in mine:
                try:
                    book(practice, peers, doctor, start, patient)
                except NotBookable:
                    continue

        wanted = list(zip(people, starts, strict=True))
        at_once(change, *(partial(book_some, wanted[n::3]) for n in range(3)))
        timetable = timetable_of(practice.doctors().availability(doctor))
        for each in practice.of(doctor):
            fits = covers(timetable, start=each.starts_at, end=each.ends_at)
            assert each.uncovered is not fits
        assert not peers.asked["patient"]


def at_once(*works: Callable[[], Any]) -> None:
    gate = Barrier(len(works), timeout=PATIENCE)

    def run(work: Callable[[], Any]) -> None:
        gate.wait()
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(run, works))


def test_the_first_bookings_of_all_at_once_keep_what_they_were_told_once(
    practice: Practice,
) -> None:
    doctor, patient, peers = practice.doctor(weekly=WEEK), next(PATIENTS), Peers(practice)
    at_once(*(
        partial(book, practice, peers, doctor, later(minutes=30 * n), patient) for n in range(8)
    ))
    assert len(practice.of(doctor)) == 8
    with practice.session() as session:
        for table, mine in ((KnownPatient, patient), (KeptTimetable, doctor)):
            assert session.get(table, mine)
    peers.down = {"patient", "doctor"}
    book(practice, peers, doctor, later(hours=5), patient)


def test_who_was_erased_is_forgotten_and_refused_even_where_something_was_left(
    practice: Practice,
) -> None:
    doctor, patient = with_a_kept_timetable(practice), registered(practice)
    peers = Peers(practice, "patient", "doctor")
    booked = book(practice, peers, doctor, later(), patient)
    hear(practice, "erased", patient)
    assert not known(practice, patient) and practice.stored(booked).status == "cancelled"
    with practice.session() as session, session.begin():
        session.add(KnownPatient(patient_id=patient, known_at=NOW))
    with pytest.raises(UnknownPatient):
        book(practice, peers, doctor, later(hours=1), patient)


def test_who_was_erased_is_not_met_again_by_an_event_that_comes_late(practice: Practice) -> None:
    patient = next(PATIENTS)
    hear(practice, "erased", patient)
    hear(practice, "registered", patient)
    assert not known(practice, patient)


def test_whoever_is_registered_and_erased_at_once_is_not_known(practice: Practice) -> None:
    for _ in range(10):
        patient = next(PATIENTS)
        at_once(*(partial(hear, practice, name, patient) for name in ("registered", "erased")))
        assert not known(practice, patient)


def test_who_was_erased_by_a_program_of_the_version_before_is_forgotten_in_the_end(
    practice: Practice,
) -> None:
    patient, other = registered(practice), registered(practice)
    with practice.session() as session, session.begin():
        session.add(Erasure(patient_id=patient, erased_at=NOW, settled_at=NOW))
    practice.background().settle_erasures()
    assert not known(practice, patient) and known(practice, other)


def test_a_booking_and_an_erasure_at_once_leave_neither_a_booking_nor_somebody_known(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice)
    for n in range(10):
        patient = registered(practice) if n % 2 else next(PATIENTS)

        def attempt(patient: int = patient, n: int = n) -> None:
            try:
                book(practice, peers, doctor, later(days=7, minutes=30 * n), patient)
            except UnknownPatient:
                return

        at_once(attempt, partial(hear, practice, "erased", patient))
        assert not known(practice, patient)
    assert {each.status for each in practice.of(doctor)} <= {"cancelled"}
    with practice.session() as session:
        assert session.scalars(select(Erasure)).all()


@pytest.mark.parametrize("poison", ["", "{", "null", '{"doctorId": 1}', "x" * 100_000])
def test_a_kept_timetable_that_cannot_be_read_is_as_good_as_none(
    practice: Practice, poison: str
) -> None:
    doctor, peers = with_a_kept_timetable(practice), Peers(practice)
    with practice.session() as session, session.begin():
        theirs = update(KeptTimetable).filter_by(doctor_id=doctor)
        session.execute(theirs.values(timetable=poison))
    for hours in range(2):
        book(practice, peers, doctor, later(hours=hours), registered(practice))
    # It is replaced by what was told then.
    assert peers.asked == {"doctor": 1}


def test_a_kept_timetable_that_was_left_behind_by_a_check_is_out_of_date(
    practice: Practice,
) -> None:
    """As a background of the version before this one leaves it, which keeps none."""
    doctor, peers = with_a_kept_timetable(practice), Peers(practice)
    take_off(practice, doctor, later(), later(hours=1))
    with practice.session() as session, session.begin():
        checked = update(CheckedTimetable).filter_by(doctor_id=doctor)
        session.execute(checked.values(schedule_version=2))
    with pytest.raises(TimeOff):
        book(practice, peers, doctor, later(), registered(practice))
    assert peers.asked == {"doctor": 1}


def test_a_doctor_whom_nobody_knows_is_asked_about_each_time(practice: Practice) -> None:
    peers, patient = Peers(practice), registered(practice)
    for _ in range(2):
        with pytest.raises(UnknownDoctor):
            book(practice, peers, 2**40, later(), patient)
    assert peers.asked == {"doctor": 2}


def test_the_same_key_again_gets_its_answer_and_asks_nobody(practice: Practice) -> None:
    doctor, key = practice.doctor(weekly=WEEK), uuid.uuid4().hex
    wanted = {
        "patientId": next(PATIENTS), "doctorId": doctor, "date": as_instant(later()),
        "description": "Check-up",
    }
    first = desk(practice, Peers(practice), key).schedule(wanted)
    practice.forget_timetable(doctor)
    down = Peers(practice, "patient", "doctor")
    assert (desk(practice, down, key).schedule(wanted), down.asked) == (first, {})
    assert len(practice.of(doctor)) == 1


def test_a_move_to_another_doctor_is_judged_by_what_is_kept_of_that_one(
    practice: Practice,
) -> None:
    mine, other = (with_a_kept_timetable(practice) for _ in range(2))
    peers = Peers(practice, "patient", "doctor")
    booked = book(practice, peers, mine, later(), registered(practice))
    assert desk(practice, peers).reschedule(booked, {"doctorId": other})["doctorId"] == other
    assert not peers.asked


def test_a_move_that_a_kept_timetable_would_refuse_is_judged_by_the_one_that_there_is(
    practice: Practice,
) -> None:
    doctor, peers = with_a_kept_timetable(practice, weekly=MORNING), Peers(practice)
    booked = book(practice, peers, doctor, later(), registered(practice))
    with pytest.raises(SchedulingError):
        desk(practice, peers).reschedule(booked, {"date": as_instant(later(hours=5))})
    practice.doctors().set_schedule(doctor, {"weekly": WEEK})
    moved = desk(practice, peers).reschedule(booked, {"date": as_instant(later(hours=5))})
    assert (moved["date"], peers.asked) == (as_instant(later(hours=5)), {"doctor": 2})
