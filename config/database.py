"""The database of a service: column types, engine, and transactions that are retried whole."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Insert,
    Integer,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import Session
from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

from config.mysql import STATEMENT_SECONDS, bounded, mysql_engine

_log = logging.getLogger("database")

Result = TypeVar("Result")

# Each table says so itself: what is equal is then the same on every server, whatever its default.
MYSQL_TABLE = {
    "mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"
}
LOCK_WAIT_TIMEOUT = 1205
DEADLOCK = 1213
# A deadlock takes the savepoints along; leaving one of them then fails in the deadlock's place.
SAVEPOINT_GONE = 1305
CONNECTION_LOST = (2006, 2013, 1927)
RETRIED = frozenset((LOCK_WAIT_TIMEOUT, DEADLOCK, SAVEPOINT_GONE, *CONNECTION_LOST))
# With less than this left, a transaction is not begun: it would hardly be whole in time.
LEAST_SECONDS = 0.05

# SQLite counts up only what it calls an integer.
RecordId = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC instant to the microsecond; stored without an offset, as the databases do."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        kind = mysql.DATETIME(fsp=6) if dialect.name == "mysql" else DateTime()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Contended(Exception):
    """The rows that stood in the way are gone again: worth another try of the whole transaction."""


def connect(
    url: str,
    *,
    pool_size: int = 5,
    statement_seconds: int | None = STATEMENT_SECONDS,
    statements_alone: bool = False,
) -> Engine:
    """An engine for a service's database on MySQL, MariaDB or SQLite; connects when first used.

    :param statement_seconds: how long the server may take over one statement, or for ever.
    :param statements_alone: whether each one is a transaction, which is then not ended by another
        turn to the server; on SQLite there is none to be spared.
    """
    # Parameters are personal data and would appear in the texts of errors.
    options: dict[str, Any] = {"hide_parameters": True, "pool_pre_ping": True}
    if make_url(url).get_backend_name() == "sqlite":
        engine = create_engine(url, **options)
        _set_up_sqlite(engine)
        return engine
    return mysql_engine(
        url,
        pool_size=pool_size,
        statement_seconds=statement_seconds,
        # Under REPEATABLE READ a plain read sees an old snapshot, and double booking gets through.
        isolation_level="AUTOCOMMIT" if statements_alone else "READ COMMITTED",
        **options,
    )


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: object) -> None:
        # The driver's own transaction handling breaks savepoints; BEGIN is sent below instead.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted or replaced is overwritten, not just left for others to reuse.
        connection.execute("PRAGMA secure_delete = ON")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Any) -> None:
        # Taking the write lock first: one that begins by reading cannot always get it later.
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class Sessions(Protocol):
    """What nameko-sqlalchemy gives to a worker."""

    def get_session(self, *, close_on_exit: bool) -> AbstractContextManager[Session]: ...


class Transactions:
    """Runs work in a transaction of its own; again from the start when the database asks for it.

    :param deadline: seconds since the epoch; no try begins after it, nor waits past it.
    :param unavailable: makes the error to raise when the database does not answer.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        deadline: Callable[[], float],
        unavailable: Callable[[str], Exception],
    ) -> None:
        self._sessions = sessions
        self._deadline = deadline
        self._unavailable = unavailable

    def run(self, work: Callable[[Session], Result]) -> Result:
        """The result of ``work``, committed.

        ``work`` may run several times, so it must do nothing outside its session. What a lost
        commit leaves open is settled by the idempotency key.
        """
        try:
            return self._retrying()(self._run_once, work)
        except (DBAPIError, TimeoutError, Contended) as failure:
            if is_outage(failure):
                reason = {"error": type(failure).__name__, "number": error_number(failure)}
                _log.warning("database unavailable", extra=reason)
                raise self._unavailable("database") from failure
            # Its text quotes the row; the number tells what kind of fault it is.
            _log.error("database refuses", extra={"number": error_number(failure)})
            raise

    def _run_once(self, work: Callable[[Session], Result]) -> Result:
        deadline = self._deadline()
        if deadline - time.time() < LEAST_SECONDS:
            raise self._unavailable("database")
        with bounded(deadline), self._sessions.get_session(close_on_exit=True) as session:
            return work(session)

    def _retrying(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception(is_transient),
            wait=wait_random_exponential(multiplier=0.01, max=0.2),
            stop=stop_before_delay(max(0.0, self._deadline() - time.time())),
            reraise=True,
        )


def put(session: Session, table: type, row: Mapping[str, Any]) -> None:
    """Store ``row``, or give the one that has its primary key these values: in one statement, so
    that two who do so at once need not try again."""
    session.execute(_putting(table, session.get_bind().dialect.name), row)


@cache
def _putting(mapped: Any, dialect: str) -> Insert:
    table = mapped.__table__
    names = [each.name for each in table.columns if not each.primary_key]
    if dialect == "sqlite":
        added = sqlite.insert(table)
        return added.on_conflict_do_update(
            index_elements=table.primary_key.columns,
            set_={name: added.excluded[name] for name in names},
        )
    new = mysql.insert(table)
    return new.on_duplicate_key_update({name: new.inserted[name] for name in names})


def error_number(error: BaseException) -> int | None:
    """MySQL's error number, or nothing for other failures."""
    args = getattr(getattr(error, "orig", None), "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def is_transient(error: BaseException) -> bool:
    """Deadlocks, lock waits and cut connections: the same transaction may do well next time."""
    if isinstance(error, Contended):
        return True
    locked_sqlite = isinstance(error, OperationalError) and "is locked" in str(error.orig)
    return isinstance(error, DBAPIError) and (error_number(error) in RETRIED or locked_sqlite)


def is_outage(error: BaseException) -> bool:
    """The database, not the statement, is to blame."""
    return is_transient(error) or isinstance(
        error, OperationalError | InterfaceError | TimeoutError
    )
