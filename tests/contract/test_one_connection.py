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

from config.breaker import OPEN_SECONDS, Breakers
from config.messaging.call import headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from schemas.errors import Unavailable
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.systems import plain_environ
from tests.waiting import PATIENCE, wait_for

CALLERS = 20
# Well before PATIENCE, at which those end who are kept waiting. A deadline is kept when what is
# waited for in vain is left before that.
SOON = PATIENCE / 2


@pytest.fixture
def proxy(raising_service: str) -> Iterator[BrokerProxy]:
    with broker_proxy(raising_service) as proxy:
        yield proxy


@pytest.fixture
def pool(proxy: BrokerProxy) -> Iterator[Pool]:
    pool = Pool(proxy.uri, size=60, unavailable=Unavailable)
    yield pool
    pool.close()


def ask(pool: Pool, method: str, argument: object, *, seconds: float = PATIENCE) -> object:
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


def eventually(asking: Callable[[], object]) -> object:
    """As a client does that has a key: again and again until there is an answer."""
    until = time.monotonic() + PATIENCE
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
        env=plain_environ(), capture_output=True, text=True, timeout=2 * PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "50\n"


def let_go(uri: str, what: str) -> None:
    """By a connection of its own."""
    pool = Pool(uri, size=1, unavailable=Unavailable)
    ask(pool, "let_go", what)
    pool.close()


@contextmanager
def held(pool: Pool, log: Path, what: str) -> Iterator[None]:
    """A call that the service works on meanwhile; it is let go and answered at the end."""
    with meanwhile(lambda: ask(pool, "hold", what)) as slow:
        wait_for(lambda: f"holding {what}\n" in log.read_text())
        yield
        assert not slow.done()
        ask(pool, "let_go", what)
        assert slow.result() == "let go"


def test_a_slow_call_does_not_hold_up_a_quick_one(pool: Pool, raising_log: Path) -> None:
    assert ask(pool, "echo", 0) == 0
    with held(pool, raising_log, "the slow one"):
        assert [ask(pool, "echo", number) for number in range(5)] == list(range(5))


def test_a_quick_call_is_answered_while_a_slow_one_reads_for_both(
    pool: Pool, raising_log: Path
) -> None:
    with held(pool, raising_log, "the reader"):
        assert side_by_side(lambda number: ask(pool, "echo", number), callers=5) == list(range(5))


def test_an_answer_that_comes_too_late_disturbs_nobody(
    pool: Pool, proxy: BrokerProxy, raising_log: Path
) -> None:
    with held(pool, raising_log, "beside it"):
        assert seconds_until_refused(pool, "hold", "late", seconds=0.6) < SOON
        ask(pool, "let_go", "late")
        assert [ask(pool, "echo", number) for number in range(5)] == list(range(5))
    assert proxy.connections == 1


def test_a_service_that_is_slow_costs_nobody_the_connection(pool: Pool, proxy: BrokerProxy) -> None:
    # Long enough for the broker's silence to be looked into.
    assert seconds_until_refused(pool, "hold", "silence", seconds=2.0) < SOON
    assert ask(pool, "echo", "next") == "next"
    ask(pool, "let_go", "silence")
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
    assert max(map(float, cost)) < SOON  # type: ignore[arg-type]
    proxy.thaw()
    assert eventually(lambda: ask(pool, "echo", 2, seconds=5)) == 2
    assert side_by_side(lambda number: ask(pool, "echo", number)) == list(range(CALLERS))


def test_a_broker_that_freezes_under_calls_on_their_way_keeps_nobody_past_the_deadline(
    pool: Pool, proxy: BrokerProxy, raising_service: str
) -> None:
    assert ask(pool, "echo", 1) == 1
    freezing = threading.Timer(0.3, proxy.freeze)
    freezing.start()
    # Not more than the service works on at once.
    cost = side_by_side(
        lambda number: seconds_until_refused(pool, "hold", "all", seconds=0.8 + number / 10), 8
    )
    freezing.join()
    # It stays frozen meanwhile.
    assert max(map(float, cost)) < SOON  # type: ignore[arg-type]
    let_go(raising_service, "all")


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
            eventually(lambda: ask(pool, "echo", [caller, n], seconds=5)) == [caller, n]
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
        cost = side_by_side(lambda _: seconds_until_refused(pool, "echo", 1, seconds=PATIENCE))
        ended.set()
        socket.create_connection(listener.getsockname()).close()
    assert max(map(float, cost)) < SOON  # type: ignore[arg-type]
    assert len(attempts) < CALLERS


def test_more_calls_than_may_be_under_way_wait_and_no_longer_than_their_deadline(
    raising_service: str, raising_log: Path
) -> None:
    pool = Pool(raising_service, size=1, unavailable=Unavailable)
    assert ask(pool, "echo", 1) == 1
    with meanwhile(lambda: ask(pool, "hold", "the place")) as slow, ThreadPoolExecutor(1) as thread:
        wait_for(lambda: "holding the place\n" in raising_log.read_text())
        for _ in range(6):
            assert 0.1 <= seconds_until_refused(pool, "echo", 1, seconds=0.1) + 0.01 < SOON
        last = thread.submit(ask, pool, "echo", "at last")
        assert not slow.done() and not last.done()
        let_go(raising_service, "the place")
        assert (slow.result(), last.result()) == ("let go", "at last")
    # To be kept waiting says nothing about the service.
    assert pool.breakers.states() == {}
    pool.close()


def test_after_a_pause_one_call_tries_and_the_others_are_refused_at_once(
    pool: Pool, raising_log: Path
) -> None:
    now = [0.0]
    pool.breakers = Breakers(clock=lambda: now[0])
    # One that had to wait for the processor itself says nothing about the service.
    while not pool.breakers.states():
        seconds_until_refused(pool, "hold", "silent", seconds=0.3)
    assert pool.breakers.states() == {"raising.hold": "open"}
    assert ask(pool, "echo", "another method") == "another method"
    now[0] += OPEN_SECONDS
    with held(pool, raising_log, "the try"):
        cost = side_by_side(
            lambda _: seconds_until_refused(pool, "hold", "others", seconds=PATIENCE), callers=7
        )
        assert max(map(float, cost)) < SOON  # type: ignore[arg-type]
    assert pool.breakers.states() == {}
    ask(pool, "let_go", "silent")
    assert ask(pool, "hold", "silent") == "let go"
    assert "holding others" not in raising_log.read_text()


def test_closing_ends_the_calls_that_are_under_way(
    pool: Pool, raising_service: str, raising_log: Path
) -> None:
    assert ask(pool, "echo", 1) == 1
    with meanwhile(lambda: seconds_until_refused(pool, "hold", "end", seconds=PATIENCE)) as slow:
        wait_for(lambda: "holding end\n" in raising_log.read_text())
        pool.close()
        assert float(slow.result(PATIENCE)) < SOON  # type: ignore[arg-type]
    let_go(raising_service, "end")
