"""Every query of the appointment service, in the words of the front desk."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from appointment.domain import BOOKED, CANCELLED, ERASED, buckets, is_upcoming
from appointment.models import Appointment, Claim, Erasure, Outbox
from config.database import Contended
from config.messaging.outbox import outbox_row
from schemas.errors import AppointmentNotFound, PatientBusy, SlotTaken, UnknownPatient
from schemas.events import envelope

DOCTOR, PATIENT = "D", "P"


class Appointments:
    """The stored appointments, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, appointment_id: int) -> Appointment:
        """:raises AppointmentNotFound:"""
        return _found(self._session.get(Appointment, appointment_id), appointment_id)

    def get_locked(self, appointment_id: int) -> Appointment:
        """As ``get``, and nobody else changes it until this transaction ends."""
        wanted = select(Appointment).where(Appointment.id == appointment_id).with_for_update()
        return _found(self._session.scalar(wanted), appointment_id)

    def of(self, patient_id: int) -> Sequence[Appointment]:
        """All that the patient ever had, in the order in which they start."""
        theirs = select(Appointment).where(Appointment.patient_id == patient_id)
        return self._session.scalars(theirs.order_by(Appointment.starts_at, Appointment.id)).all()

    def between(self, doctor_id: int, patient_id: int) -> bool:
        """Whether there is any that was not cancelled."""
        found = select(Appointment.id).where(
            Appointment.patient_id == patient_id,
            Appointment.doctor_id == doctor_id,
            Appointment.status != CANCELLED,
        )
        return self._session.scalar(found.limit(1)) is not None

    def book(self, fields: Mapping[str, Any], *, now: datetime) -> Appointment:
        """Store the appointment and claim its time.

        :raises UnknownPatient, SlotTaken, PatientBusy: and nothing is stored.
        """
        plain = {name: value for name, value in fields.items() if name != "description"}
        appointment = Appointment(
            **plain, status=BOOKED, version=1, sequence=0, created_at=now, updated_at=now
        )
        self._session.add(appointment)
        self._session.flush()
        self._check_not_erased(appointment.patient_id)
        self._claim(appointment)
        # What is sealed is bound to the id, which the row has now.
        appointment.description = fields["description"]
        return appointment

    def cancel(self, appointment: Appointment, *, reason: str | None, now: datetime) -> None:
        """Keep the record and free its time."""
        appointment.status = CANCELLED
        # About an erased patient nothing is written again.
        appointment.cancel_reason = None if appointment.erased_at else reason
        appointment.version += 1
        appointment.updated_at = now
        self._free([appointment.id])

    def erase(self, patient_id: int, *, now: datetime, correlation_id: str) -> None:
        """Cancel what the patient has still to come, and leave nothing that was written; when and
        with whom they met stays. What was erased before is left alone."""
        written = select(Appointment).where(
            Appointment.patient_id == patient_id, Appointment.erased_at.is_(None)
        )
        # Locked, so that a booking under way is waited for.
        found = self._session.scalars(written.order_by(Appointment.id).with_for_update()).all()
        upcoming = [
            each
            for each in found
            if is_upcoming(status=each.status, starts_at=each.starts_at, now=now)
        ]
        self._free([each.id for each in upcoming])
        for each in found:
            each.description, each.cancel_reason = ERASED, None
            each.erased_at = each.updated_at = now
            each.version += 1
        for each in upcoming:
            each.status = CANCELLED
            self.tell("cancelled", each, now=now, correlation_id=correlation_id)

    def tell(
        self, name: str, appointment: Appointment, *, now: datetime, correlation_id: str
    ) -> None:
        """Put the event ``name`` about ``appointment`` into the outbox."""
        appointment.sequence += 1
        event = envelope(
            source="appointment",
            name=name,
            subject=appointment.id,
            sequence=appointment.sequence,
            time=now,
            correlation_id=correlation_id,
            data={
                "appointment_id": appointment.id,
                "patient_id": appointment.patient_id,
                "doctor_id": appointment.doctor_id,
                "start": appointment.starts_at,
                "end": appointment.ends_at,
                "status": appointment.status,
            },
        )
        self._session.add(outbox_row(Outbox, name=name, event=event))

    def _check_not_erased(self, patient_id: int) -> None:
        """Call after the row is there. An erasure first says that it is one, then looks for rows;
        a booking first has its row, then looks for erasures. Both look with locks, so of two at
        once one finds the other, or waits for it."""
        erased = select(Erasure.patient_id).where(Erasure.patient_id == patient_id)
        if self._session.scalar(erased.with_for_update(read=True)) is not None:
            raise UnknownPatient(patient_id)

    def _free(self, appointment_ids: Sequence[int]) -> None:
        self._session.execute(delete(Claim).where(Claim.appointment_id.in_(appointment_ids)))

    def _claim(self, appointment: Appointment) -> None:
        wanted = buckets(appointment.starts_at, appointment.ends_at)
        parties = ((DOCTOR, appointment.doctor_id), (PATIENT, appointment.patient_id))
        # In the order of the primary key: two bookings that meet wait instead of deadlocking.
        rows = [
            {"kind": kind, "resource_id": party, "bucket": bucket, "appointment_id": appointment.id}
            for kind, party in parties
            for bucket in wanted
        ]
        try:
            self._session.execute(insert(Claim), rows)
        except IntegrityError as clash:
            raise self._refusal(appointment, wanted) from clash

    def _refusal(self, appointment: Appointment, wanted: range) -> Exception:
        parties = (
            (DOCTOR, appointment.doctor_id, SlotTaken),
            (PATIENT, appointment.patient_id, PatientBusy),
        )
        for kind, party, refusal in parties:
            held = select(Claim.bucket).where(
                Claim.kind == kind,
                Claim.resource_id == party,
                Claim.bucket >= wanted.start,
                Claim.bucket < wanted.stop,
                # SQLite inserts row by row, so some of our own may be there already.
                Claim.appointment_id != appointment.id,
            )
            if self._session.scalar(held.limit(1)) is not None:
                return refusal()
        return Contended("the claim in the way was given up meanwhile")


class Erasures:
    """Patients who were erased, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remember(self, patient_id: int, *, now: datetime) -> None:
        """From now on, nobody can be booked for; told again, nothing changes."""
        try:
            with self._session.begin_nested():
                self._session.add(Erasure(patient_id=patient_id, erased_at=now))
        except IntegrityError:
            # It is known; the database has just locked the row that says so.
            return

    def unsettled(self, *, before: datetime, limit: int) -> Sequence[int]:
        """Patients who were erased ``before``, and were not looked at since."""
        waiting = select(Erasure.patient_id).where(
            Erasure.settled_at.is_(None), Erasure.erased_at < before
        )
        return self._session.scalars(waiting.order_by(Erasure.erased_at).limit(limit)).all()

    def settle(self, patient_id: int, *, now: datetime) -> None:
        done = update(Erasure).where(Erasure.patient_id == patient_id).values(settled_at=now)
        self._session.execute(done)


def _found(appointment: Appointment | None, appointment_id: int) -> Appointment:
    if appointment is None:
        raise AppointmentNotFound(appointment_id)
    return appointment
