"""What a changed timetable means for those who are booked: nothing is cancelled, they are told."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from appointment.known import Known
from appointment.models import Appointment
from appointment.parties import as_text
from appointment.repository import Appointments
from appointment.timetables import Timetables
from config.messaging.caller import SYSTEM
from schemas.bookability import covers
from schemas.schedule import timetable_of
from schemas.statuses import BOOKED


def check_coverage(
    session: Session,
    availability: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    correlation_id: str,
) -> None:
    """Note of each later appointment of the doctor whether the timetable has room for it.

    Once for each version of the timetable, and never for one before it: what is told again, or out
    of turn, changes nothing. From then on it is what bookings are judged by.

    :param availability: what the doctor service says now, after the change that is reacted to.
    """
    doctor_id, version = availability["doctorId"], availability["scheduleVersion"]
    if not Timetables(session).begin_check(doctor_id, version):
        return
    timetable, appointments = timetable_of(availability), Appointments(session)
    begun = clock()
    Known(session).keep_timetable(as_text(availability), now=begun)
    later = _later(session, doctor_id, now=begun)
    # Their locks were waited for, and whoever had them has changed them at a time after ``begun``.
    now = clock()
    for each in later:
        uncovered = not covers(timetable, start=each.starts_at, end=each.ends_at)
        if each.uncovered != uncovered:
            each.uncovered = uncovered
            appointments.changed(each, now=now)
            name = "uncovered" if uncovered else "covered"
            appointments.note(name, each, by=SYSTEM, now=now)
            appointments.tell(name, each, now=now, correlation_id=correlation_id)
    session.execute(
        update(Appointment)
        .where(_booked_later(doctor_id, now=begun))
        .values(schedule_version=version)
        .execution_options(synchronize_session=False)
    )


def _later(session: Session, doctor_id: int, *, now: datetime) -> Sequence[Appointment]:
    """Locked, so that each is judged by the time it is at."""
    later = select(Appointment).where(_booked_later(doctor_id, now=now)).with_for_update()
    return session.scalars(later).all()


def _booked_later(doctor_id: int, *, now: datetime) -> ColumnElement[bool]:
    return and_(
        Appointment.doctor_id == doctor_id,
        Appointment.starts_at > now,
        Appointment.status == BOOKED,
    )
