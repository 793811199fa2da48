"""However many need the connection, one at a time makes it, and not in a hurry."""

import threading
import time

import pytest

from config.messaging.dialer import (
    LEAST_ATTEMPT_SECONDS,
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    Dialer,
    NotConnected,
)
from tests.waiting import PATIENCE


class FakeLine:
    broken = False

    def close(self):
        self.broken = True


class Broker:
    """Takes connections, or refuses the next ones; each attempt takes a moment."""

    def __init__(self, *, refusals=0):
        self.refusals = refusals
        self.attempts = []
        # How long each attempt may take.
        self.seconds = []
        self.meanwhile = lambda: None
        self.at_once = self.most_at_once = 0

    def __call__(self, *, seconds):
        self.attempts.append(time.monotonic())
        self.seconds.append(seconds)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.05)
        self.meanwhile()
        self.at_once -= 1
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError()
        self.made = FakeLine()
        return self.made


def soon(seconds=PATIENCE):
    return time.time() + seconds


def refused(dialer, seconds=PATIENCE):
    with pytest.raises(OSError):
        dialer.line(soon(seconds))


def side_by_side(dialer, callers):
    """What came of it for each: a connection, or the error."""
    came = []

    def need():
        try:
            came.append(dialer.line(soon()))
        except OSError as refusal:
            came.append(refusal)

    threads = [threading.Thread(target=need) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def test_all_who_need_it_at_once_get_one_connection():
    broker = Broker()
    lines = side_by_side(Dialer(broker), 10)
    assert len(lines) == 10 and len(set(lines)) == 1
    assert len(broker.attempts) == 1


def test_one_that_is_well_is_kept_and_a_broken_one_is_replaced():
    dialer = Dialer(Broker())
    first = dialer.line(soon())
    assert dialer.line(soon()) is first
    first.broken = True
    assert dialer.line(soon()) is not first


def test_all_who_waited_for_an_attempt_share_its_failure():
    broker = Broker(refusals=1000)
    came = side_by_side(Dialer(broker), 10)
    assert all(isinstance(each, OSError) for each in came)
    assert broker.most_at_once == 1
    # One for those who came in time to wait for it; on a busy machine some come later.
    assert len(broker.attempts) < 10


def test_after_a_failure_the_next_attempt_rests_for_longer_and_longer():
    broker = Broker(refusals=1000)
    dialer = Dialer(broker)
    for _ in range(6):
        refused(dialer)
    pauses = [later - earlier for earlier, later in zip(broker.attempts, broker.attempts[1:])]
    assert min(pauses) >= SHORTEST_PAUSE
    # One of them may be that of a busy machine.
    assert sorted(pauses)[-2] < LONGEST_PAUSE + 0.5


def test_nobody_rests_past_their_deadline():
    broker = Broker(refusals=1000)
    dialer = Dialer(broker)
    refused(dialer)
    dialer._not_before = time.monotonic() + PATIENCE
    began = time.monotonic()
    refused(dialer, seconds=0.01)
    assert time.monotonic() - began < PATIENCE / 2


def test_who_has_hardly_any_time_left_does_not_try_and_spoils_no_other_attempt():
    def seconds_of_the_next():
        broker = Broker()
        dialer = Dialer(broker)
        for _ in range(10):
            refused(dialer, seconds=0.05)
        assert broker.attempts == []
        began = time.monotonic()
        dialer.line(soon())
        return time.monotonic() - began

    # Who is spoilt is so each time; a busy machine is not that busy each time.
    assert min(seconds_of_the_next() for _ in range(3)) < SHORTEST_PAUSE + 0.1


def test_an_attempt_that_others_will_share_has_time_enough_whoever_makes_it():
    broker = Broker()
    Dialer(broker).line(soon(0.15))
    assert broker.seconds == [LEAST_ATTEMPT_SECONDS]


def test_after_failures_a_broker_that_is_back_is_found():
    dialer = Dialer(Broker(refusals=2))
    refused(dialer)
    refused(dialer)
    assert not dialer.line(soon()).broken


def test_once_closed_it_connects_no_more():
    broker = Broker()
    dialer = Dialer(broker)
    line = dialer.line(soon())
    dialer.close()
    assert line.broken
    with pytest.raises(NotConnected):
        dialer.line(soon())
    assert len(broker.attempts) == 1


def test_closed_while_it_connects_it_leaves_no_connection_behind():
    broker = Broker()
    dialer = Dialer(broker)
    broker.meanwhile = dialer.close
    refused(dialer)
    assert broker.made.broken
