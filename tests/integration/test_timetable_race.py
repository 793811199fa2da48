"""Bookings and changes of the timetable at once, decided by MariaDB: each is refused or told."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from appointment.models import Appointment, CheckedTimetable
from appointment.service import AppointmentService
from appointment.timetables import OutOfDate, Timetables
from config.messaging.client import Answer, Request
from schemas.bookability import covers
from schemas.errors import NotBookable, SchedulingError, SlotTaken, Unavailable
from schemas.fields import as_instant
from schemas.schedule import timetable_of
from schemas.statuses import BOOKED
from tests.integration.databases import transactions
from tests.integration.practice import NOW, PATIENTS, WEEK, Practice, later, open_practice
from tests.vaults import vault_for
from tests.waiting import PATIENCE

ROUNDS, BOOKERS = 15, 4


@pytest.fixture(scope="module")
def practice(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each returned, or how it was refused."""
    gate = Barrier(len(works), timeout=PATIENCE)

    def run(work: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return work()
        except SchedulingError as refused:
            return refused

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_whoever_is_booked_into_time_off_that_is_taken_meanwhile_is_refused_or_uncovered(
    practice: Practice,
) -> None:
    dice, refused, uncovered = random.Random(4), 0, 0
    for _ in range(ROUNDS):
        doctor = practice.doctor(weekly=WEEK, slotMinutes=15)
        starts = [later(minutes=15 * n) for n in dice.sample(range(32), 2 * BOOKERS)]
        asked, changed = (Barrier(BOOKERS + 1, timeout=PATIENCE) for _ in range(2))

        def book(*mine: datetime, gates: tuple[Barrier, Barrier], doctor: int) -> list[Any]:
            service = practice.appointments()
            service.ask = hesitating(practice, gates)
            return [at_most_refused(service, doctor, start) for start in mine]

        def take_off(doctor: int, asked: Barrier, changed: Barrier) -> None:
            away = {"start": as_instant(later()), "end": as_instant(later(hours=8))}
            asked.wait()
            practice.doctors().add_time_off(doctor, away)
            changed.wait()
            practice.told(doctor, "time_off_changed")

        *outcomes, _ = at_once(
            *(
                partial(book, *starts[n::BOOKERS], gates=(asked, changed), doctor=doctor)
                for n in range(BOOKERS)
            ),
            partial(take_off, doctor, asked, changed),
        )
        refused += sum(isinstance(each, NotBookable) for mine in outcomes for each in mine)
        stored = practice.of(doctor)
        assert all(each.uncovered for each in stored)
        uncovered += len(stored)
        for each in stored:
            told = [name for name, _ in practice.events(each.id)]
            assert told == ["scheduled", "uncovered"]
    assert refused and uncovered


def hesitating(practice: Practice, gates: tuple[Barrier, Barrier]) -> Any:
    """Asks, and then takes so long with the first answer that it is old."""
    waiting = list(gates)

    def ask(*requests: Request) -> list[Answer]:
        answers = practice.ask(*requests)
        while waiting:
            waiting.pop(0).wait()
        return answers

    return ask


def at_most_refused(service: AppointmentService, doctor: int, start: datetime) -> Any:
    wanted = {
        "patientId": next(PATIENTS), "doctorId": doctor, "date": as_instant(start),
        "description": "Check-up",
    }
    try:
        return service.schedule(wanted)["id"]
    except NotBookable as refusal:
        return refusal


def test_after_many_changes_and_bookings_at_once_the_flags_are_what_the_timetable_says(
    practice: Practice,
) -> None:
    for seed in range(ROUNDS // 3):
        dice = random.Random(seed)
        doctor = practice.doctor(weekly=WEEK, slotMinutes=30)
        starts = [later(minutes=30 * n) for n in range(16)]
        dice.shuffle(starts)

        def change(doctor: int = doctor, dice: random.Random = dice) -> None:
            for _ in range(4):
                start = later(hours=dice.randrange(7))
                away = {"start": as_instant(start), "end": as_instant(start + timedelta(hours=1))}
                taken = practice.doctors().add_time_off(doctor, away)
                practice.told(doctor, "time_off_changed")
                if dice.random() < 0.5:
                    practice.doctors().remove_time_off(doctor, taken["id"])
                    practice.told(doctor, "time_off_changed")

        def book(mine: list[datetime], doctor: int = doctor) -> None:
            for start in mine:
                at_most_refused(practice.appointments(), doctor, start)

        at_once(change, *(lambda mine=starts[n::3]: book(mine) for n in range(3)))
        timetable = timetable_of(practice.doctors().availability(doctor))
        for each in practice.of(doctor):
            fits = covers(timetable, start=each.starts_at, end=each.ends_at)
            assert each.uncovered is not fits


def test_the_gap_is_kept_however_many_book_at_once(practice: Practice) -> None:
    booked = 0
    for seed in range(ROUNDS // 3):
        dice = random.Random(seed)
        doctor = practice.doctor(weekly=WEEK, slotMinutes=5, bufferMinutes=10)

        def book(dice: random.Random, doctor: int = doctor) -> None:
            for _ in range(6):
                start = later(minutes=5 * dice.randrange(48))
                at_most_refused(practice.appointments(), doctor, start)

        dices = [random.Random(dice.random()) for _ in range(BOOKERS)]
        at_once(*(lambda mine=mine: book(mine) for mine in dices))
        stored = practice.of(doctor)
        for before, after in zip(stored, stored[1:], strict=False):
            assert after.starts_at - before.ends_at >= timedelta(minutes=10)
        booked += len(stored)
    assert booked > ROUNDS


def test_a_booking_that_was_judged_by_an_old_timetable_asks_for_the_new_one(
    practice: Practice,
) -> None:
    doctor = practice.doctor(weekly=WEEK)
    old = practice.doctors().availability(doctor)
    away = {"start": as_instant(later()), "end": as_instant(later(hours=1))}
    practice.doctors().add_time_off(doctor, away)
    practice.told(doctor, "time_off_changed")
    practice.forget_timetable(doctor)
    for start, outcome in ((later(), "time_off"), (later(hours=2), BOOKED)):
        service, told = practice.appointments(), [old]
        service.ask = stale(practice, told)
        wanted = {
            "patientId": 10**6, "doctorId": doctor, "date": as_instant(start),
            "description": "Check-up",
        }
        try:
            assert service.schedule(wanted)["status"] == outcome
        except NotBookable as refusal:
            assert refusal.code == outcome
        assert told == []


def test_when_the_timetable_stays_out_of_date_nothing_is_booked(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    old = practice.doctors().availability(doctor)
    practice.doctors().set_schedule(doctor, {"weekly": WEEK})
    practice.told(doctor, "schedule_changed")
    practice.forget_timetable(doctor)
    service = practice.appointments()
    service.ask = stale(practice, [old] * 100)
    wanted = {
        "patientId": 10**6, "doctorId": doctor, "date": as_instant(later()), "description": "X",
    }
    with pytest.raises(Unavailable):
        service.schedule(wanted)
    assert practice.of(doctor) == []


def stale(practice: Practice, told: list[dict[str, Any]]) -> Any:
    """Doctors' availability as it was, for as often as ``told`` has some; then as it is."""
    def ask(*requests: Request) -> list[Answer]:
        return [
            Answer(told.pop()) if request.method == "availability" and told
            else practice.ask(request)[0]
            for request in requests
        ]

    return ask


def appointment_of(doctor: int, start: datetime) -> Appointment:
    """A row without its claims."""
    return Appointment(
        patient_id=1, doctor_id=doctor, starts_at=start, ends_at=start + timedelta(minutes=30),
        duration_minutes=30, description_sealed=b"", status=BOOKED, version=1, sequence=0,
        created_at=NOW, updated_at=NOW,
    )


def test_a_check_waits_for_the_bookings_that_began_before_it_and_sees_them(
    practice: Practice,
) -> None:
    doctor, seen = 10**6, list[int]()
    run = transactions(practice.engines["appointment"], vault_for("appointment")).run
    # Whoever makes the row is waited for anyway.
    run(lambda session: Timetables(session).hold(doctor, version=0, alone=False))

    def check(session: Session) -> None:
        assert Timetables(session).begin_check(doctor, 1)
        seen.append(len(session.scalars(select(Appointment.id).filter_by(doctor_id=doctor)).all()))

    with ThreadPoolExecutor(1) as pool:
        with practice.session() as booking, booking.begin():
            Timetables(booking).hold(doctor, version=0, alone=False)
            waiting = pool.submit(run, check)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            booking.add(appointment_of(doctor, NOW))
        waiting.result(timeout=PATIENCE)
    assert seen == [1]


def test_what_was_checked_once_is_not_checked_again_and_older_bookings_are_out_of_date(
    practice: Practice,
) -> None:
    doctor = 10**6 + 1
    run = transactions(practice.engines["appointment"], vault_for("appointment")).run
    begun = [
        run(lambda session, version=version: Timetables(session).begin_check(doctor, version))
        for version in (2, 2, 1, 3)
    ]
    assert begun == [True, False, False, True]
    for alone in (False, True):
        run(lambda session, alone=alone: Timetables(session).hold(doctor, version=3, alone=alone))
        with pytest.raises(OutOfDate):
            run(lambda session, alone=alone: Timetables(session).hold(
                doctor, version=2, alone=alone
            ))


def test_the_first_bookings_of_a_doctor_all_at_once_make_one_row(practice: Practice) -> None:
    doctor = 10**6 + 2
    run = transactions(practice.engines["appointment"], vault_for("appointment")).run

    def hold(session: Session) -> None:
        Timetables(session).hold(doctor, version=0, alone=False)

    at_once(*(lambda: run(hold) for _ in range(8)))
    with practice.session() as session:
        assert len(session.scalars(select(CheckedTimetable).filter_by(doctor_id=doctor)).all()) == 1


@pytest.mark.parametrize("alone", [True, False])
def test_a_booking_that_keeps_a_gap_waits_for_the_one_before_it(
    practice: Practice, alone: bool
) -> None:
    doctor = practice.doctor(weekly=WEEK, bufferMinutes=10)
    version = practice.doctors().availability(doctor)["scheduleVersion"]
    # Whoever makes the row is waited for anyway.
    last = practice.book(doctor, later(hours=7))
    with ThreadPoolExecutor(1) as pool:
        with practice.session() as first, first.begin():
            Timetables(first).hold(doctor, version=version, alone=alone)
            waiting = pool.submit(practice.book, doctor, later(minutes=30))
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            # It ends where the other one would start: no claim is in the way, only the gap.
            first.add(appointment_of(doctor, later()))
        with pytest.raises(SlotTaken):
            waiting.result(timeout=PATIENCE)
    first_one, *others = practice.of(doctor)
    assert (first_one.starts_at, [each.id for each in others]) == (later(), [last])


def test_bookings_that_keep_no_gap_do_not_wait_for_each_other(practice: Practice) -> None:
    doctor = 10**6 + 3
    run = transactions(practice.engines["appointment"], vault_for("appointment")).run
    run(lambda session: Timetables(session).hold(doctor, version=0, alone=False))
    with practice.session() as first, practice.session() as second:
        with first.begin(), second.begin():
            Timetables(first).hold(doctor, version=0, alone=False)
            Timetables(second).hold(doctor, version=0, alone=False)
