"""What the relay decides by itself: who awaits its events, what may be under way together."""

import inspect
from collections import namedtuple

import pytest
from nameko.events import EventHandler

from config.entrypoints import entrypoints
from config.messaging import held
from config.messaging.held import FIRST_PAUSE, LONGEST_PAUSE, HeldSubjects, Reason
from config.messaging.outbox import OutboxRelay
from config.messaging.relay import waves
from config.programs import catalogue

MISSING, FULL = Reason("erased", unroutable=True), Reason("erased", unroutable=False)
Row = namedtuple("Row", "subject sequence")


def test_each_relay_keeps_exactly_what_programs_of_ours_await() -> None:
    classes = [program.service() for program in catalogue().programs]
    awaited: dict[str, set[str]] = {}
    for cls in classes:
        for _, handler in entrypoints(cls):
            if isinstance(handler, EventHandler):
                awaited.setdefault(handler.source_service, set()).add(handler.event_type)
    kept = {
        relay.source: set(relay.awaited)
        for cls in classes
        for _, relay in inspect.getmembers(cls)
        if isinstance(relay, OutboxRelay)
    }
    assert kept == {source: awaited.get(source, set()) for source in kept}
    assert set(awaited) <= set(kept)


def test_two_events_of_a_subject_are_never_under_way_together() -> None:
    rows = [Row(*each) for each in (("a", 1), ("b", 1), ("a", 2), ("c", 1), ("a", 3), ("b", 2))]
    assert waves(rows) == [
        [("a", 1), ("b", 1), ("c", 1)],
        [("a", 2), ("b", 2)],
        [("a", 3)],
    ]


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(held, "time", clock)
    return clock


def test_a_subject_waits_longer_each_time_up_to_half_a_minute(clock: Clock) -> None:
    subjects, pauses = HeldSubjects(), []
    for _ in range(8):
        subjects.hold("1", FULL)
        begun = clock.now
        while subjects.waiting:
            clock.now += 0.01
        pauses.append(clock.now - begun)
    assert pauses[0] <= FIRST_PAUSE + 0.01
    assert pauses[:5] == sorted(pauses[:5])
    assert LONGEST_PAUSE * 0.8 <= pauses[-1] <= LONGEST_PAUSE + 0.01


def test_a_subject_that_was_released_begins_anew(clock: Clock) -> None:
    subjects = HeldSubjects()
    for _ in range(5):
        subjects.hold("1", MISSING)
    assert subjects.unroutable == 1
    subjects.release("1")
    assert subjects.waiting == [] and subjects.unroutable == 0
    subjects.hold("1", FULL)
    clock.now += FIRST_PAUSE
    assert subjects.waiting == []


def test_a_reason_is_news_until_nothing_waits_for_it(clock: Clock) -> None:
    subjects = HeldSubjects()
    assert subjects.hold("1", MISSING) and subjects.hold("2", FULL)
    assert not subjects.hold("3", MISSING) and not subjects.hold("1", MISSING)
    subjects.release("1")
    assert not subjects.hold("3", MISSING)
    subjects.release("3")
    assert subjects.hold("3", MISSING)
