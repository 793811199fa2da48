"""A broker that is gone, frozen or deaf keeps nobody waiting past the deadline."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from schemas.errors import Unavailable
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.systems import raising
from tests.waiting import PATIENCE

# What keeps somebody waiting here does so for longer than that.
SOON = PATIENCE / 2


@pytest.fixture
def deaf_broker() -> Iterator[str]:
    """Takes connections and never says a word, like a broker that is stopped in its tracks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}//"


@pytest.fixture
def proxy(addresses: dict[str, str]) -> Iterator[BrokerProxy]:
    with broker_proxy(addresses["AMQP_URI"]) as proxy:
        yield proxy


def ask(pool: Pool, *, seconds: float) -> float:
    """How long it took to hear that the service is unavailable."""
    context = new_context(correlation="c", seconds=seconds, key="k")
    began = time.monotonic()
    with pytest.raises(Unavailable):
        pool.ask(
            Request("raising", "echo", (1,)),
            headers=headers_of(context),
            deadline=time.time() + seconds,
        )
    return time.monotonic() - began


def test_a_broker_that_refuses_connections_is_told_at_once() -> None:
    pool = Pool("amqp://guest:guest@127.0.0.1:1//", size=1, unavailable=Unavailable)
    assert ask(pool, seconds=PATIENCE) < SOON


def test_a_broker_that_takes_connections_and_says_nothing_costs_no_more_than_the_deadline(
    deaf_broker: str,
) -> None:
    pool = Pool(deaf_broker, size=1, unavailable=Unavailable)
    assert ask(pool, seconds=0.6) < SOON


def test_a_broker_that_freezes_between_two_calls_costs_no_more_than_the_deadline(
    raising_service: str, proxy: BrokerProxy
) -> None:
    pool = Pool(proxy.uri, size=1, unavailable=Unavailable)
    assert echo(pool) == 1
    proxy.freeze()
    assert ask(pool, seconds=0.6) < SOON
    assert ask(pool, seconds=0.6) < SOON
    pool.close()


def test_a_service_outlives_a_broker_that_is_cut_off_while_it_works(
    proxy: BrokerProxy, tmp_path: Path
) -> None:
    with raising(proxy.uri, log=tmp_path / "log") as service:
        pool = Pool(proxy.uri, size=1, unavailable=Unavailable)
        assert echo(pool) == 1
        cutting = threading.Timer(0.3, proxy.cut)
        cutting.start()
        context = new_context(correlation="c", seconds=2, key="k")
        with pytest.raises(Unavailable):
            pool.ask(
                Request("raising", "sleep", (5.0,)),
                headers=headers_of(context),
                deadline=context[DEADLINE],
            )
        cutting.join()
        time.sleep(4)  # the answer to the sleep is due while nobody can be reached
        proxy.restore()
        until = time.monotonic() + PATIENCE
        while not _answers(pool):
            assert service.poll() is None, "the service died"
            assert time.monotonic() < until, "the service did not come back"
        pool.close()


def echo(pool: Pool) -> object:
    context = new_context(correlation="c", seconds=10, key="k")
    request = Request("raising", "echo", (1,))
    (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
    return answer.result()


def _answers(pool: Pool) -> bool:
    try:
        return echo(pool) == 1
    except Unavailable:
        time.sleep(0.2)
        return False
