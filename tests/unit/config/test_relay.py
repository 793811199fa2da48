"""What the relay decides by itself: who awaits its events, what may be under way together."""

from collections import namedtuple

import pytest

from config.entrypoints import RANDOM, handlers, relays
from config.messaging import awaited, held
from config.messaging.awaited import AGAIN_SECONDS, LOOK_SECONDS, AwaitedQueues
from config.messaging.held import FIRST_PAUSE, LONGEST_PAUSE, HeldSubjects, Reason
from config.messaging.relay import waves
from config.programs import catalogue

MISSING, FULL = Reason("erased", unroutable=True), Reason("erased", unroutable=False)
Row = namedtuple("Row", "subject sequence")


def test_each_relay_looks_for_exactly_the_queues_of_handlers_of_ours() -> None:
    classes = [program.service() for program in catalogue().programs]
    awaited: dict[str, dict[str, set[str]]] = {}
    for name, handler in (each for cls in classes for each in handlers(cls)):
        # Queues of single processes come and go with them.
        if RANDOM not in name:
            of_source = awaited.setdefault(handler.source_service, {})
            of_source.setdefault(handler.event_type, set()).add(name)
    looked_for = {
        relay.source: {event: set(queues) for event, queues in relay.awaited.items()}
        for cls in classes
        for relay in relays(cls)
    }
    assert looked_for == {source: awaited.get(source, {}) for source in looked_for}
    assert set(awaited) <= set(looked_for)


def test_two_events_of_a_subject_are_never_under_way_together() -> None:
    rows = [Row(*each) for each in (("a", 1), ("b", 1), ("a", 2), ("c", 1), ("a", 3), ("b", 2))]
    assert waves(rows) == [
        [("a", 1), ("b", 1), ("c", 1)],
        [("a", 2), ("b", 2)],
        [("a", 3)],
    ]


class Broker:
    """As much of a publisher as is looked through."""

    def __init__(self, *queues: str) -> None:
        self.queues = {*queues}
        self.looks = 0

    def finds(self, queue: str) -> bool:
        self.looks += 1
        return queue in self.queues


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(held, "time", clock)
    monkeypatch.setattr(awaited, "time", clock)
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


def test_an_event_waits_while_one_of_its_queues_is_missing_and_no_other_does(clock: Clock) -> None:
    queues, broker = AwaitedQueues({"erased": ("one", "two"), "moved": ("one",)}), Broker("one")
    clock.now = LOOK_SECONDS
    assert not queues.look(broker)
    assert queues.lack_one_for("erased")
    assert not queues.lack_one_for("moved") and not queues.lack_one_for("updated")
    broker.queues.add("two")
    clock.now += AGAIN_SECONDS
    assert queues.look(broker) and not queues.lack_one_for("erased")


def test_while_nothing_is_missing_it_is_looked_once_a_minute_or_when_in_doubt(clock: Clock) -> None:
    queues, broker = AwaitedQueues({"erased": ("one",)}), Broker("one")
    clock.now = LOOK_SECONDS
    for _ in range(3):
        assert not queues.look(broker)
    assert broker.looks == 1
    queues.doubt()
    queues.look(broker)
    clock.now += LOOK_SECONDS
    queues.look(broker)
    assert broker.looks == 3


def test_a_reason_is_news_until_nothing_waits_for_it(clock: Clock) -> None:
    subjects = HeldSubjects()
    assert subjects.hold("1", MISSING) and subjects.hold("2", FULL)
    assert not subjects.hold("3", MISSING) and not subjects.hold("1", MISSING)
    subjects.release("1")
    assert not subjects.hold("3", MISSING)
    subjects.release("3")
    assert subjects.hold("3", MISSING)
