"""The race for a slot, decided by MariaDB: claims, cancellations, real transactions."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from nameko_sqlalchemy.database import DatabaseWrapper, Session
from sqlalchemy import Engine, select
from sqlalchemy.orm import sessionmaker

from appointment.domain import BOOKED, CANCELLED, buckets
from appointment.models import Appointment, Claim, Outbox
from appointment.repository import Appointments
from config.database import Transactions
from config.encryption import VAULT
from schemas.errors import AppointmentNotFound, PatientBusy, SchedulingError, SlotTaken, Unavailable
from tests.vaults import vault_for

OURS = vault_for("appointment")
NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
_ids = count(random.randrange(10**6, 10**9))


@pytest.fixture
def person() -> Iterator[int]:
    """An id nobody else has, since the database is shared by the run."""
    return _ids


def transactions(engine: Engine, *, seconds: float = 20) -> Transactions:
    deadline = datetime.now(UTC).timestamp() + seconds
    sessions = DatabaseWrapper(sessionmaker(bind=engine, class_=Session, info={VAULT: OURS}))
    return Transactions(sessions, deadline=lambda: deadline, unavailable=Unavailable)


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
    return transactions(engine).run(
        lambda session: Appointments(session).book(fields, now=NOW).id
    )


def cancel(engine: Engine, appointment_id: int) -> None:
    def work(session: Session) -> None:
        appointments = Appointments(session)
        appointments.cancel(appointments.get_locked(appointment_id), reason="ill", now=NOW)

    transactions(engine).run(work)


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


def test_an_event_is_stored_with_its_change_or_not_at_all(
    appointment_engine: Engine, person: Iterator[int]
) -> None:
    correlation = f"rolled-back-{next(person)}"

    def work(session: Session) -> None:
        appointments = Appointments(session)
        booked = appointments.book(wish(doctor=next(person), patient=next(person)), now=NOW)
        appointments.tell("scheduled", booked, now=NOW, correlation_id=correlation)
        session.flush()
        raise RuntimeError("the process died here")

    with pytest.raises(RuntimeError):
        transactions(appointment_engine).run(work)
    with Session(appointment_engine) as session:
        bodies = session.scalars(select(Outbox.body)).all()
    assert not [body for body in bodies if correlation in body]
