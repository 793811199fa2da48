"""What several callers write at once leaves together, and nobody's part is lost or sent twice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from amqp import spec

from config.messaging.convoy import Convoy


class Transport:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, frames: Any) -> None:
        self.sent.append(bytes(frames))

    @contextmanager
    def having_timeout(self, seconds: float) -> Iterator[None]:
        yield


class Driver:
    """As much of py-amqp's connection as its writer of frames uses."""

    frame_max = 4096
    bytes_sent = 0
    frame_writer: Callable[..., None]

    def __init__(self) -> None:
        self.transport = Transport()

    def write(self, word: bytes) -> None:
        self.frame_writer(1, 1, spec.Basic.Ack, word, None)


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def convoy(driver: Driver) -> Convoy:
    return Convoy(driver)


def words_in(sent: list[bytes]) -> list[list[str]]:
    """By system call, the words that it sent."""
    return [[word for word in ("one", "two", "three") if word.encode() in each] for each in sent]


def join(convoy: Convoy, driver: Driver, *words: bytes) -> list[tuple[bytes, bool]]:
    return [convoy.join(lambda word=word: driver.write(word)) for word in words]


def test_the_first_one_leads_and_sends_for_all(convoy: Convoy, driver: Driver) -> None:
    joined = join(convoy, driver, b"one", b"two", b"three")
    assert [leads for _, leads in joined] == [True, False, False]
    assert driver.transport.sent == []
    convoy.send(seconds=1)
    assert words_in(driver.transport.sent) == [["one", "two", "three"]]
    convoy.send(seconds=1)
    assert len(driver.transport.sent) == 1


def test_after_they_have_left_the_next_one_leads(convoy: Convoy, driver: Driver) -> None:
    join(convoy, driver, b"one")
    convoy.send(seconds=1)
    [(_, leads)] = join(convoy, driver, b"two")
    assert leads


def test_who_joins_while_others_are_sent_leads_and_keeps_nobody_sending(
    convoy: Convoy, driver: Driver
) -> None:
    write, joined = driver.transport.write, []

    def and_another_joins(frames: Any) -> None:
        write(frames)
        joined.extend(join(convoy, driver, b"two"))

    driver.transport.write = and_another_joins  # type: ignore[method-assign]
    join(convoy, driver, b"one")
    convoy.send(seconds=1)
    assert words_in(driver.transport.sent) == [["one"]]
    assert [leads for _, leads in joined] == [True]
    driver.transport.write = write  # type: ignore[method-assign]
    convoy.send(seconds=1)
    assert words_in(driver.transport.sent) == [["one"], ["two"]]


def test_who_has_no_time_left_leaves_and_the_next_one_takes_the_others_along(
    convoy: Convoy, driver: Driver
) -> None:
    (frames, _), _ = join(convoy, driver, b"one", b"two")
    assert convoy.leave(frames)
    [(_, leads)] = join(convoy, driver, b"three")
    assert leads
    convoy.send(seconds=1)
    assert words_in(driver.transport.sent) == [["two", "three"]]


def test_who_was_sent_already_cannot_leave(convoy: Convoy, driver: Driver) -> None:
    [(frames, _)] = join(convoy, driver, b"one")
    convoy.send(seconds=1)
    assert not convoy.leave(frames)


def test_who_cannot_write_does_not_join(convoy: Convoy, driver: Driver) -> None:
    def fails() -> None:
        driver.write(b"one")
        raise OSError

    with pytest.raises(OSError):
        convoy.join(fails)
    [(_, leads)] = join(convoy, driver, b"two")
    assert leads
    convoy.send(seconds=1)
    assert words_in(driver.transport.sent) == [["two"]]


def test_what_is_written_besides_leaves_at_once(convoy: Convoy, driver: Driver) -> None:
    driver.write(b"one")
    assert words_in(driver.transport.sent) == [["one"]]
