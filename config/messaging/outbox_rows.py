"""What the relay asks of the table of events, and writes into it."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Engine, func, select, update

from config.clock import utc_now


class OutboxRows:
    def __init__(self, engine: Engine, outbox: Any) -> None:
        self._engine = engine
        self._outbox = outbox

    def unpublished(self, *, but: Collection[str], limit: int) -> Sequence[Any]:
        """The first, without those of the subjects ``but``.

        In one statement, so of one moment: what is read of a subject has no hole.
        """
        outbox = self._outbox
        wanted = (
            select(outbox.position, outbox.id, outbox.name, outbox.subject, outbox.body)
            .where(outbox.published_at.is_(None))
            .order_by(outbox.position)
            .limit(limit)
        )
        if but:
            wanted = wanted.where(outbox.subject.not_in(but))
        with self._engine.connect() as connection:
            return connection.execute(wanted).all()

    def mark(self, positions: Sequence[int]) -> None:
        """As published."""
        outbox = self._outbox
        marked = update(outbox).where(
            outbox.position.in_(positions), outbox.published_at.is_(None)
        )
        with self._engine.begin() as connection:
            connection.execute(marked.values(published_at=utc_now()))

    def count_unpublished(self) -> int:
        waiting = select(func.count()).where(self._outbox.published_at.is_(None))
        with self._engine.connect() as connection:
            return connection.scalar(waiting) or 0
