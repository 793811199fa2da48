"""A database read as it is at one moment, without being in anybody's way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from config.database import connect


@contextmanager
def snapshot(url: URL) -> Iterator[Connection]:
    """The database as it is at this moment, whoever changes it meanwhile; nobody waits for us."""
    engine = _reading_engine(url)
    mysql = engine.dialect.name == "mysql"
    try:
        # Rows come one by one, so that a million of them need no memory.
        with engine.connect().execution_options(stream_results=True) as connection:
            if mysql:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            start = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY" if mysql else "BEGIN"
            connection.exec_driver_sql(start)
            yield connection
            connection.exec_driver_sql("ROLLBACK")
    finally:
        engine.dispose()


def _reading_engine(url: URL) -> Engine:
    """One that begins no transaction by itself, and may take as long as it needs."""
    if url.get_backend_name() != "sqlite":
        engine = connect(
            url.render_as_string(hide_password=False), pool_size=1, statement_seconds=None
        )
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    # Not that of the services: its transactions begin by keeping all others from writing.
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only = ON")

    return engine
