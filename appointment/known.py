"""What is known here of patients and doctors, so that an appointment can be booked without asking.

Their own services told it, when they were asked or by events. Of a patient it is the number, of a
doctor the timetable: nothing that says who they are. What keeps it from being wrong:

- An erased patient is forgotten in the transaction that hears of it, and their ``Erasure`` refuses
  them whatever is known.
- A timetable is replaced in the transaction that checks appointments against the next one. Who
  writes one holds the doctor's row in ``checked_timetable``, so none that is kept is older than
  what was checked, and a booking that had read one finds it out of date (see ``timetables``).
- What was stored by the doctor service a moment ago, and not yet told, is not known here. Who is
  booked by the timetable before it is found by the check that is to come, and is ``uncovered``.
  Nobody is refused by a kept timetable, and no local time is read by it: it is asked for, and then
  judges. Only that a time is taken is told by what is kept, when the doctor service is silent.
- What was told too long ago is asked for; only when nobody answers, it counts for longer.
"""

from contextlib import suppress
from datetime import datetime
from typing import Any

from marshmallow import ValidationError
from sqlalchemy import Row, Select, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from appointment.domain import PATIENT_KEPT_FOR, TIMETABLE_KEPT_FOR, is_recent
from appointment.models import Erasure, KeptTimetable, KnownPatient
from appointment.parties import DOCTOR, PATIENT, Parties, hours_of
from config.database import RecordId, put

Kept = Row[datetime, int, str, datetime]
# Of the tables themselves, and made once: making a statement, and what the classes would add, takes
# longer than what the database does about it.
_PATIENTS: Any = KnownPatient.__table__
_TIMETABLES: Any = KeptTimetable.__table__
_KEEP = insert(_TIMETABLES)
_KEEP_AGAIN = update(_TIMETABLES).where(
    _TIMETABLES.c.doctor_id == bindparam("of_doctor"),
    _TIMETABLES.c.schedule_version <= bindparam("up_to"),
)
_WANTED = select(
    bindparam("patient_id", type_=RecordId).label("patient_id"),
    bindparam("doctor_id", type_=RecordId).label("doctor_id"),
).subquery()
_KEPT: Select[datetime, int, str, datetime] = (
    select(
        _PATIENTS.c.known_at,
        _TIMETABLES.c.schedule_version,
        _TIMETABLES.c.timetable,
        _TIMETABLES.c.told_at,
    )
    .select_from(_WANTED)
    .outerjoin(_PATIENTS, _PATIENTS.c.patient_id == _WANTED.c.patient_id)
    .outerjoin(_TIMETABLES, _TIMETABLES.c.doctor_id == _WANTED.c.doctor_id)
)


class Known:
    """What was told of patients and doctors, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def parties(self, *, patient_id: int, doctor_id: int, now: datetime) -> Parties:
        """``open`` are those of whom nothing is known, or what was told too long ago."""
        kept = self._kept(patient_id, doctor_id)
        availability = _readable(kept, doctor_id)
        told = {
            PATIENT: is_recent(kept.known_at, now=now, within=PATIENT_KEPT_FOR),
            DOCTOR: availability is not None
            and is_recent(kept.told_at, now=now, within=TIMETABLE_KEPT_FOR),
        }
        return Parties(
            patient_id=patient_id,
            doctor_id=doctor_id,
            patient_known=kept.known_at is not None,
            availability=availability,
            open=tuple(who for who, recently in told.items() if not recently),
        )

    def keep(self, parties: Parties) -> None:
        """What was told of them now. Call while the doctor's timetable is held."""
        if parties.told_at and PATIENT in parties.told:
            self.meet(parties.patient_id, now=parties.told_at)
        if parties.told_at and parties.availability and DOCTOR in parties.told:
            self.keep_timetable(parties.availability, now=parties.told_at)

    def meet(self, patient_id: int, *, now: datetime) -> None:
        """Their service knows the patient. Call before looking whether they were erased: then of a
        booking and an erasure at once, one finds the other."""
        put(self._session, KnownPatient, {"patient_id": patient_id, "known_at": now})

    def forget(self, *patient_ids: int) -> None:
        gone = delete(KnownPatient).where(KnownPatient.patient_id.in_(patient_ids))
        self._session.execute(gone.execution_options(synchronize_session=False))

    def forget_erased(self, *, limit: int) -> None:
        """Some of those whom a program of the version before this one has erased: it knew nothing
        of what is kept here."""
        erased = select(KnownPatient.patient_id).join(
            Erasure, Erasure.patient_id == KnownPatient.patient_id
        )
        found = self._session.scalars(erased.limit(limit)).all()
        if found:
            self.forget(*sorted(found))

    def keep_timetable(self, availability: str, *, now: datetime) -> None:
        """Instead of what is kept, unless that is newer. Call while the timetable is held."""
        hours = hours_of(availability)
        told = {"schedule_version": hours.version, "timetable": availability, "told_at": now}
        older = {"of_doctor": hours.doctor_id, "up_to": hours.version}
        again: Any = self._session.execute(_KEEP_AGAIN, {**older, **told})
        if not again.rowcount:
            # Somebody else may have put it there meanwhile, or what is there is newer.
            with suppress(IntegrityError):
                self._session.execute(_KEEP, {"doctor_id": hours.doctor_id, **told})

    def _kept(self, patient_id: int, doctor_id: int) -> Kept:
        """What is not there is None."""
        return self._session.execute(
            _KEPT, {"patient_id": patient_id, "doctor_id": doctor_id}
        ).one()


def _readable(kept: Kept, doctor_id: int) -> str | None:
    """The timetable, unless it is not what was kept of this doctor: that is as good as none."""
    try:
        hours = hours_of(kept.timetable)
    except (ValueError, TypeError, ValidationError):
        return None
    rightful = (hours.doctor_id, hours.version) == (doctor_id, kept.schedule_version)
    return kept.timetable if rightful else None
