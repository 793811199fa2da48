"""The race for a slot, decided by MariaDB: claims, cancellations, real transactions."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from appointment.domain import buckets
from appointment.models import Appointment, Claim, Outbox
from appointment.repository import Appointments
from config.encryption import VAULT
from schemas.errors import (
    AppointmentNotFound,
    OutsideHours,
    PatientBusy,
    SchedulingError,
    SlotTaken,
    UnknownDoctor,
)
from schemas.fields import as_instant
from schemas.statuses import BOOKED, CANCELLED
from tests.integration.databases import transactions
from tests.integration.practice import NOW as MONDAY
from tests.integration.practice import PATIENTS, WEEK, Practice, later, open_practice
from tests.vaults import vault_for

OURS = vault_for("appointment")
NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
_ids = count(random.randrange(10**6, 10**9))


@pytest.fixture
def person() -> Iterator[int]:
    """An id nobody else has, since the database is shared by the run."""
    return _ids


def wish(*, doctor: int, patient: int, start: datetime = NOON, minutes: int = 30) -> dict[str, Any]:
    return {
        "patient_id": patient,
        "doctor_id": doctor,
        "starts_at": start,
        "ends_at": start + timedelta(minutes=minutes),
        "duration_minutes": minutes,
        "description": "check-up",
    }


def book(engine: Engine, fields: dict[str, Any]) -> int:
    return transactions(engine, OURS).run(
        lambda session: Appointments(session).book(fields, now=NOW, correlation_id="c").id
    )


def cancel(engine: Engine, appointment_id: int) -> None:
    def work(session: Session) -> None:
        appointments = Appointments(session)
        appointments.cancel(appointments.get_locked(appointment_id), reason="ill", now=NOW)

    transactions(engine, OURS).run(work)


def outcome(engine: Engine, fields: dict[str, Any]) -> str:
    try:
        book(engine, fields)
    except SchedulingError as refused:
        return refused.code
    return "booked"


def claims(engine: Engine, **where: Any) -> set[tuple[str, int, int]]:
    with Session(engine) as session:
        rows = session.scalars(select(Claim).filter_by(**where)).all()
        return {(row.kind, row.resource_id, row.bucket) for row in rows}


def test_a_booking_claims_each_bucket_of_its_doctor_and_its_patient(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    doctor, patient = next(person), next(person)
    booked = book(appointment_engine, wish(doctor=doctor, patient=patient))
    held = buckets(NOON, NOON + timedelta(minutes=30))
    assert claims(appointment_engine, appointment_id=booked) == {
        *(("D", doctor, bucket) for bucket in held), *(("P", patient, bucket) for bucket in held)
    }


@pytest.mark.parametrize("minutes", [-25, -5, 0, 5, 25])
def test_an_overlapping_booking_of_the_same_doctor_is_refused_and_stores_nothing(
    appointment_engine: Engine, person: Iterator[int], minutes: int
) -> None:
    doctor, other = next(person), next(person)
    book(appointment_engine, wish(doctor=doctor, patient=next(person)))
    with pytest.raises(SlotTaken):
        start = NOON + timedelta(minutes=minutes)
        book(appointment_engine, wish(doctor=doctor, patient=other, start=start))
    assert claims(appointment_engine, kind="P", resource_id=other) == set()
    with Session(appointment_engine) as session:
        assert session.scalar(select(Appointment).filter_by(patient_id=other)) is None


def test_a_patient_cannot_be_with_two_doctors_at_once(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    patient, other_doctor = next(person), next(person)
    book(appointment_engine, wish(doctor=next(person), patient=patient))
    with pytest.raises(PatientBusy):
        book(appointment_engine, wish(doctor=other_doctor, patient=patient))
    assert claims(appointment_engine, kind="D", resource_id=other_doctor) == set()


@pytest.mark.parametrize("minutes", [-30, 30])
def test_an_appointment_may_begin_when_another_ends(
    appointment_engine: Engine, person: Iterator[int], minutes: int
) -> None:
    doctor, patient = next(person), next(person)
    book(appointment_engine, wish(doctor=doctor, patient=patient))
    start = NOON + timedelta(minutes=minutes)
    assert book(appointment_engine, wish(doctor=doctor, patient=patient, start=start))


def test_a_patient_and_a_doctor_with_the_same_id_do_not_stand_in_each_others_way(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    same = next(person)
    book(appointment_engine, wish(doctor=same, patient=next(person)))
    assert book(appointment_engine, wish(doctor=next(person), patient=same))


def test_cancelling_frees_the_time_and_keeps_the_record(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    doctor, patient = next(person), next(person)
    first = book(appointment_engine, wish(doctor=doctor, patient=patient))
    cancel(appointment_engine, first)
    assert book(appointment_engine, wish(doctor=doctor, patient=patient)) != first
    with Session(appointment_engine, info={VAULT: OURS}) as session:
        kept = session.get(Appointment, first)
        assert kept is not None
        assert (kept.status, kept.cancel_reason, kept.version) == (CANCELLED, "ill", 2)


def test_an_appointment_that_is_not_there_cannot_be_cancelled(appointment_engine: Engine) -> None:
    with pytest.raises(AppointmentNotFound):
        cancel(appointment_engine, 2**62)


def test_of_twenty_transactions_that_want_one_slot_at_once_exactly_one_gets_it(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    doctor, gate = next(person), Barrier(20)

    def race(patient: int) -> str:
        gate.wait()
        return outcome(appointment_engine, wish(doctor=doctor, patient=patient))

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(race, [next(person) for _ in range(20)]))
    assert sorted(results) == ["booked", *["slot_taken"] * 19]


def test_random_overlapping_bookings_and_cancellations_leave_no_overlap_and_no_orphan_claim(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    doctors = [next(person) for _ in range(2)]
    patients = [next(person) for _ in range(4)]

    def work(seed: int) -> list[str]:
        dice, results = random.Random(seed), []
        for _ in range(15):
            start = NOON + timedelta(minutes=5 * dice.randrange(24))
            fields = wish(
                doctor=dice.choice(doctors),
                patient=dice.choice(patients),
                start=start,
                minutes=dice.choice((5, 15, 30, 45)),
            )
            try:
                booked = book(appointment_engine, fields)
                results.append("booked")
                if dice.random() < 0.6:
                    cancel(appointment_engine, booked)
            except SchedulingError as refused:
                results.append(refused.code)
        return results

    with ThreadPoolExecutor(12) as pool:
        seen = {code for codes in pool.map(work, range(12)) for code in codes}
    assert seen == {"booked", "slot_taken", "patient_busy"}
    _check_no_overlap(appointment_engine, doctors)


def _check_no_overlap(engine: Engine, doctors: list[int]) -> None:
    with Session(engine) as session:
        active = session.scalars(
            select(Appointment).where(
                Appointment.doctor_id.in_(doctors), Appointment.status == BOOKED
            )
        ).all()
        held = session.scalars(select(Claim).where(Claim.resource_id.in_(doctors))).all()
    expected = [
        (found.doctor_id, bucket, found.id)
        for found in active
        for bucket in buckets(found.starts_at, found.ends_at)
    ]
    found_claims = [(row.resource_id, row.bucket, row.appointment_id) for row in held]
    assert sorted(found_claims) == sorted(expected)
    for party in ("doctor_id", "patient_id"):
        ordered = sorted(active, key=lambda found: (getattr(found, party), found.starts_at))
        for before, after in zip(ordered, ordered[1:], strict=False):
            if getattr(before, party) == getattr(after, party):
                assert before.ends_at <= after.starts_at


def test_what_was_booked_is_told_as_it_is_read_again(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    def work(session: Session) -> None:
        appointments = Appointments(session)
        wanted = wish(doctor=next(person), patient=next(person))
        booked = appointments.book(wanted, now=NOW, correlation_id="c")
        assert vars(booked) == vars(appointments.get(booked.id))

    transactions(appointment_engine, OURS).run(work)


def test_who_books_has_told_of_it_by_the_number_that_the_row_counts(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    booked = book(appointment_engine, wish(doctor=next(person), patient=next(person)))
    with Session(appointment_engine) as session:
        told = select(Outbox.name, Outbox.sequence).filter_by(subject=str(booked))
        assert session.execute(told).all() == [("scheduled", 1)]
        assert session.get_one(Appointment, booked).sequence == 1


def test_an_event_is_stored_with_its_change_or_not_at_all(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    correlation = f"rolled-back-{next(person)}"

    def work(session: Session) -> None:
        appointments = Appointments(session)
        wanted = wish(doctor=next(person), patient=next(person))
        appointments.book(wanted, now=NOW, correlation_id=correlation)
        session.flush()
        raise RuntimeError("the process died here")

    with pytest.raises(RuntimeError):
        transactions(appointment_engine, OURS).run(work)
    with Session(appointment_engine) as session:
        bodies = session.scalars(select(Outbox.body)).all()
    assert not [body for body in bodies if correlation in body]


# By the timetable, as the service books


NINE = later(days=7)


@pytest.fixture(scope="module")
def opened(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


@pytest.fixture
def practice(opened: Practice) -> Practice:
    opened.now = MONDAY
    return opened


def asked(doctor: int, start: datetime = NINE, **more: Any) -> dict[str, Any]:
    return {
        "patientId": next(PATIENTS), "doctorId": doctor, "date": as_instant(start),
        "description": "Check-up", **more,
    }


@pytest.mark.parametrize(
    ("slot", "sent", "lasts"), [(None, None, 30), (20, None, 20), (20, 45, 45)]
)
def test_who_says_not_how_long_is_booked_for_a_slot(
    practice: Practice, slot: int | None, sent: int | None, lasts: int
) -> None:
    doctor = practice.doctor(**({"weekly": WEEK, "slotMinutes": slot} if slot else {}))
    booked = practice.appointments().schedule(asked(doctor, durationMinutes=sent))
    assert booked["durationMinutes"] == lasts
    assert booked["end"] == as_instant(NINE + timedelta(minutes=lasts))


def test_a_booking_knows_its_timetable_its_reminder_and_its_history(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.appointments().schedule(asked(doctor))
    stored = practice.stored(booked["id"])
    assert (booked["version"], stored.schedule_version) == (1, 1)
    assert stored.remind_at == NINE - timedelta(days=1)
    (line,) = practice.appointments().history(booked["id"])["items"]
    assert line == {
        "at": as_instant(MONDAY), "what": "scheduled", "actorRole": "operator",
        "actorAccountId": None, "doctorId": doctor, "date": booked["date"], "end": booked["end"],
        "status": BOOKED, "version": 1,
    }


def test_a_refused_booking_names_the_rule_and_stores_nothing(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    with pytest.raises(OutsideHours) as refused:
        practice.appointments().schedule(asked(doctor, later(days=7, hours=-1)))
    told = refused.value.members
    assert told["rule"]["rule"] == "outside_hours"
    assert [slot["start"] for slot in told["alternatives"]] == [
        as_instant(NINE + timedelta(minutes=minutes)) for minutes in (0, 30, 60)
    ]
    assert practice.of(doctor) == [] and practice.claims(doctor) == []


def test_who_is_busy_elsewhere_is_offered_times_at_which_both_are_free(practice: Practice) -> None:
    doctor, other = practice.doctor(weekly=WEEK, bufferMinutes=60), practice.doctor()
    taken = practice.appointments().schedule(asked(other))
    with pytest.raises(PatientBusy) as busy:
        practice.appointments().schedule({**asked(doctor), "patientId": taken["patientId"]})
    # The refused one is in nobody's way: neither it nor the gap around it.
    assert [slot["start"] for slot in busy.value.members["alternatives"]] == [
        as_instant(NINE + timedelta(minutes=minutes)) for minutes in (30, 60, 90)
    ]
    assert practice.of(doctor) == []


def test_nobody_is_booked_with_a_doctor_whom_nobody_knows(practice: Practice) -> None:
    service, nobody = practice.appointments(key="unknown-doctor"), asked(2**62)
    for _ in range(2):
        with pytest.raises(UnknownDoctor):
            service.schedule(nobody)
