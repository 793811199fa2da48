"""Connections to MySQL and MariaDB on which nothing is waited for past the deadline of the work.

Timeouts of the driver hold for one read, of the pool for one wait: a server that is frozen would
be waited for by the ping, then by a new connection, then by the statement, each for its full time.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

from pymysql.connections import Connection
from sqlalchemy import Dialect, Engine, QueuePool, create_engine, event
from sqlalchemy.engine.interfaces import IsolationLevel

LOCK_WAIT_SECONDS = 2
# More than the longest wait for a lock.
STATEMENT_SECONDS = 5
CONNECT_SECONDS = 3.0
# For what was begun in time: cutting it off costs a connection, and its outcome stays unknown.
GRACE_SECONDS = 0.25
# As coarse as this, so that not every packet sets the socket's timeout anew.
STEP_SECONDS = 0.125
# For so long after its last answer, a server is not asked whether it is still there.
HEARD_SECONDS = 1.0

# Seconds since the epoch; what runs without one is bounded by the times above alone.
_deadline: ContextVar[float | None] = ContextVar("database_deadline", default=None)


@contextmanager
def bounded(deadline: float) -> Iterator[None]:
    """Have no wait inside go past ``deadline``, in seconds since the epoch, and the grace."""
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


def mysql_engine(
    url: str,
    *,
    pool_size: int,
    statement_seconds: float | None,
    isolation_level: IsolationLevel,
    **options: Any,
) -> Engine:
    engine = create_engine(
        url,
        isolation_level=isolation_level,
        poolclass=_Pool,
        # The one used last: it need not be asked whether it is still there.
        pool_use_lifo=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=LOCK_WAIT_SECONDS,
        pool_recycle=1800,
        connect_args={
            "charset": "utf8mb4",
            # PyMySQL waits for ever unless told.
            "read_timeout": statement_seconds,
            "write_timeout": statement_seconds,
            "init_command": f"SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_SECONDS}, "
            "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
        },
        **options,
    )
    event.listen(engine, "do_connect", _connect)
    if isolation_level == "AUTOCOMMIT":
        event.listen(engine, "connect", _lock_no_gaps)
    return engine


def _connect(dialect: Dialect, record: object, args: Any, options: dict[str, Any]) -> Any:
    options["connect_timeout"] = within(CONNECT_SECONDS)
    return _Connection(*args, **options)


def _lock_no_gaps(connection: Any, record: object) -> None:
    # AUTOCOMMIT says when a transaction ends; what it locks is the server's default otherwise.
    connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")


class _Bounded:
    """A number of seconds that is read as no more than what is left."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"longest{name}"

    def __set__(self, holder: object, longest: float | None) -> None:
        vars(holder)[self._name] = longest

    def __get__(self, holder: object, owner: type) -> float | None:
        return within(vars(holder)[self._name])


class _Connection(Connection):
    """Spares what the server need not be told: each turn to it costs as much as a short query."""

    # PyMySQL looks at them before each packet.
    _read_timeout = _Bounded()
    _write_timeout = _Bounded()

    # Whether there may be a transaction to end; when the server last had nothing to object.
    _begun = False
    _heard_at = -math.inf

    def query(self, sql: str | bytes, unbuffered: bool = False) -> int:
        self._begun, self._heard_at = not self.autocommit_mode, -math.inf
        rows = super().query(sql, unbuffered)
        self._heard_at = time.monotonic()
        return rows

    def commit(self) -> None:
        if self._begun:
            super().commit()
            self._ended()

    def rollback(self) -> None:
        # The pool calls it too, for each connection that is given back.
        if self._begun:
            super().rollback()
            self._ended()

    # No caller of ours has it reconnect.
    def ping(self, reconnect: Literal[False] | None = False) -> None:  # type: ignore[override]
        # One that was cut a moment ago fails at its first statement: nothing is done by then, and
        # the transaction is run again.
        if time.monotonic() - self._heard_at > HEARD_SECONDS:
            super().ping(reconnect)

    def _ended(self) -> None:
        self._begun, self._heard_at = False, time.monotonic()


class _Pool(QueuePool):
    # SQLAlchemy looks at it before each wait for a free connection.
    _timeout = _Bounded()  # type: ignore[assignment]


def within(longest: float | None) -> float | None:
    """``longest``, or what is left of the work if that is less, in seconds."""
    deadline = _deadline.get()
    if deadline is None:
        return longest
    steps = math.floor((deadline + GRACE_SECONDS - time.time()) / STEP_SECONDS)
    left = max(steps, 1) * STEP_SECONDS
    return left if longest is None else min(longest, left)
