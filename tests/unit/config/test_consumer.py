"""What comes in is taken for providers that are still there, and for no other."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import eventlet
import pytest
from eventlet import GreenPool
from kombu import Connection

from config.messaging.consumer import QueueConsumer
from tests.waiting import PATIENCE


class Provider:
    def __init__(self, name: str) -> None:
        self.queue = SimpleNamespace(name=name)


class Subscription:
    """As much of kombu's consumer as is used; the broker lets others go on while it is asked."""

    def __init__(self, broker: "Broker", queues: list[Any], **callbacks: Any) -> None:
        (queue,) = queues
        self.name = queue.name
        self.channel = broker
        self._active_tags: dict[str, str] = {}
        broker.asked("declared", self.name)

    def qos(self, prefetch_count: int) -> None:
        pass

    def consume(self) -> None:
        self._active_tags[self.name] = self.name
        self.channel.subscribed.add(self.name)
        self.channel.asked("subscribed", self.name)


class Broker:
    def __init__(self) -> None:
        self.subscribed: set[str] = set()
        self.meanwhile: dict[tuple[str, str], Any] = {}

    def asked(self, what: str, name: str) -> None:
        self.meanwhile.pop((what, name), lambda: None)()

    def basic_cancel(self, tag: str) -> None:
        self.subscribed.discard(tag)

    def connect(self, consumer: QueueConsumer) -> None:
        def consumer_class(**options: Any) -> Subscription:
            return Subscription(self, **options)

        for each in consumer.get_consumers(consumer_class, self):
            each.consume()
        consumer.on_consume_ready(None, self, [])


@pytest.fixture
def consumer() -> QueueConsumer:
    consumer = QueueConsumer()
    consumer.container = SimpleNamespace(max_workers=1)
    for name in ("one", "two"):
        consumer.register_provider(Provider(name))
    return consumer


@pytest.mark.parametrize("what", ["declared", "subscribed"])
@pytest.mark.parametrize("whose", ["one", "two"])
@pytest.mark.parametrize("leaving", ["one", "two"])
def test_who_leaves_while_queues_are_declared_or_subscribed_is_not_left_subscribed(
    consumer: QueueConsumer, what: str, whose: str, leaving: str
) -> None:
    """What came for it would be given back, and come again, for ever."""
    broker = Broker()
    (provider,) = (each for each in consumer._providers if each.queue.name == leaving)
    broker.meanwhile[what, whose] = lambda: consumer.unregister_provider(provider)
    broker.connect(consumer)
    assert broker.subscribed == {"one", "two"} - {leaving}
    again = Broker()
    again.connect(consumer)
    assert again.subscribed == {"one", "two"} - {leaving}


def test_who_leaves_later_is_not_left_subscribed_either(consumer: QueueConsumer) -> None:
    broker = Broker()
    broker.connect(consumer)
    for provider in tuple(consumer._providers):
        consumer.unregister_provider(provider)
    assert broker.subscribed == set()


class Spawning:
    """A provider of a service with one worker; ``begun`` holds what has been begun with."""

    only_spawns = True

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.pool = GreenPool(1)
        self.over = eventlet.Event()

    def handle_message(self, body: str, message: Any) -> None:
        self.pool.spawn(self._work, body)

    def _work(self, body: str) -> None:
        self.begun.append(body)
        self.over.wait()


@pytest.fixture
def spawning(consumer: QueueConsumer) -> Spawning:
    provider = Spawning()
    consumer.container = SimpleNamespace(
        _worker_pool=provider.pool,
        spawn_managed_thread=lambda run, identifier: eventlet.spawn(run),
    )
    return provider


def wait_for(condition: Callable[[], Any]) -> None:
    with eventlet.Timeout(PATIENCE):
        while not condition():
            eventlet.sleep(0)


def gives_way(handing_over: Callable[[], None]) -> bool:
    others: list[bool] = []
    eventlet.spawn(others.append, True)
    handing_over()
    return bool(others)


def test_the_consumer_waits_for_no_place_of_a_worker(
    consumer: QueueConsumer, spawning: Spawning
) -> None:
    """What waits is its own thread, from which nothing would be read meanwhile."""
    message = SimpleNamespace(delivery_info={"routing_key": "one"})
    hand_over = partial(consumer._hand_over, spawning, message=message)
    for body in ("first", "second"):
        assert not gives_way(partial(hand_over, body))
        eventlet.sleep(0)
    assert spawning.begun == ["first"] and spawning.pool.waiting() == 1
    spawning.over.send()
    wait_for(spawning.pool.free)
    # A place is free, and who waits for it has not had its turn.
    assert spawning.begun == ["first"]
    assert not gives_way(partial(hand_over, "third"))
    wait_for(lambda: len(spawning.begun) == 3)
    assert spawning.begun == ["first", "second", "third"]


def test_a_connection_that_a_writer_found_broken_is_given_up_and_not_replaced_in_silence(
    consumer: QueueConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one would consume nothing, and look well."""
    read_from: list[Any] = []
    with Connection("memory://") as connection:
        transport = connection.transport
        monkeypatch.setattr(transport, "establish_connection", object)
        first = connection.connection

        def drain_events(driver: Any, **_: Any) -> None:
            read_from.append(driver)
            if len(read_from) > 1:
                raise ConnectionResetError
            # As py-amqp says it once a write has failed.
            monkeypatch.setattr(transport, "verify_connection", lambda _: False)

        monkeypatch.setattr(transport, "drain_events", drain_events)
        monkeypatch.setattr(
            consumer, "consumer_context", lambda: nullcontext((connection, None, None))
        )
        with pytest.raises(ConnectionResetError):
            list(consumer.consume())
    assert [driver is first for driver in read_from] == [True, True]
