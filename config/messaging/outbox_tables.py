"""The tables by which events leave: the events, and whose turn it is to publish them."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    CHAR,
    Index,
    Insert,
    String,
    Text,
    UniqueConstraint,
    delete,
    insert,
    or_,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.database import RecordId, UtcDateTime

# How many published events are looked at in one transaction.
BATCH = 500
# In a session's own notes, that it wrote into the outbox.
WROTE = "wrote_outbox"
Place = tuple[datetime, int]


class OutboxColumns:
    """Columns of a service's outbox; ``body`` is the whole CloudEvents document."""

    position: Mapped[int] = mapped_column(RecordId, primary_key=True)
    id: Mapped[str] = mapped_column(CHAR(36), unique=True)
    name: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))
    sequence: Mapped[int] = mapped_column(RecordId)
    body: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def publish(session: Session, table: Any, *, name: str, event: Mapping[str, Any]) -> None:
    """Add the row that publishes ``event`` under the routing key ``name``, once it is committed."""
    row = {
        "id": event["id"],
        "name": name,
        "subject": event["subject"],
        "sequence": event["sequence"],
        "body": json.dumps(event),
    }
    session.execute(_adding(table), row)
    session.info[WROTE] = True


@cache
def _adding(table: Any) -> Insert:
    # Of the table itself, and made once: the unit of work takes longer than the database.
    return insert(table.__table__)


def outbox_rules() -> tuple[Index, UniqueConstraint]:
    """What serves the relay, which looks for unpublished rows in order; and what keeps two events
    from having the same place in their subject's sequence."""
    return (
        Index("ix_outbox_unpublished", "published_at", "position"),
        UniqueConstraint("subject", "sequence", name="uq_outbox_subject"),
    )


class TurnColumns:
    """Columns of a service's one-row table of the relay that publishes now.

    ``holder`` alone publishes until ``ends_at``, so that each subject's events keep their order.
    """

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    holder: Mapped[str | None] = mapped_column(CHAR(32))
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)


def forget_some_events(
    session: Session, *, outbox: Any, days: int, now: datetime, after: Place | None = None
) -> Place | None:
    """Delete some of the events that were published ``days`` ago, but never the last of a subject,
    by which it is known that none is missing. Where to go on after that, or nowhere.
    """
    wanted = (
        select(outbox.published_at, outbox.position, outbox.subject, outbox.sequence)
        .where(outbox.published_at < now - timedelta(days=days))
        .order_by(outbox.published_at, outbox.position)
        .limit(BATCH)
    )
    if after:
        at, position = after
        wanted = wanted.where(
            outbox.published_at >= at, or_(outbox.published_at > at, outbox.position > position)
        )
    old = session.execute(wanted).all()
    if not old:
        return None
    forgotten: dict[str, int] = {}
    for row in old:
        forgotten[row.subject] = max(row.sequence, forgotten.get(row.subject, 0))
    session.execute(
        delete(outbox).where(outbox.position.in_(_up_to(session, outbox, forgotten)))
    )
    return old[-1].published_at, old[-1].position


def _up_to(session: Session, outbox: Any, forgotten: Mapping[str, int]) -> list[int]:
    """The positions of all up to those in ``forgotten``: whatever the clocks said by which they
    were marked, what is kept of a subject has no hole."""
    rows = session.execute(
        select(outbox.subject, outbox.sequence, outbox.position, outbox.published_at)
        .where(outbox.subject.in_(forgotten))
    ).all()
    last: dict[str, int] = {}
    for row in rows:
        last[row.subject] = max(row.sequence, last.get(row.subject, 0))
    return [
        row.position
        for row in rows
        if row.published_at and row.sequence <= min(forgotten[row.subject], last[row.subject] - 1)
    ]
