"""Every query of the appointment service, in the words of the front desk."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from appointment.domain import BOOKED, CANCELLED, buckets
from appointment.models import Appointment, Claim, Outbox
from config.database import Contended
from config.messaging.outbox import outbox_row
from schemas.errors import AppointmentNotFound, PatientBusy, SlotTaken
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

        :raises SlotTaken, PatientBusy: and nothing is stored.
        """
        plain = {name: value for name, value in fields.items() if name != "description"}
        appointment = Appointment(
            **plain, status=BOOKED, version=1, sequence=0, created_at=now, updated_at=now
        )
        self._session.add(appointment)
        self._session.flush()
        self._claim(appointment)
        # What is sealed is bound to the id, which the row has now.
        appointment.description = fields["description"]
        return appointment

    def cancel(self, appointment: Appointment, *, reason: str | None, now: datetime) -> None:
        """Keep the record and free its time."""
        appointment.status = CANCELLED
        appointment.cancel_reason = reason
        appointment.version += 1
        appointment.updated_at = now
        self._session.execute(delete(Claim).where(Claim.appointment_id == appointment.id))

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


def _found(appointment: Appointment | None, appointment_id: int) -> Appointment:
    if appointment is None:
        raise AppointmentNotFound(appointment_id)
    return appointment
