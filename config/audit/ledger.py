"""The database's side of a chain: batches of entries, each committed whole and once."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from config.audit.chain import Entry, Head, links, new_head
from config.audit.models import Record
from config.database import connect
from config.keys import KeyRing


class Ledger:
    """One chain, extended on one connection; for one thread at a time. Connects when first used."""

    def __init__(self, url: str, ring: KeyRing) -> None:
        self._ring = ring
        self._engine = connect(url, pool_size=1)
        self._connection: Connection | None = None
        self._tip: Head | None = None

    @property
    def head(self) -> Head | None:
        """The newest row that is known to be committed."""
        return self._tip if self._tip and self._tip.number else None

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit ``entries`` in one transaction: one statement, and one wait for the disk.

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
                connection.execute(insert(Record), rows)
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
        # Kept: fetching one from the pool for each batch costs two more turns to the server.
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
