"""The database's side of a chain: batches of entries, each committed whole and once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from config.audit.chain import Entry, Head, links, new_head
from config.audit.models import Record
from config.database import connect
from config.keys import KeyRing

_COLUMNS = tuple(name for name in Record.__table__.columns.keys() if name != "position")


class Ledger:
    """One chain, extended on one connection; for one thread at a time. Connects when first used."""

    def __init__(self, url: str, ring: KeyRing) -> None:
        self._ring = ring
        self._engine = connect(url, pool_size=1, statements_alone=True)
        self._connection: Connection | None = None
        self._tip: Head | None = None

    @property
    def head(self) -> Head | None:
        """The newest row that is known to be committed."""
        return self._tip if self._tip and self._tip.number else None

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit ``entries`` whole, by one statement: one turn to the server, and to its disk.

        Once raised, the outcome is unknown; appending the same entries again settles it. They
        become the same rows, which their unique numbers keep from being there twice.

        :raises SQLAlchemyError:
        """
        connection = self._connected()
        self._tip = self._tip or new_head(self._witness(connection))
        rows = links(self._tip, entries, ring=self._ring)
        last = Head.of(rows[-1])
        try:
            with connection.begin():
                connection.exec_driver_sql(*_insertion(connection, rows))
        except IntegrityError:
            if not self._is_there(connection, last):
                # Strangers have our numbers. That takes a forger; a new chain goes on beside it.
                self._tip = None
                raise
        self._tip = last

    def disconnect(self) -> None:
        """Let go of a connection that failed; the next batch makes a new one."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _connected(self) -> Connection:
        # Kept: one that was not used for a while would be asked first, by a turn to the server.
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _witness(self, connection: Connection) -> str:
        newest = select(Record.mac).order_by(Record.position.desc()).limit(1)
        with connection.begin():
            return connection.scalar(newest) or ""

    def _is_there(self, connection: Connection, last: Head) -> bool:
        """Whether the try whose outcome was unknown went through."""
        mac = select(Record.mac).filter_by(chain=last.chain, number=last.number)
        with connection.begin():
            return connection.scalar(mac) == last.mac


def _insertion(
    connection: Connection, rows: Sequence[Mapping[str, Any]]
) -> tuple[str, tuple[Any, ...]]:
    """A statement and its parameters. As SQLAlchemy's own it takes three times as long to make."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    marks = f"({', '.join([mark] * len(_COLUMNS))})"
    values = ", ".join([marks] * len(rows))
    # Names of columns and marks; what is recorded goes beside it.
    text = f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES {values}"  # nosec B608
    return text, tuple(_stored(row[name]) for row in rows for name in _COLUMNS)


def _stored(value: Any) -> Any:
    """As ``UtcDateTime`` stores instants."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return value
