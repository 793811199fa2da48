"""Schema migrations: one alembic history for each service's database."""

from typing import Any

from alembic import command, context
from alembic.config import Config
from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.engine import URL

from config.database import connect


def upgrade(*, scripts: str, url: URL) -> None:
    """Bring the database at ``url`` to the newest version of the history in ``scripts``.

    :param scripts: where the history lies, as ``package:folder``.
    """
    _create_database(url)
    command.upgrade(_config(scripts=scripts, url=url), "head")


def downgrade(*, scripts: str, url: URL) -> None:
    """Take every migration back: the tables are dropped, and what was in them."""
    command.downgrade(_config(scripts=scripts, url=url), "base")


def _config(*, scripts: str, url: URL) -> Config:
    config = Config()
    config.set_main_option("script_location", scripts)
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = url.render_as_string(hide_password=False)
    return config


def run(metadata: MetaData) -> None:
    """What each history's ``env.py`` does when alembic runs it."""
    # Changing a large table takes its time. A client that gave up would leave it half recorded.
    engine = connect(context.config.attributes["url"], statement_seconds=None)
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
    engine.dispose()


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
