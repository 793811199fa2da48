"""What the relay asks of the table of events, and writes into it."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Engine, bindparam, func, select, update

from config.clock import utc_now


class OutboxRows:
    def __init__(self, engine: Engine, outbox: Any) -> None:
        self._engine = engine
        # Statements are made once: that takes longer than to send them.
        columns = outbox.__table__.columns
        unpublished = columns.published_at.is_(None)
        self._subject = columns.subject
        self._first = (
            select(columns.position, columns.id, columns.name, columns.subject, columns.body)
            .where(unpublished)
            .order_by(columns.position)
            .limit(bindparam("most"))
        )
        self._mark = (
            update(outbox.__table__)
            .where(columns.position.in_(bindparam("done", expanding=True)), unpublished)
            .values(published_at=bindparam("now"))
        )
        self._count = select(func.count()).where(unpublished)

    def unpublished(self, *, but: Collection[str], limit: int) -> Sequence[Any]:
        """The first, without those of the subjects ``but``.

        In one statement, so of one moment: what is read of a subject has no hole.
        """
        wanted = self._first.where(self._subject.not_in(but)) if but else self._first
        with self._engine.connect() as connection:
            return connection.execute(wanted, {"most": limit}).all()

    def mark(self, positions: Sequence[int]) -> None:
        """As published."""
        with self._engine.begin() as connection:
            connection.execute(self._mark, {"done": positions, "now": utc_now()})

    def count_unpublished(self) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(self._count) or 0
