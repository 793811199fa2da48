"""Seals again, with the newest of the data keys, what an older one sealed; the system goes on.

Rows are locked a few at a time, and only sealed columns change: no version, no event.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    MetaData,
    Table,
    and_,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, sessionmaker

from config.database import Transactions, connect
from config.encryption import SEALED, Unreadable, Vault
from config.programs import catalogue
from config.settings import Settings

BATCH = 100
TELL_EACH = 10_000
RETRY_SECONDS = 60

Tell = Callable[[str], None]


class Unreachable(Exception):
    """The database stopped answering; what was sealed until then stays so."""

    def __str__(self) -> str:
        return "The database does not answer any more; run this again, it goes on where it was."


def rotate_all(settings: Settings, *, tell: Tell) -> int:
    """As ``rotate``, for every database."""
    left = 0
    for name in catalogue().databases:
        url = settings.database(name).render_as_string(hide_password=False)
        engine = connect(url, pool_size=1)
        vault = Vault(settings.keys.data, settings.keys.index, name)
        left += rotate(engine, catalogue().tables(name), vault, tell=tell)
        engine.dispose()
    return left


def rotate(engine: Engine, tables: MetaData, vault: Vault, *, tell: Tell) -> int:
    """Go once through every sealed column of ``tables``; how many rows still need an older key.

    Those were written meanwhile by a program that has no newer one, or do not open; the latter are
    told one by one.

    :raises Unreachable:
    """
    transactions = Transactions(
        _Sessions(engine),
        deadline=lambda: time.time() + RETRY_SECONDS,
        unavailable=Unreachable,
    )
    rounds = [_Round(table, vault, transactions, tell) for table in _sealed_tables(tables)]
    for each in rounds:
        each.run()
    return sum(each.left() for each in rounds)


class _Sessions:
    def __init__(self, engine: Engine) -> None:
        self._new = sessionmaker(engine)

    @contextmanager
    def get_session(self, *, close_on_exit: bool) -> Iterator[Session]:
        with self._new.begin() as session:
            yield session


class _Round:
    """One way through one table, in the order of its primary key."""

    def __init__(
        self, table: Table, vault: Vault, transactions: Transactions, tell: Tell
    ) -> None:
        self._table = table
        (self._key,) = table.primary_key.columns
        self._sealed = _sealed_columns(table)
        self._vault = vault
        self._transactions = transactions
        self._tell = tell

    def run(self) -> None:
        done, last = 0, None
        while keys := self._waiting(after=last):
            told, last = done // TELL_EACH, keys[-1]
            done += self._transactions.run(lambda session: self._seal_again(session, keys))
            if done // TELL_EACH > told:
                self._say(f"{done} rows sealed again so far")
        self._say(f"{done} rows sealed again")

    def left(self) -> int:
        count = select(func.count()).select_from(self._table).where(self._older())
        return self._transactions.run(lambda session: session.scalar(count) or 0)

    def _waiting(self, *, after: Any) -> Sequence[Any]:
        """Keys of the next rows; read without locks, since most of a table may need nothing."""
        found = select(self._key).where(self._older()).order_by(self._key).limit(BATCH)
        if after is not None:
            found = found.where(self._key > after)
        return self._transactions.run(lambda session: session.scalars(found).all())

    def _older(self) -> ColumnElement[bool]:
        header = self._vault.header
        return or_(
            *(
                # An empty one was never sealed.
                and_(column != b"", func.substr(column, 1, len(header)) != header)
                for column in self._sealed
            )
        )

    def _seal_again(self, session: Session, keys: Sequence[Any]) -> int:
        locked = select(self._key, *self._sealed).where(self._key.in_(keys)).order_by(self._key)
        changed = 0
        for row in session.execute(locked.with_for_update()).mappings():
            values = self._resealed(row[self._key], {c.name: row[c] for c in self._sealed})
            if values:
                session.execute(
                    update(self._table).where(self._key == row[self._key]).values(values)
                )
                changed += 1
        return changed

    def _resealed(self, key: Any, stored: dict[str, bytes | None]) -> dict[str, bytes]:
        place = {"table": self._table.name, "row": key}
        try:
            return {
                column: self._vault.seal(
                    self._vault.open(sealed, column=column, **place), column=column, **place
                )
                for column, sealed in stored.items()
                if sealed and not sealed.startswith(self._vault.header)
            }
        except Unreadable as unreadable:
            self._say(f"row {key}: {unreadable}")
            return {}

    def _say(self, text: str) -> None:
        self._tell(f"{self._vault.database}.{self._table.name}: {text}")


def _sealed_tables(tables: MetaData) -> list[Table]:
    return [table for table in tables.sorted_tables if _sealed_columns(table)]


def _sealed_columns(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if column.info.get(SEALED)]
