"""Who writes relies on others to send it, and none of them takes it along when it goes."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp.exceptions import FrameSyntaxError, RecoverableConnectionError
from amqp.transport import TCPTransport

from config.messaging import wire as tested
from config.messaging.wire import QUIET_SECONDS, WRITE_SECONDS, Wire
from tests.waiting import PATIENCE

WORDS = ("one", "two", "three")
QOS = b"\x00\x3c\x00\x0a"


class Killed(BaseException):
    """As a greenlet is."""


class Link:
    """A wire over a socket of our own, and the broker's end of it; ``ended`` by what."""

    def __init__(self) -> None:
        here, self.broker = socket.socketpair()
        self.broker.settimeout(PATIENCE)
        here.settimeout(PATIENCE)
        self.driver = amqp.Connection()
        self.driver.transport = transport = TCPTransport("127.0.0.1:1")
        transport.sock = here
        transport._setup_transport()
        self.channel = amqp.Channel(self.driver, 1)
        self.ended: list[BaseException] = []
        connection: Any = SimpleNamespace(connection=self.driver, channel=lambda: self.channel)
        self.wire = Wire(connection, on_end=self.ended.append)

    def write(self, word: str, *, seconds: float = PATIENCE) -> bool:
        return self.wire.write(partial(self.publish, word), seconds=seconds)

    def publish(self, word: str) -> None:
        self.channel.basic_publish(amqp.Message(word), routing_key="anywhere")

    def came(self) -> list[str]:
        """The words that did, in this order."""
        self.broker.setblocking(False)
        try:
            received = self.broker.recv(100_000)
        except BlockingIOError:
            return []
        places = {received.find(word.encode()): word for word in WORDS}
        return [places[at] for at in sorted(places) if at >= 0]


@contextmanager
def new_link() -> Iterator[Link]:
    link = Link()
    yield link
    link.driver.transport.sock.close()
    link.broker.close()


@pytest.fixture
def link() -> Iterator[Link]:
    with new_link() as link:
        yield link


@pytest.fixture
def giving_way(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """What others do, one after the other, when somebody gives way to them."""
    others: list[Callable[[], object]] = []
    clock = SimpleNamespace(
        monotonic=time.monotonic, sleep=lambda _: others.pop(0)() if others else None
    )
    monkeypatch.setattr(tested, "time", clock)
    return others


def killed(link: Link) -> None:
    link.write("two")
    raise Killed


def test_who_is_killed_as_it_gives_way_sends_what_others_rely_on(
    link: Link, giving_way: list[Callable[[], object]]
) -> None:
    giving_way.append(partial(killed, link))
    with pytest.raises(Killed):
        link.write("one")
    assert link.came() == ["one", "two"] and not link.ended
    assert link.write("three") and link.came() == ["three"]


def test_who_is_killed_as_it_waits_for_its_turn_leaves_the_others_to_the_next(
    link: Link, giving_way: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lock:
        def acquire(self, timeout: float) -> bool:
            raise Killed

    giving_way.append(partial(link.write, "two"))
    with monkeypatch.context() as patch:
        patch.setattr(link.wire, "_lock", Lock())
        with pytest.raises(Killed):
            link.write("one")
    assert link.came() == [] and not link.ended
    assert link.write("three") and link.came() == ["two", "three"]


def test_who_has_no_time_left_is_not_sent_and_those_who_followed_are(
    link: Link, giving_way: list[Callable[[], object]]
) -> None:
    followed = []
    giving_way.append(lambda: followed.append(link.write("two")))
    with link.wire._lock:
        assert not link.write("one", seconds=0.05)
    assert followed == [True] and link.came() == [] and not link.ended
    assert link.write("three") and link.came() == ["two", "three"]


def test_those_who_followed_go_with_the_next_sign_of_life_if_nobody_else_writes(
    link: Link, giving_way: list[Callable[[], object]]
) -> None:
    giving_way.append(partial(link.write, "two"))
    with link.wire._lock:
        assert not link.write("one", seconds=0.05)
    link.wire.read(seconds=QUIET_SECONDS / 5)
    received = link.broker.recv(10_000)
    assert received.index(b"two") < received.index(QOS)


def test_a_sign_of_life_is_not_lost_with_what_another_fails_to_write(link: Link) -> None:
    reader = threading.Thread(target=link.wire.read, kwargs={"seconds": 0.01})

    def fails() -> None:
        reader.start()
        reader.join(0.2)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        link.wire.write(fails, seconds=PATIENCE)
    reader.join()
    assert QOS in link.broker.recv(10_000) and not link.ended


@pytest.mark.parametrize("failure", [RuntimeError, FrameSyntaxError, Killed])
def test_who_cannot_write_is_told_and_costs_nobody_the_connection(
    link: Link, failure: type[BaseException]
) -> None:
    def fails() -> None:
        link.publish("one")
        raise failure

    with pytest.raises(failure):
        link.wire.write(fails, seconds=PATIENCE)
    assert not link.ended
    assert link.write("two") and link.came() == ["two"]


def test_a_channel_that_is_gone_is_everybodys_end(link: Link) -> None:
    link.channel.collect()
    with pytest.raises(RecoverableConnectionError):
        link.write("one")
    assert link.ended


def test_waiting_for_a_turn_and_sending_take_no_longer_together_than_there_is_time() -> None:
    held, seconds = 0.8, 1.0

    def ends_in_time() -> bool:
        with new_link() as link:
            link.wire._lock.acquire()
            threading.Timer(held, link.wire._lock.release).start()
            began = time.monotonic()
            with suppress(TimeoutError):
                link.write("x" * 10_000_000, seconds=seconds)
            took = time.monotonic() - began
            return bool(link.ended) and took < held + max(seconds - held, WRITE_SECONDS) + 0.4

    # Who takes too long does so each time; a busy machine is not that busy each time.
    assert any(ends_in_time() for _ in range(3))
