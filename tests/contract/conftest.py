"""A service that fails on demand, and a pool of clients to call it with, over the real broker."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Answer, Request
from config.messaging.pool import Pool
from schemas.errors import Unavailable
from tests.contract.house import House, open_house
from tests.systems import raising
from tests.waiting import PATIENCE

Ask = Callable[..., Answer]


@pytest.fixture(scope="module")
def raising_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service ``raising`` says."""
    return tmp_path_factory.mktemp("raising") / "log"


# Of the module: another one's own instance should get all of its calls.
@pytest.fixture(scope="module")
def raising_service(addresses: dict[str, str], raising_log: Path) -> Iterator[str]:
    """The broker's address, where the service ``raising`` is consuming."""
    with raising(addresses["AMQP_URI"], log=raising_log):
        yield addresses["AMQP_URI"]


@pytest.fixture(scope="module")
def house(addresses: dict[str, str]) -> Iterator[House]:
    with open_house(addresses) as house:
        yield house


@pytest.fixture
def pool(raising_service: str) -> Iterator[Pool]:
    pool = Pool(raising_service, size=4, unavailable=Unavailable)
    yield pool
    pool.close()


@pytest.fixture
def ask(pool: Pool) -> Ask:
    def ask(
        method: str,
        *args: Any,
        seconds: float = PATIENCE,
        key: str = "k",
        service: str = "raising",
    ) -> Answer:
        context = new_context(correlation="c", seconds=seconds, key=key)
        request = Request(service, method, args)
        (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
        return answer

    return ask
