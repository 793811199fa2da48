"""The tables by which events leave: the events, and whose turn it is to publish them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import CHAR, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.database import RecordId, UtcDateTime


class OutboxColumns:
    """Columns of a service's outbox; ``body`` is the whole CloudEvents document."""

    position: Mapped[int] = mapped_column(RecordId, primary_key=True)
    id: Mapped[str] = mapped_column(CHAR(36), unique=True)
    name: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))
    sequence: Mapped[int] = mapped_column(RecordId)
    body: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def outbox_row(table: Any, *, name: str, event: Mapping[str, Any]) -> Any:
    """The row that publishes ``event`` under the routing key ``name``, once it is committed."""
    return table(
        id=event["id"],
        name=name,
        subject=event["subject"],
        sequence=event["sequence"],
        body=json.dumps(event),
    )


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
