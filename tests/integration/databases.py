"""Transactions on a service's migrated database, with its vault, as the service itself has them."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from nameko_sqlalchemy.database import DatabaseWrapper, Session
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import sessionmaker

from config.database import Transactions, connect
from config.encryption import VAULT, Vault
from config.migration import upgrade
from config.programs import catalogue
from schemas.errors import Unavailable


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


# How each kind of database of each name is made, once one has been migrated.
_scripts: dict[tuple[str, str], list[str]] = {}


def make_migrated(name: str, url: URL, vault: Vault) -> None:
    """A new database, empty as all migrations leave it: they run for the first of its kind in this
    process, and the others are made like that one, which takes a tenth of the time."""
    kind = url.get_backend_name(), name
    if kind not in _scripts:
        upgrade(scripts=catalogue().databases[name], url=url, vault=vault)
        _scripts[kind] = _sqlite_script(url) if kind[0] == "sqlite" else _mysql_script(url)
    elif kind[0] == "sqlite":
        with closing(sqlite3.connect(str(url.database))) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript("".join(_scripts[kind]))
    else:
        with _server(url.set(database="")) as server:
            server.exec_driver_sql(
                f"CREATE DATABASE `{url.database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
            server.exec_driver_sql(f"USE `{url.database}`")
            # Tables come by name, not in the order of their keys.
            server.exec_driver_sql("SET foreign_key_checks = 0")
            for statement in _scripts[kind]:
                server.exec_driver_sql(statement)


def _sqlite_script(url: URL) -> list[str]:
    with closing(sqlite3.connect(str(url.database))) as database:
        return list(database.iterdump())


def _mysql_script(url: URL) -> list[str]:
    with _server(url) as server:
        tables = server.scalars(text("SHOW TABLES")).all()
        made = [server.execute(text(f"SHOW CREATE TABLE `{each}`")).one()[1] for each in tables]
        rows = {
            each: server.execute(text(f"SELECT * FROM `{each}`")).all() for each in tables
        }
        quote = server.dialect.identifier_preparer.quote
        return made + [
            f"INSERT INTO {quote(table)} VALUES ({', '.join(map(_literal, row))})"
            for table, stored in rows.items() for row in stored
        ]


def _literal(value: object) -> str:
    """Of what migrations store: their own numbers, and texts without quotes."""
    return "NULL" if value is None else repr(value)


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


def transactions(engine: Engine, vault: Vault, *, seconds: float = 20) -> Transactions:
    deadline = time.time() + seconds
    sessions = DatabaseWrapper(sessionmaker(bind=engine, class_=Session, info={VAULT: vault}))
    return Transactions(sessions, deadline=lambda: deadline, unavailable=Unavailable)
