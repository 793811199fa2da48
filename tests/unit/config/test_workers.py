"""Green threads that are used again: as many as may be, each call by itself."""

from contextvars import ContextVar
from weakref import ref

import eventlet
import pytest
from eventlet.event import Event

from config.messaging.workers import Workers

TOLD: ContextVar[str] = ContextVar("told", default="nothing")


@pytest.fixture
def workers() -> Workers:
    return Workers(2)


def test_what_comes_one_after_the_other_is_done_in_one_thread(workers):
    threads = []
    for _ in range(3):
        workers.begin(lambda: threads.append(eventlet.getcurrent()))
        eventlet.sleep(0)
    assert len(threads) == 3 and len({*threads}) == 1


def test_a_call_finds_nothing_that_the_one_before_has_set(workers):
    seen = []

    def tell(text: str) -> None:
        seen.append(TOLD.get())
        TOLD.set(text)

    for text in ("one", "two"):
        workers.begin(tell, text)
        eventlet.sleep(0)
    assert seen == ["nothing", "nothing"]


@pytest.mark.parametrize("uses", [1, 2], ids=["new", "used before"])
def test_nothing_is_left_of_a_call_that_is_over(workers, uses):
    for _ in range(uses - 1):
        workers.begin(lambda: None)
        eventlet.sleep(0)
    message = type("Message", (), {})()
    kept = ref(message)
    workers.begin(lambda message: None, message)
    del message
    eventlet.sleep(0)
    assert kept() is None


def test_no_more_are_at_work_than_may_be_and_who_waits_comes_next(workers):
    over, done = Event(), []

    def work(number: int) -> None:
        over.wait()
        done.append(number)

    eventlet.spawn(lambda: [workers.begin(work, number) for number in range(4)])
    eventlet.sleep(0)
    assert workers.running() == 2 and workers.free() == 0
    over.send()
    with eventlet.Timeout(5):
        while len(done) < 4:
            eventlet.sleep(0)
    assert done == [0, 1, 2, 3]


def test_who_waits_for_all_leaves_no_thread_behind(workers):
    threads = [workers.begin(eventlet.sleep, 0.01) for _ in range(2)]
    with eventlet.Timeout(5):
        workers.waitall()
    assert workers.running() == 0 and workers.free() == 2
    assert all(thread.dead for thread in threads)


def test_who_waits_for_all_waits_for_those_too_that_have_yet_to_begin():
    workers, over, done = Workers(1), Event(), []
    workers.begin(over.wait)
    eventlet.spawn(workers.begin, done.append, "next")
    waits = eventlet.spawn(workers.waitall)
    eventlet.sleep(0)
    over.send()
    with eventlet.Timeout(5):
        waits.wait()
    assert done == ["next"] and workers.free() == 1


@pytest.mark.parametrize("uses", [1, 2], ids=["new", "used before"])
def test_one_that_is_killed_at_its_work_makes_room_for_another(workers, uses):
    for _ in range(uses - 1):
        workers.begin(lambda: None)
        eventlet.sleep(0)
    thread = workers.begin(Event().wait)
    eventlet.sleep(0)
    thread.kill()
    assert workers.free() == 2 and workers.running() == 0
    done = []
    workers.begin(done.append, True)
    eventlet.sleep(0)
    assert done == [True]


@pytest.mark.parametrize("uses", [1, 2], ids=["new", "used before"])
def test_one_that_is_killed_before_its_turn_comes_makes_room_for_another(workers, uses):
    for _ in range(uses - 1):
        workers.begin(lambda: None)
        eventlet.sleep(0)
    done = []
    workers.begin(done.append, "killed").kill()
    assert workers.free() == 2 and workers.running() == 0
    workers.begin(done.append, "next")
    with eventlet.Timeout(5):
        workers.waitall()
    assert done == ["next"]


def test_one_that_is_killed_when_its_work_is_over_is_not_given_another(workers):
    done = []
    thread = workers.begin(done.append, 1)
    eventlet.sleep(0)
    thread.kill()
    assert workers.begin(done.append, 2) is not thread
    with eventlet.Timeout(5):
        workers.waitall()
    assert done == [1, 2]
