"""Transactions on a service's migrated database, with its vault, as the service itself has them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from nameko_sqlalchemy.database import DatabaseWrapper, Session
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import sessionmaker

from config.database import Transactions, connect
from config.encryption import VAULT, Vault
from config.migration import upgrade
from config.programs import catalogue
from schemas.errors import Unavailable
from tests.waiting import PATIENCE


def empty(name: str, engine: Engine) -> None:
    """As its migrations leave it: they put the row of turns there."""
    tables = [
        each for each in reversed(catalogue().tables(name).sorted_tables)
        if each.name != "relay_turn"
    ]
    with engine.begin() as connection:
        for table in tables:
            connection.execute(table.delete())
    if engine.dialect.name == "mysql":
        # SQLite counts from 1 again by itself.
        with _server(engine.url) as server:
            for table in tables:
                server.execute(text(f"ALTER TABLE `{table.name}` AUTO_INCREMENT = 1"))


@contextmanager
def _server(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def migrated(name: str, url: URL, vault: Vault) -> Iterator[Engine]:
    """One that may be there already, and in use."""
    upgrade(scripts=catalogue().databases[name], url=url, vault=vault)
    engine = connect(url.render_as_string(hide_password=False), pool_size=10)
    yield engine
    engine.dispose()


def transactions(engine: Engine, vault: Vault, *, seconds: float = PATIENCE) -> Transactions:
    deadline = time.time() + seconds
    sessions = DatabaseWrapper(sessionmaker(bind=engine, class_=Session, info={VAULT: vault}))
    return Transactions(sessions, deadline=lambda: deadline, unavailable=Unavailable)
