"""The embedded mode's broker does what RabbitMQ does, where the messaging relies on it."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.transport import TRANSPORT_ALIASES

from config.messaging import memory
from config.messaging.topology import delay, delay_queue
from tests.waiting import PATIENCE


@pytest.fixture
def connection() -> Iterator[Connection]:
    before = TRANSPORT_ALIASES["memory"]
    memory.install()
    with Connection("memory://localhost/") as connection:
        yield connection
    TRANSPORT_ALIASES["memory"] = before


def get(queue: Queue, *, seconds: float = PATIENCE, no_ack: bool = True) -> Any:
    until = time.monotonic() + seconds
    while (message := queue.get(no_ack=no_ack)) is None:
        assert time.monotonic() < until, "nothing came"
        time.sleep(0.01)
    return message


def declared(connection: Connection, **options: Any) -> Queue:
    queue = Queue(f"test-{uuid.uuid4().hex}", **options)(connection.default_channel)
    queue.declare()
    return queue


def test_what_is_delayed_comes_to_the_queue_that_it_names_after_the_time(
    connection: Connection
) -> None:
    delay_queue(1, "classic")(connection.default_channel).declare()
    first, other = declared(connection), declared(connection)
    begun = time.monotonic()
    connection.Producer().publish(
        {"a": 1}, exchange=delay(1), routing_key=first.name, headers={"x-attempt": 1},
        message_id="one",
    )
    message = get(first)
    assert 1 <= time.monotonic() - begun
    assert message.payload == {"a": 1} and message.headers == {"x-attempt": 1}
    assert message.properties["message_id"] == "one"
    assert other.get() is None and first.get() is None


def test_what_is_given_back_comes_to_the_same_queue_again_and_to_no_other(
    connection: Connection
) -> None:
    exchange = Exchange(f"test-{uuid.uuid4().hex}", type="topic")
    first, other = (
        declared(connection, exchange=exchange, routing_key="told") for _ in range(2)
    )
    connection.Producer().publish({"a": 1}, exchange=exchange, routing_key="told")
    get(first, no_ack=False).requeue()
    again = get(first)
    assert again.payload == {"a": 1} and first.get() is None
    assert get(other).payload == {"a": 1} and other.get() is None
