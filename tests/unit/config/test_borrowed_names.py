"""What our bounds hang on are names that libraries keep to themselves: another version may call
them otherwise, and nothing would fail, but some wait would have no end."""

import socket
import time
from contextlib import nullcontext
from types import SimpleNamespace

import amqp
import pytest
from kombu import Connection, Consumer, Queue
from kombu.transport.memory import Transport
from nameko.containers import ServiceContainer
from sqlalchemy.exc import TimeoutError as NoneFree

from config import vitals
from config.messaging.consumer import _cancel
from config.mysql import STEP_SECONDS, _Connection, _Pool, bounded
from tests.waiting import PATIENCE


class Driver:
    """As much of a connection of py-amqp as its publishing looks at."""

    def __init__(self, client_properties):
        self.client_properties = client_properties
        self.transport = SimpleNamespace(having_timeout=lambda seconds: nullcontext())
        self.reads = 0

    def drain_events(self, timeout):
        self.reads += 1
        raise socket.timeout


@pytest.mark.parametrize(
    ("properties", "reads"), [({}, 0), ({"capabilities": {"connection.blocked": True}}, 1)]
)
def test_who_says_that_it_can_do_nothing_publishes_without_reading_first(properties, reads):
    driver = Driver(properties)
    channel = SimpleNamespace(connection=driver, send_method=lambda *sent: None)
    amqp.Channel._basic_publish(channel, amqp.Message())
    assert driver.reads == reads
    assert hasattr(amqp.Connection(), "client_properties")


@pytest.fixture
def database():
    """The server's end of a connection, and ours; its next packet is here already."""
    here, there = socket.socketpair()
    connection = _Connection(defer_connect=True, read_timeout=5, write_timeout=4)
    with here, there, here.makefile("rb") as reading:
        connection._sock, connection._rfile, connection._current_timeout = here, reading, None
        connection._next_seq_id = 0
        yield there, connection
        connection._sock = None


@pytest.mark.parametrize("left", [True, False])
def test_each_packet_from_and_to_the_database_is_waited_for_by_what_is_left(database, left):
    there, connection = database
    there.sendall(b"\x01\x00\x00\x00\x00")  # of one byte, the first
    with bounded(time.time() + (60 if left else -60)):
        connection._read_packet()
        assert connection._sock.gettimeout() == (5 if left else STEP_SECONDS)
        connection._current_timeout = None
        connection._write_bytes(b"x")
        assert connection._sock.gettimeout() == (4 if left else STEP_SECONDS)


def test_a_free_connection_is_waited_for_by_what_is_left():
    made = SimpleNamespace(close=lambda: None, rollback=lambda: None)
    pool = _Pool(lambda: made, pool_size=1, max_overflow=0, timeout=PATIENCE)
    taken = pool.connect()
    began = time.monotonic()
    with bounded(time.time() - 60), pytest.raises(NoneFree):
        pool.connect()
    assert time.monotonic() - began < PATIENCE / 2
    taken.close()


def test_a_consumer_that_leaves_is_not_given_anything_any_more():
    came = []
    # By its class: kombu remembers what the name stood for, and another test changes that.
    with Connection(transport=Transport) as connection:
        channel = connection.channel()
        queue = Queue("borrowed", durable=False)(channel)
        consumer = Consumer(channel, [queue], on_message=came.append, no_ack=True)
        consumer.consume()
        _cancel(consumer)
        connection.Producer().publish(1, routing_key="borrowed")
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.1)
        assert not came and len(channel.basic_get("borrowed", no_ack=True).body)


class Service:
    name = "borrowed"


@pytest.fixture
def container():
    return ServiceContainer(Service, {})


def test_it_can_be_told_whether_a_worker_is_waited_for(container):
    """Else a call may be begun with where nothing is read meanwhile."""
    pool = container._worker_pool
    assert pool.free() == pool.sem.balance == container.max_workers
    pool.sem._waiters.append(None)
    assert pool.free() == container.max_workers > pool.sem.balance


def test_a_service_that_was_killed_is_not_alive(container):
    assert vitals.alive([container]) == {"borrowed": "ok"}
    container.kill()
    assert vitals.alive([container]) == {"borrowed": "failing"}


def test_a_service_is_dying_from_the_moment_that_it_is_being_killed_until_it_is_dead(container):
    during = []
    container._kill_managed_threads = lambda: during.append(vitals.is_dying(container))
    assert not vitals.is_dying(container)
    container.kill()
    assert during == [True] and not vitals.is_dying(container)


def test_a_service_that_has_stopped_is_not_alive(container):
    container.stop()
    assert vitals.alive([container]) == {"borrowed": "failing"}
