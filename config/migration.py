"""Schema migrations: one alembic history for each service's database."""

from typing import Any

from alembic import command, context
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, create_engine, text
from sqlalchemy.engine import URL

from config.database import connect
from config.encryption import Vault


def upgrade(*, scripts: str, url: URL, vault: Vault | None = None, to: str = "head") -> None:
    """Bring the database at ``url`` to the newest version of the history in ``scripts``.

    :param scripts: where the history lies, as ``package:folder``.
    :param vault: for histories that seal what is stored.
    """
    _create_database(url)
    command.upgrade(_config(scripts=scripts, url=url, vault=vault), to)


def downgrade(*, scripts: str, url: URL, vault: Vault | None = None, to: str = "base") -> None:
    """Take migrations back; all of them, if not told otherwise, and then nothing is left."""
    command.downgrade(_config(scripts=scripts, url=url, vault=vault), to)


def is_migrated(*, scripts: str, url: URL) -> bool:
    """Whether the database has all of this history; one further on is a newer version's."""
    engine = connect(url.render_as_string(hide_password=False), pool_size=1)
    try:
        current = _revision(engine)
    finally:
        engine.dispose()
    history = ScriptDirectory.from_config(_config(scripts=scripts, url=url, vault=None))
    older = {each.revision for each in history.walk_revisions()} - {history.get_current_head()}
    return current is not None and current not in older


def _config(*, scripts: str, url: URL, vault: Vault | None) -> Config:
    config = Config()
    config.attributes["vault"] = vault
    config.set_main_option("script_location", scripts)
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url.render_as_string(hide_password=False)
    return config


def run(metadata: MetaData) -> None:
    """What each history's ``env.py`` does when alembic runs it."""
    # Changing a large table takes its time. A client that gave up would leave it half recorded.
    engine = connect(context.config.attributes["url"], statement_seconds=None)
    before = _revision(engine)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            # SQLite changes a table only by copying it.
            render_as_batch=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    if engine.dialect.name == "sqlite" and _revision(engine) != before:
        _forget_what_was_there(engine)
    engine.dispose()


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _forget_what_was_there(engine: Engine) -> None:
    """Leave nothing in the file of what a migration has taken out of the tables."""
    connection = engine.raw_connection()
    # In no transaction: SQLAlchemy would begin one.
    cursor = connection.cursor()
    cursor.execute("VACUUM")
    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _create_database(url: URL) -> None:
    if url.get_backend_name() == "sqlite":
        return
    server: Any = create_engine(url.set(database=""), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        name = connection.dialect.identifier_preparer.quote_identifier(url.database)
        connection.execute(
            text(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        )
    server.dispose()
