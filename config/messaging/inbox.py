"""The table of events that were handled: what comes twice has its effect once."""

from datetime import datetime
from typing import Any

from sqlalchemy import String, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.database import UtcDateTime

LONGEST_EVENT_ID = 64
BATCH = 1000


class InboxColumns:
    """Columns of a service's inbox; a row commits with the effect of the event on ``handler``."""

    event_id: Mapped[str] = mapped_column(String(LONGEST_EVENT_ID), primary_key=True)
    handler: Mapped[str] = mapped_column(String(64), primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


def entered(
    session: Session, inbox: Any, *, event_id: str, handler: str, now: datetime
) -> bool:
    """Add the row of what is handled now; whether it was not there before.

    Who handles the same at the same time waits here until the other one has committed.
    """
    try:
        session.add(inbox(event_id=event_id, handler=handler, handled_at=now))
        session.flush()
    except IntegrityError:
        session.rollback()
        return False
    return True


def forget_some_events(session: Session, inbox: Any, *, before: datetime) -> int:
    """Delete up to ``BATCH`` rows of events so old that they come no more; how many they were."""
    old = select(inbox.event_id).where(inbox.handled_at < before).limit(BATCH)
    ids = session.scalars(old).all()
    gone = delete(inbox).where(inbox.event_id.in_(ids), inbox.handled_at < before)
    session.execute(gone.execution_options(synchronize_session=False))
    return len(ids)
