"""Whose turn it is to publish an outbox: one relay's at a time, however many there are.

Without it nothing would be lost or come in the wrong order, but everything would be told twice.
"""

import logging
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, literal_column, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from config.clock import utc_now

_log = logging.getLogger("outbox")

TURN = timedelta(seconds=5)
ONLY_ROW = 1


class Turn:
    """A relay's part in taking turns; ``table`` has one row, see ``TurnColumns``."""

    def __init__(self, engine: Engine, table: Any) -> None:
        self._engine = engine
        self._table = table
        self._me = uuid.uuid4().hex
        self._ends = 0.0

    @property
    def mine(self) -> bool:
        """By a clock that goes on while this process is stopped, and that nobody sets."""
        return time.monotonic() < self._ends

    def take(self) -> bool:
        """Whether it is ours now; asked again and again, it goes on.

        :raises SQLAlchemyError: when the database does not say.
        """
        if time.monotonic() < self._ends - TURN.total_seconds() / 2:
            return True
        # From before the asking, so that it ends here no later than it does there.
        begun = time.monotonic()
        taken = self._asked() or (self._made_row() and self._asked())
        self._ends = begun + TURN.total_seconds() if taken else 0.0
        return taken

    def give_back(self) -> None:
        """Let another begin at once; should this fail, it begins when the turn is over."""
        if not self._ends:
            return
        self._ends = 0.0
        mine = self._table.holder == self._me
        try:
            with self._engine.begin() as connection:
                connection.execute(update(self._table).where(mine).values(holder=None))
        except SQLAlchemyError as failure:
            _log.debug("turn not given back", extra={"error": type(failure).__name__})

    def _asked(self) -> bool:
        with self._engine.begin() as connection:
            now = _now(connection)
            free = or_(
                self._table.holder == self._me,
                self._table.holder.is_(None),
                self._table.ends_at < now,
            )
            taken = connection.execute(
                update(self._table)
                .where(self._table.id == ONLY_ROW, free)
                .values(holder=self._me, ends_at=now + TURN)
            )
        return bool(taken.rowcount)

    def _made_row(self) -> bool:
        """Whether the row was missing; it is there now."""
        there = select(self._table.id).where(self._table.id == ONLY_ROW)
        try:
            with self._engine.begin() as connection:
                if connection.scalar(there):
                    return False
                first = {"id": ONLY_ROW, "holder": None, "ends_at": _now(connection)}
                connection.execute(insert(self._table).values(first))
        except IntegrityError:
            # Another relay was quicker.
            return True
        return True


def _now(connection: Connection) -> datetime:
    """The server's time, so that relays on two machines mean the same by it."""
    if connection.dialect.name == "sqlite":
        return utc_now()
    told: datetime = connection.execute(select(literal_column("UTC_TIMESTAMP(6)"))).scalar_one()
    return told.replace(tzinfo=UTC)
