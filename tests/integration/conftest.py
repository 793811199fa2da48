"""Migrated databases on the real server, and on SQLite where both must agree."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url

from config.database import connect
from config.migration import upgrade
from config.programs import catalogue
from tests.vaults import vault_for


@pytest.fixture(params=["mariadb", "sqlite"])
def database_urls(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, URL]:
    """Each service's database, empty, on each kind of server in turn."""
    if request.param == "sqlite":
        return {
            name: URL.create("sqlite", database=str(tmp_path / f"{name}.sqlite3"))
            for name in catalogue().databases
        }
    url = make_url(request.getfixturevalue("addresses")["DATABASE_URL"])
    return {name: url.set(database=f"{url.database}_{name}") for name in catalogue().databases}


@pytest.fixture
def appointment_engine(addresses: dict[str, str]) -> Iterator[Engine]:
    """The migrated appointment database on MariaDB, shared with the other tests of the run."""
    url = make_url(addresses["DATABASE_URL"])
    url = url.set(database=f"{url.database}_appointment")
    upgrade(
        scripts=catalogue().databases["appointment"], url=url, vault=vault_for("appointment")
    )
    engine = connect(url.render_as_string(hide_password=False), pool_size=20)
    yield engine
    engine.dispose()
