"""Answers that leave together with others are each as safe as one that leaves alone."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from schemas.errors import Unavailable
from tests.broker_proxy import BrokerProxy
from tests.systems import raising
from tests.waiting import PATIENCE, wait_for

CALLERS = 30
# As many as a service has workers: together far more than the buffers on the way take.
LARGE, LARGE_ONES = "x" * 900_000, 10


class ServiceProxy(BrokerProxy):
    """Of a broker that may stop taking anything, while it delivers as before: RabbitMQ does so when
    its memory is short."""

    def __init__(self, target: str) -> None:
        self.takes = threading.Event()
        self.takes.set()
        super().__init__(target)

    def _pass_requests(self, pair: Any) -> None:
        for data in self._heard(pair.here):
            self.takes.wait()
            with suppress(OSError):
                pair.there.sendall(data)
        pair.cut()

    def end(self) -> None:
        self.takes.set()
        super().end()

    close = end


@pytest.fixture
def proxy(addresses: dict[str, str]) -> Iterator[ServiceProxy]:
    """The service's way to the broker; callers have their own."""
    with closing(ServiceProxy(addresses["AMQP_URI"])) as proxy:
        yield proxy


@pytest.fixture
def log(proxy: BrokerProxy, tmp_path: Path) -> Iterator[Path]:
    with raising(proxy.uri, log=tmp_path / "log"):
        yield tmp_path / "log"


@pytest.fixture
def pool(addresses: dict[str, str]) -> Iterator[Pool]:
    pool = Pool(addresses["AMQP_URI"], size=CALLERS, unavailable=Unavailable)
    yield pool
    pool.close()


def ask(pool: Pool, method: str, argument: Any, *, seconds: float = PATIENCE) -> Any:
    context = new_context(correlation="c", seconds=seconds, key="k")
    request = Request("raising", method, (argument,))
    (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
    return answer.result()


def unanswered(uri: str) -> int:
    with Connection(uri) as connection:
        return int(
            connection.default_channel.queue_declare("rpc-raising", passive=True).message_count
        )


def test_calls_whose_connection_breaks_before_their_answers_are_made_again_and_answered(
    log: Path, proxy: BrokerProxy, pool: Pool, addresses: dict[str, str]
) -> None:
    with ThreadPoolExecutor(5) as callers:
        asked = [callers.submit(ask, pool, "work", 1.0) for _ in range(5)]
        wait_for(lambda: log.read_text().count("working") == 5)
        proxy.sever()
        assert [each.result() for each in asked] == ["done"] * 5
    assert log.read_text().count("working") == 10
    assert unanswered(addresses["AMQP_URI"]) == 0


def test_connections_that_break_while_answers_leave_lose_none(
    log: Path, proxy: BrokerProxy, pool: Pool
) -> None:
    over = threading.Event()

    def sever_now_and_then() -> None:
        while not over.wait(0.4):
            proxy.sever()

    def own_answers(caller: int) -> bool:
        return all(ask(pool, "echo", [caller, n]) == [caller, n] for n in range(40))

    severing = threading.Thread(target=sever_now_and_then)
    severing.start()
    try:
        with ThreadPoolExecutor(CALLERS) as callers:
            assert all(callers.map(own_answers, range(CALLERS)))
    finally:
        over.set()
        severing.join()


def test_a_large_answer_comes_whole_and_small_ones_beside_it(
    log: Path, proxy: BrokerProxy, pool: Pool
) -> None:
    with ThreadPoolExecutor(8) as callers:
        wanted = [LARGE if number % 2 else number for number in range(16)]
        assert list(callers.map(partial(ask, pool, "echo"), wanted)) == wanted


def test_an_answer_does_not_wait_for_a_call_that_works_on(log: Path, pool: Pool) -> None:
    with ThreadPoolExecutor(1) as caller:
        slow = caller.submit(ask, pool, "hold", "it")
        wait_for(lambda: "holding" in log.read_text())
        assert [ask(pool, "echo", number) for number in range(5)] == list(range(5))
        assert not slow.done()
        ask(pool, "let_go", "it")
        assert slow.result() == "let go"


def test_answers_to_a_broker_that_freezes_for_a_moment_come_when_it_goes_on(
    log: Path, proxy: BrokerProxy, pool: Pool
) -> None:
    assert ask(pool, "echo", 1) == 1
    with ThreadPoolExecutor(5) as callers:
        asked = [callers.submit(ask, pool, "work", 0.5) for _ in range(5)]
        wait_for(lambda: log.read_text().count("working") == 5)
        proxy.freeze()
        time.sleep(2)  # their answers are written and go nowhere
        proxy.thaw()
        assert [each.result() for each in asked] == ["done"] * 5


def test_a_broker_that_takes_no_answers_is_left_and_the_calls_are_answered_after_it(
    log: Path, proxy: ServiceProxy, pool: Pool
) -> None:
    assert ask(pool, "echo", 1) == 1
    before = proxy.connections
    with ThreadPoolExecutor(LARGE_ONES) as callers:
        proxy.takes.clear()
        asked = [callers.submit(ask, pool, "echo", LARGE) for _ in range(LARGE_ONES)]
        wait_for(lambda: "broker takes nothing" in log.read_text())
        wait_for(lambda: proxy.connections > before)
        assert not any(each.done() for each in asked)
        proxy.takes.set()
        assert [each.result() for each in asked] == [LARGE] * LARGE_ONES
