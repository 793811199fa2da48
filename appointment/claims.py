"""Whose time is taken: the rows whose primary key forbids double booking."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from appointment.domain import buckets
from appointment.models import Appointment, Claim
from config.database import Contended
from config.encryption import Opened
from schemas.errors import PatientBusy, SlotTaken

DOCTOR, PATIENT = "D", "P"
_ROWS: Any = Claim.__table__
# Of the table itself, and made once: what the class would add takes longer and is not needed.
_TAKE = insert(_ROWS)


class Claims:
    """The time that appointments hold, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(self, appointment: Appointment | Opened) -> None:
        """:raises SlotTaken, PatientBusy: when somebody else has some of this time."""
        wanted = buckets(appointment.starts_at, appointment.ends_at)
        parties = ((DOCTOR, appointment.doctor_id), (PATIENT, appointment.patient_id))
        # In the order of the primary key: two bookings that meet wait instead of deadlocking.
        rows = [
            {"kind": kind, "resource_id": party, "bucket": bucket, "appointment_id": appointment.id}
            for kind, party in parties
            for bucket in wanted
        ]
        try:
            self._session.execute(_TAKE, rows)
        except IntegrityError as clash:
            raise self._refusal(appointment, wanted) from clash

    def free(self, appointment_ids: Sequence[int]) -> None:
        self._session.execute(delete(Claim).where(Claim.appointment_id.in_(appointment_ids)))

    def _refusal(self, appointment: Appointment | Opened, wanted: range) -> Exception:
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
