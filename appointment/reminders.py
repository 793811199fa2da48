"""Telling of appointments that come near: each reminder once, by the row as it is then."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from appointment.domain import due_reminder, next_reminder
from appointment.models import Appointment
from appointment.repository import Appointments

BATCH = 100


def tell_reminders(
    session: Session, *, leads: Sequence[int], now: datetime, correlation_id: str
) -> int:
    """Tell those that are due, and plan the next ones; how many appointments were looked at.

    :param leads: how many minutes before the start patients are reminded.
    """
    due = (
        select(Appointment)
        .where(Appointment.remind_at <= now)
        .order_by(Appointment.remind_at)
        .limit(BATCH)
        # What is being changed, or reminded of elsewhere, comes in a later round, if at all.
        .with_for_update(skip_locked=True)
    )
    appointments, found = Appointments(session), session.scalars(due).all()
    for each in found:
        lead = due_reminder(
            status=each.status,
            starts_at=each.starts_at,
            planned=each.remind_at,
            now=now,
            leads=leads,
        )
        if lead is not None:
            appointments.tell(
                "reminder_due", each, now=now, correlation_id=correlation_id, minutes_before=lead
            )
        each.remind_at = next_reminder(each.starts_at, now=now, leads=leads)
    return len(found)
