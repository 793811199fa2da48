"""All calls of a process go over one connection, and nobody notices that there are others."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.messaging.call import headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from schemas.errors import Unavailable
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.systems import plain_environ

CALLERS = 20


@pytest.fixture
def proxy(raising_service: str) -> Iterator[BrokerProxy]:
    with broker_proxy(raising_service) as proxy:
        yield proxy


@pytest.fixture
def pool(proxy: BrokerProxy) -> Iterator[Pool]:
    pool = Pool(proxy.uri, size=60, unavailable=Unavailable)
    yield pool
    pool.close()


def ask(pool: Pool, method: str, argument: object, *, seconds: float = 10.0) -> object:
    context = new_context(correlation="c", seconds=seconds, key="k")
    (answer,) = pool.ask(
        Request("raising", method, (argument,)),
        headers=headers_of(context),
        deadline=time.time() + seconds,
    )
    return answer.result()


def seconds_until_refused(pool: Pool, method: str, argument: object, *, seconds: float) -> float:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        ask(pool, method, argument, seconds=seconds)
    return time.monotonic() - began


def eventually(asking: Callable[[], object], *, seconds: float) -> object:
    """As a client does that has a key: again and again until there is an answer."""
    until = time.monotonic() + seconds
    while True:
        try:
            return asking()
        except Unavailable:
            assert time.monotonic() < until, "never answered"
            time.sleep(0.05)


def side_by_side(function: Callable[[int], object], callers: int = CALLERS) -> list[object]:
    with ThreadPoolExecutor(callers) as threads:
        return list(threads.map(function, range(callers)))


@contextmanager
def meanwhile(function: Callable[[], object]) -> Iterator["Future[object]"]:
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(function)


def test_fifty_callers_at_once_get_each_their_own_answers(pool: Pool, proxy: BrokerProxy) -> None:
    def own_answers(caller: int) -> bool:
        return all(ask(pool, "echo", [caller, n]) == [caller, n] for n in range(20))

    assert side_by_side(own_answers, callers=50) == [True] * 50
    assert proxy.connections == 1


@pytest.mark.parametrize("hub", ["gevent", "eventlet"])
def test_so_do_greenlets_while_another_of_them_waits_long(raising_service: str, hub: str) -> None:
    program = Path(__file__).with_name("parallel_callers.py")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), hub, raising_service],
        env=plain_environ(), capture_output=True, text=True, timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "50\n"


def test_a_slow_call_does_not_hold_up_a_quick_one(pool: Pool) -> None:
    assert ask(pool, "echo", 0) == 0
    with meanwhile(lambda: ask(pool, "sleep", 2.0)) as slow:
        began = time.monotonic()
        assert [ask(pool, "echo", number) for number in range(5)] == list(range(5))
        assert time.monotonic() - began < 1 and not slow.done()
    assert slow.result() == "woke up"


def test_a_quick_call_is_answered_while_a_slow_one_reads_for_both(pool: Pool) -> None:
    with meanwhile(lambda: ask(pool, "sleep", 1.0)) as slow:
        assert side_by_side(lambda number: ask(pool, "echo", number), callers=5) == list(range(5))
        assert not slow.done()


def test_an_answer_that_comes_too_late_disturbs_nobody(pool: Pool, proxy: BrokerProxy) -> None:
    with meanwhile(lambda: ask(pool, "sleep", 1.5)) as slow:
        assert seconds_until_refused(pool, "sleep", 1.0, seconds=0.6) < 1.1
        assert [ask(pool, "echo", number) for number in range(5)] == list(range(5))
        assert slow.result() == "woke up"
    assert proxy.connections == 1


def test_a_service_that_is_slow_costs_nobody_the_connection(pool: Pool, proxy: BrokerProxy) -> None:
    assert seconds_until_refused(pool, "sleep", 2.0, seconds=1.0) < 1.5
    assert ask(pool, "echo", "next") == "next"
    assert proxy.connections == 1


def test_a_connection_that_died_while_idle_is_replaced_unnoticed(
    pool: Pool, proxy: BrokerProxy
) -> None:
    assert ask(pool, "echo", 1) == 1
    proxy.sever()
    assert side_by_side(lambda number: ask(pool, "echo", number)) == list(range(CALLERS))
    assert proxy.connections == 2


def test_a_frozen_broker_costs_each_of_many_their_deadline_and_is_used_again_when_it_thaws(
    pool: Pool, proxy: BrokerProxy
) -> None:
    assert ask(pool, "echo", 1) == 1
    proxy.freeze()
    cost = side_by_side(lambda _: seconds_until_refused(pool, "echo", 1, seconds=1.5))
    assert max(map(float, cost)) < 2.0  # type: ignore[arg-type]
    proxy.thaw()
    assert eventually(lambda: ask(pool, "echo", 2, seconds=2), seconds=15) == 2
    assert side_by_side(lambda number: ask(pool, "echo", number)) == list(range(CALLERS))


def test_a_broker_that_freezes_under_calls_on_their_way_keeps_nobody_past_the_deadline(
    pool: Pool, proxy: BrokerProxy
) -> None:
    assert ask(pool, "echo", 1) == 1
    freezing = threading.Timer(0.3, proxy.freeze)
    freezing.start()
    cost = side_by_side(
        lambda number: seconds_until_refused(pool, "sleep", 1.0, seconds=0.8 + number / 20)
    )
    freezing.join()
    over = [float(each) - (0.8 + number / 20) for number, each in enumerate(cost)]  # type: ignore
    assert max(over) < 0.5


def test_a_connection_that_is_cut_again_and_again_is_one_at_a_time_and_all_are_answered(
    pool: Pool, proxy: BrokerProxy
) -> None:
    ended = threading.Event()

    def cut() -> None:
        while not ended.wait(0.5):
            proxy.sever()

    cutting = threading.Thread(target=cut)
    cutting.start()

    def answers(caller: int) -> bool:
        return all(
            eventually(lambda: ask(pool, "echo", [caller, n], seconds=5), seconds=20) == [caller, n]
            for n in range(100)
        )

    try:
        assert side_by_side(answers) == [True] * CALLERS
    finally:
        ended.set()
        cutting.join()
    assert proxy.most_at_once == 1


def test_a_broker_that_cuts_every_connection_off_is_not_stormed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended, attempts = threading.Event(), []

        def cut_off() -> None:
            while not ended.is_set():
                connection, _ = listener.accept()
                attempts.append(time.monotonic())
                connection.close()

        threading.Thread(target=cut_off, daemon=True).start()
        uri = f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}//"
        pool = Pool(uri, size=CALLERS, unavailable=Unavailable)
        cost = side_by_side(lambda _: seconds_until_refused(pool, "echo", 1, seconds=5))
        ended.set()
        socket.create_connection(listener.getsockname()).close()
    assert max(map(float, cost)) < 3  # type: ignore[arg-type]
    assert len(attempts) < CALLERS


def test_more_calls_than_may_be_under_way_wait_and_no_longer_than_their_deadline(
    raising_service: str,
) -> None:
    pool = Pool(raising_service, size=1, unavailable=Unavailable)
    assert ask(pool, "echo", 1) == 1
    with meanwhile(lambda: ask(pool, "sleep", 1.5)) as slow:
        time.sleep(0.2)  # it has the only place now
        for _ in range(6):
            assert 0.05 < seconds_until_refused(pool, "echo", 1, seconds=0.1) < 0.5
        assert ask(pool, "echo", "at last") == "at last"
        assert slow.result() == "woke up"
    # To be kept waiting says nothing about the service.
    assert pool.breakers.states() == {}
    pool.close()


def test_after_a_pause_one_call_tries_and_the_others_are_refused_at_once(
    pool: Pool, raising_service: str
) -> None:
    assert ask(pool, "echo", "connected") == "connected"
    for _ in range(5):
        seconds_until_refused(pool, "sleep", 1.0, seconds=0.3)
    assert pool.breakers.states() == {"raising.sleep": "open"}
    assert ask(pool, "echo", "another method") == "another method"

    def asleep() -> object:
        return ask(pool, "sleep", 0.0)

    def tries(_: int) -> object:
        try:
            return ask(pool, "sleep", 1.0)
        except Unavailable:
            return "refused"

    until = time.monotonic() + 10
    while "woke up" not in (told := side_by_side(tries, callers=8)):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert sorted(map(str, told)) == ["refused"] * 7 + ["woke up"]
    assert asleep() == "woke up"


def test_closing_ends_the_calls_that_are_under_way(pool: Pool) -> None:
    assert ask(pool, "echo", 1) == 1
    with meanwhile(lambda: seconds_until_refused(pool, "sleep", 3.0, seconds=5)) as slow:
        time.sleep(0.3)  # it is under way now
        pool.close()
        assert float(slow.result(2)) < 2  # type: ignore[arg-type]
