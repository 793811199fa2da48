"""A client of each mode's system, and of the real one; connections are kept over the run."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.systems import System


@pytest.fixture(scope="session")
def clients() -> Iterator[dict[str, httpx.Client]]:
    """One for each address: making a client costs more than most of these tests."""
    made: dict[str, httpx.Client] = {}
    with ExitStack() as ending:
        ending.callback(lambda: [client.close() for client in made.values()])
        yield made


@pytest.fixture
def client(system: System, clients: dict[str, httpx.Client]) -> httpx.Client:
    return _kept(system, clients)


@pytest.fixture
def stack_client(stack: System, clients: dict[str, httpx.Client]) -> httpx.Client:
    return _kept(stack, clients)


def _kept(system: System, clients: dict[str, httpx.Client]) -> httpx.Client:
    if system.url not in clients:
        clients[system.url] = system.client()
    return clients[system.url]
