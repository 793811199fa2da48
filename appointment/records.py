"""Which appointments there are, and what became of them: reads only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from appointment.models import Appointment, Change
from schemas.statuses import BOOKED, CANCELLED


class Records:
    """The stored appointments and their histories, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, query: Mapping[str, Any], *, now: datetime) -> Sequence[Appointment]:
        """Those that the loaded ``AppointmentQuerySchema`` asks for, its ends in UTC, in the order
        of start and id; one more than its limit tells that there is another page."""
        wanted = (
            select(Appointment)
            .where(*_filters(query, now=now))
            .order_by(Appointment.starts_at, Appointment.id)
            .limit(query["limit"] + 1)
        )
        return self._session.scalars(wanted).all()

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

    def history(self, appointment_id: int) -> Sequence[Change]:
        """What the appointment was at each time, in order."""
        kept = select(Change).where(Change.appointment_id == appointment_id)
        return self._session.scalars(kept.order_by(Change.id)).all()

    def histories(self, patient_id: int) -> dict[int, list[Change]]:
        """Those of all appointments of the patient, by their ids."""
        kept = (
            select(Change)
            .join(Appointment, Appointment.id == Change.appointment_id)
            .where(Appointment.patient_id == patient_id)
            .order_by(Change.id)
        )
        found: dict[int, list[Change]] = {}
        for each in self._session.scalars(kept):
            found.setdefault(each.appointment_id, []).append(each)
        return found


def _filters(query: Mapping[str, Any], *, now: datetime) -> list[ColumnElement[bool]]:
    equal = {
        Appointment.patient_id: query["patient_id"],
        Appointment.doctor_id: query["doctor_id"],
        Appointment.status: query["status"],
        Appointment.uncovered: query["uncovered"] or None,
    }
    filters = [column == value for column, value in equal.items() if value is not None]
    if query["uncovered"]:
        # Of those that were marked by a version before this one, some are done with.
        filters.append(Appointment.status == BOOKED)
    if query["since"]:
        filters.append(Appointment.starts_at >= query["since"])
    if query["until"]:
        filters.append(Appointment.starts_at < query["until"])
    if query["unresolved"]:
        # What is over began before; this much of it an index can tell.
        over = (Appointment.starts_at < now, Appointment.ends_at <= now)
        filters += [Appointment.status == BOOKED, *over]
    if query["after"]:
        filters += _beyond(*query["after"])
    return filters


def _beyond(start: datetime, appointment_id: int) -> list[ColumnElement[bool]]:
    # Not compared as a pair: MariaDB would read the index from its beginning.
    later = or_(Appointment.starts_at > start, Appointment.id > appointment_id)
    return [Appointment.starts_at >= start, later]
