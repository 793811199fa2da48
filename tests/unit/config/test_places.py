"""At most so many at once; who waits is let in by turns, or gives up in time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from config.messaging import places as tested
from config.messaging.places import Places
from tests.waiting import PATIENCE


def test_there_are_so_many_and_no_more() -> None:
    places = Places(2)
    assert [places.take(seconds=0.01) for _ in range(3)] == [True, True, False]
    places.give_back()
    assert [places.take(seconds=0.01) for _ in range(2)] == [True, False]


def test_who_waits_gets_the_place_that_comes_free() -> None:
    places = Places(1)
    assert places.take(seconds=0)
    with ThreadPoolExecutor(1) as waiting:
        second = waiting.submit(places.take, seconds=PATIENCE)
        time.sleep(0.05)
        places.give_back()
        assert second.result() is True
    assert not places.take(seconds=0.01)


def test_who_gave_up_is_not_given_a_place() -> None:
    places = Places(1)
    assert places.take(seconds=0) and not places.take(seconds=0.01)
    places.give_back()
    assert places.take(seconds=0)


class Killed(BaseException):
    """As a greenlet is."""


@pytest.mark.parametrize("given", [False, True])
def test_who_is_killed_while_it_waits_keeps_no_place_from_others(
    monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    places = Places(1)

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if given:
                places.give_back()
            raise Killed

    assert places.take(seconds=0)
    with monkeypatch.context() as patch:
        patch.setattr(tested.threading, "Event", Event)
        with pytest.raises(Killed):
            places.take(seconds=PATIENCE)
    if not given:
        places.give_back()
    assert [places.take(seconds=0.01) for _ in range(2)] == [True, False]


def test_many_never_have_more_than_there_are_and_all_get_their_turn() -> None:
    places, lock, inside, most = Places(3), threading.Lock(), [0], [0]

    def visit(_: int) -> bool:
        assert places.take(seconds=PATIENCE)
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.001)
        with lock:
            inside[0] -= 1
        places.give_back()
        return True

    with ThreadPoolExecutor(12) as visitors:
        assert all(visitors.map(visit, range(120)))
    assert most == [3]
