"""What services put on the broker beside their events: once, and without waiting for ever."""

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kombu import Connection, Producer, pools

from config.messaging import pooled
from config.messaging.dead_letters import NOT_TAKEN, SafePublisher
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.waiting import PATIENCE

WAIT_SECONDS = 1.0
# Class and method number, as they are sent.
CHANNEL_OPEN, CONFIRM_SELECT = b"\x00\x14\x00\x0a", b"\x00\x55\x00\x0a"
BODY = "as it was sent"


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooled, "WAIT_SECONDS", WAIT_SECONDS)


@pytest.fixture
def proxy(addresses: dict[str, str]) -> Iterator[BrokerProxy]:
    with broker_proxy(addresses["AMQP_URI"]) as proxy:
        yield proxy
        pools.reset()


@pytest.fixture
def queue(addresses: dict[str, str]) -> Iterator[Any]:
    with Connection(addresses["AMQP_URI"]) as connection:
        queue = connection.SimpleQueue(f"test-{uuid.uuid4().hex}")
        yield queue
        queue.queue.delete()


def publish(proxy: BrokerProxy, queue: Any) -> None:
    SafePublisher(proxy.uri).publish(BODY, exchange="", routing_key=queue.queue.name)


def came_to(queue: Any) -> list[str]:
    """Until nothing more comes for a while."""
    came = []
    while True:
        try:
            message = queue.get(timeout=1)
        except queue.Empty:
            return came
        message.ack()
        came.append(message.payload)


@pytest.mark.parametrize("last", [CHANNEL_OPEN, CONFIRM_SELECT, BODY.encode()])
def test_a_broker_that_freezes_at_any_step_is_not_waited_for_any_longer(
    proxy: BrokerProxy, queue: Any, last: bytes
) -> None:
    proxy.freeze_at(last)
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            publish(proxy, queue)
        except NOT_TAKEN as failure:
            raised.append(failure)

    attempting = threading.Thread(target=attempt, daemon=True)
    attempting.start()
    attempting.join(PATIENCE)
    assert raised
    proxy.thaw()
    publish(proxy, queue)
    assert BODY in came_to(queue)


def test_what_is_confirmed_too_late_is_not_sent_again(proxy: BrokerProxy, queue: Any) -> None:
    proxy.freeze_at(BODY.encode())
    thawing = threading.Timer(1.5 * WAIT_SECONDS, proxy.thaw)
    thawing.start()
    with pytest.raises(NOT_TAKEN):
        publish(proxy, queue)
    thawing.join()
    assert came_to(queue) == [BODY]


def test_a_connection_that_died_in_the_pool_is_replaced_before_anything_is_sent(
    proxy: BrokerProxy, queue: Any
) -> None:
    publish(proxy, queue)
    assert came_to(queue) == [BODY]
    proxy.sever()
    time.sleep(0.1)  # this is known here
    publish(proxy, queue)
    assert came_to(queue) == [BODY]
    assert proxy.connections == 2


def test_a_connection_serves_one_after_the_other(proxy: BrokerProxy, queue: Any) -> None:
    for _ in range(5):
        publish(proxy, queue)
    assert proxy.connections == 1


def test_what_somebody_was_killed_on_nobody_uses_again(
    proxy: BrokerProxy, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any, **options: Any) -> None:
        raise SystemExit

    publish(proxy, queue)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Producer, "publish", killed)
        publish(proxy, queue)
    publish(proxy, queue)
    assert proxy.connections == 2


def test_many_at_once_are_each_sent_once(proxy: BrokerProxy, queue: Any) -> None:
    with ThreadPoolExecutor(8) as threads:
        for each in [threads.submit(publish, proxy, queue) for _ in range(40)]:
            each.result()
    assert came_to(queue) == [BODY] * 40
