"""What a service tells the broker in one turn of the loop leaves together, and soon."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from amqp.transport import TCPTransport
from eventlet.greenio import GreenSocket

from config.messaging import outgoing as tested
from config.messaging.outgoing import LONGEST_SECONDS, Outgoing
from tests.waiting import PATIENCE

SECONDS = 0.3


class Link:
    """A service's transport, and the broker's end of it."""

    def __init__(self) -> None:
        here, self.broker = socket.socketpair()
        self.broker.settimeout(PATIENCE)
        self.transport = TCPTransport("127.0.0.1:1")
        self.transport.sock = GreenSocket(here)
        self.transport.sock.settimeout(PATIENCE)
        self.transport._setup_transport()
        self.outgoing = Outgoing(self.transport, seconds=SECONDS)

    def nothing_has_come(self) -> bool:
        self.broker.setblocking(False)
        try:
            return not self.broker.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.broker.settimeout(PATIENCE)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, link: Link) -> None:
    """As it is, a turn that takes long is not waited for."""
    monkeypatch.setattr(tested, "LONGEST_SECONDS", LONGEST_SECONDS)


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    # A turn of a busy machine may well take two thousandths of a second.
    monkeypatch.setattr(tested, "LONGEST_SECONDS", PATIENCE)
    link = Link()
    yield link
    link.transport.sock.close()
    link.broker.close()


def test_an_answer_leaves_when_the_turn_ends_with_all_that_was_written_in_it(link: Link) -> None:
    link.outgoing.write(memoryview(b"answer,"))
    link.outgoing.write(memoryview(b"acknowledgement"))
    assert link.nothing_has_come()
    eventlet.sleep(0)
    assert link.broker.recv(100) == b"answer,acknowledgement"


def test_the_memory_of_a_frame_may_be_used_for_the_next(link: Link) -> None:
    memory = bytearray(b"one")
    link.outgoing.write(memoryview(memory))
    memory[:] = b"two"
    link.outgoing.write(memoryview(memory))
    eventlet.sleep(0)
    assert link.broker.recv(100) == b"onetwo"


@pytest.mark.usefixtures("impatient")
def test_an_answer_does_not_wait_for_all_calls_that_compute_for_long(link: Link) -> None:
    link.outgoing.write(b"first,")
    time.sleep(2 * LONGEST_SECONDS)  # without giving way, as who computes
    link.outgoing.write(b"second")
    assert link.broker.recv(100) == b"first,second"


def test_what_is_not_taken_at_once_follows_whole_and_in_order(link: Link) -> None:
    parts = [bytes([number]) * 400_000 for number in range(5)]
    for part in parts:
        link.outgoing.write(part)
    eventlet.sleep(0)
    eventlet.spawn(link.outgoing.write, b"last")
    came = b""
    link.broker.setblocking(False)
    until = time.monotonic() + PATIENCE
    while not came.endswith(b"last"):
        assert time.monotonic() < until
        eventlet.sleep(0)
        try:
            came += link.broker.recv(100_000)
        except BlockingIOError:
            pass
    assert came == b"".join(parts) + b"last"


def test_a_broker_that_takes_nothing_is_given_up_so_that_who_reads_notices(link: Link) -> None:
    link.outgoing.write(bytes(10_000_000))
    began = time.monotonic()
    with pytest.raises(OSError):
        while link.transport.sock.recv(100):
            pass
        raise OSError
    # Nobody would take it later.
    assert time.monotonic() - began < PATIENCE / 2


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    mine = [each for each in caplog.records if each.name == "service"]
    return [each.message for each in mine if each.levelname in ("WARNING", "ERROR")]


def write_more_than_is_taken(link: Link) -> None:
    """As somebody who computed for long: it waits in the writing itself."""
    link.outgoing.write(bytes(10_000_000))
    time.sleep(2 * LONGEST_SECONDS)
    link.outgoing.write(b"last")


@pytest.mark.usefixtures("impatient")
def test_who_writes_is_not_disturbed_by_the_reader_that_lets_go_of_the_connection(
    link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    opened = link.transport.sock
    writer = eventlet.spawn(write_more_than_is_taken, link)
    eventlet.sleep(0)
    assert link.outgoing._leaving
    link.transport.close()
    with eventlet.Timeout(PATIENCE):
        writer.wait()
    assert warned(caplog) == ["broker takes nothing"]
    link.transport.sock = opened


@pytest.mark.usefixtures("impatient")
def test_what_nobody_expected_ends_the_connection_and_not_who_writes(
    link: Link, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(frames: bytes) -> None:
        raise AttributeError

    link.transport.write = fails
    link.outgoing.write(b"one")
    time.sleep(2 * LONGEST_SECONDS)
    link.outgoing.write(b"two")
    assert warned(caplog) == ["not sent"]
    assert link.broker.recv(1) == b""


@pytest.mark.usefixtures("impatient")
def test_who_is_killed_as_it_writes_ends_and_its_connection_with_it(link: Link) -> None:
    writer = eventlet.spawn(write_more_than_is_taken, link)
    eventlet.sleep(0)
    writer.kill()
    assert writer.dead
    while link.broker.recv(1_000_000):
        pass


def test_what_could_not_be_begun_with_at_once_leaves_yet(link: Link) -> None:
    whole = link.transport.having_timeout

    def not_at_once(seconds: float) -> Any:
        if not seconds:
            raise BlockingIOError
        return whole(seconds)

    link.transport.having_timeout = not_at_once
    link.outgoing.write(b"answer")
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert link.broker.recv(100) == b"answer"


def test_a_connection_that_has_been_let_go_takes_no_more(link: Link) -> None:
    link.outgoing.write(b"too late")
    opened, link.transport.sock = link.transport.sock, None
    eventlet.sleep(0)
    link.transport.sock = opened
    assert link.nothing_has_come()
