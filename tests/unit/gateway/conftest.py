"""Offices on SQLite files that were migrated once for the run."""

import io
import logging
import shutil
from dataclasses import replace

import pytest
from werkzeug.test import Client

from config.logs import ConsoleFormatter, CorrelationFilter
from gateway.app import create_app
from gateway.rates import Rates
from gateway.rpc import Pools
from schemas.accounts import ADMIN
from tests.unit.gateway.fakes import FakePool, as_role, embedded_in, migrate, office_on


@pytest.fixture(scope="session")
def migrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("migrated")
    migrate(embedded_in(folder))
    return folder


@pytest.fixture
def settings(migrated, tmp_path):
    """Of a gateway with a database of its own, migrated and empty."""
    for file in migrated.iterdir():
        shutil.copy(file, tmp_path)
    return embedded_in(tmp_path)


@pytest.fixture
def office(settings):
    return office_on(settings)


class SignedIn(Client):
    """A client that sends these headers with every request, besides a request's own."""

    def __init__(self, application, headers):
        super().__init__(application)
        self.headers = headers

    def open(self, *args, headers=None, **kwargs):
        return super().open(*args, headers={**self.headers, **(headers or {})}, **kwargs)


@pytest.fixture
def serve(office, monkeypatch):
    """A client, signed in, of a gateway whose services answer as told; an administrator's, or of
    somebody with another role, or of nobody."""

    def serve(pool=None, role=ADMIN, subject=None, **changes):
        pool = pool or FakePool()
        settings = replace(office.settings, **changes)
        served = replace(
            office,
            settings=settings,
            rates=Rates(settings),
            pools=Pools(calls=pool, probes=pool),
        )
        monkeypatch.setattr("gateway.app.open_office", lambda settings: served)
        headers = as_role(office, role, subject=subject) if role else {}
        return SignedIn(create_app(settings), headers)

    return serve


@pytest.fixture
def client(serve):
    """A client who has not signed in, of a gateway without services."""
    return serve(role=None)


@pytest.fixture
def log():
    """What the whole program logs, as people read it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(ConsoleFormatter())
    handler.addFilter(CorrelationFilter())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(level)
    root.removeHandler(handler)
