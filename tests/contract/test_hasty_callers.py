"""Callers with hardly any time left, and callers that are killed, cost the others nothing."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.messaging import line
from config.messaging.call import headers_of, new_context
from config.messaging.client import Request
from config.messaging.line import Line
from config.messaging.pool import Pool
from schemas.errors import Unavailable
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.systems import plain_environ
from tests.waiting import PATIENCE, wait_for

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


def ask(pool: Pool, method: str, argument: object, *, seconds: float = PATIENCE) -> object:
    context = new_context(correlation="c", seconds=seconds, key="k")
    (answer,) = pool.ask(
        Request("raising", method, (argument,)),
        headers=headers_of(context),
        deadline=time.time() + seconds,
    )
    return answer.result()


def ask_in_vain(pool: Pool, method: str, argument: object, *, seconds: float) -> None:
    with pytest.raises(Unavailable):
        ask(pool, method, argument, seconds=seconds)


@pytest.mark.parametrize("seconds", [0.01, 0.15, 0.4])
def test_a_caller_in_a_hurry_costs_those_who_wait_neither_connection_nor_a_second_call(
    pool: Pool, proxy: BrokerProxy, raising_log: Path, seconds: float
) -> None:
    assert ask(pool, "echo", 1) == 1
    before = raising_log.read_text().count("working")
    with ThreadPoolExecutor(CALLERS) as threads:
        slow = [threads.submit(ask, pool, "work", 0.9) for _ in range(CALLERS)]
        wait_for(lambda: raising_log.read_text().count("working") > before)
        for _ in range(3):
            ask_in_vain(pool, "sleep", 1.0, seconds=seconds)
        assert [each.result() for each in slow] == ["done"] * CALLERS
    assert raising_log.read_text().count("working") - before == CALLERS
    assert proxy.connections == 1


def test_callers_without_time_open_no_breaker_and_connect_nowhere(
    pool: Pool, proxy: BrokerProxy
) -> None:
    for _ in range(10):
        ask_in_vain(pool, "echo", 1, seconds=0.05)
    assert pool.breakers.states() == {}
    assert proxy.connections == 0
    assert ask(pool, "echo", 1) == 1


def test_a_frozen_broker_is_given_up_by_callers_each_of_which_has_too_little_time_to_tell(
    pool: Pool, proxy: BrokerProxy
) -> None:
    assert ask(pool, "echo", 1) == 1
    proxy.freeze()
    until = time.monotonic() + PATIENCE
    while not pool._dialer._line.broken:  # type: ignore[union-attr]
        assert time.monotonic() < until
        # Of another kind each time: no breaker shall keep it from asking.
        ask_in_vain(pool, f"echo{time.monotonic()}", 1, seconds=0.3)


def test_a_broker_that_is_away_opens_no_breaker_and_serves_as_soon_as_it_is_back(
    pool: Pool, proxy: BrokerProxy
) -> None:
    assert ask(pool, "echo", 1) == 1
    proxy.cut()
    for _ in range(10):
        ask_in_vain(pool, "echo", 1, seconds=2)
    assert pool.breakers.states() == {}
    proxy.restore()
    assert ask(pool, "echo", 1) == 1


@pytest.mark.parametrize("hub", ["gevent", "eventlet"])
def test_a_caller_that_is_killed_while_it_reads_for_all_costs_nobody_the_connection(
    proxy: BrokerProxy, hub: str
) -> None:
    program = Path(__file__).with_name("killed_caller.py")
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", str(program), hub, proxy.uri],
        env=plain_environ(), capture_output=True, text=True, timeout=2 * PATIENCE,
    )
    assert (ended.returncode, ended.stdout) == (0, "woke up\n"), ended.stderr
    assert proxy.connections == 1


def test_a_caller_that_is_killed_while_it_connects_leaves_no_connection_behind(
    raising_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, open_connection = [], line.open_connection

    def open_and_note(*args: object, **options: object) -> object:
        opened.append(open_connection(*args, **options))  # type: ignore[arg-type]
        return opened[0]

    def killed(self: Line, name: str) -> None:
        raise SystemExit

    monkeypatch.setattr(line, "open_connection", open_and_note)
    monkeypatch.setattr(Line, "_consume", killed)
    with pytest.raises(SystemExit):
        Line(raising_service, seconds=PATIENCE)
    assert not opened[0].connected


def test_who_still_writes_is_not_asked_to_read_for_the_others(
    pool: Pool, raising_service: str, raising_log: Path
) -> None:
    """Else nobody would read until it has written."""
    beside = Pool(raising_service, size=1, unavailable=Unavailable)
    assert ask(pool, "echo", 1) == 1
    wire = pool._dialer._line._wire  # type: ignore[union-attr]
    writing, may_write, write = threading.Event(), threading.Event(), wire.write

    def slowly(publish: object, *, seconds: float) -> bool:
        writing.set()
        may_write.wait(PATIENCE)
        return write(publish, seconds=seconds)  # type: ignore[arg-type]

    with ThreadPoolExecutor(3) as threads:
        reader = threads.submit(ask, pool, "hold", "the reader")
        wait_for(lambda: "holding the reader" in raising_log.read_text())
        waiting = threads.submit(ask, pool, "hold", "the other")
        wait_for(lambda: "holding the other" in raising_log.read_text())
        wire.write = slowly
        late = threads.submit(ask, pool, "echo", "late")
        assert writing.wait(PATIENCE)
        for what, each in (("the reader", reader), ("the other", waiting)):
            ask(beside, "let_go", what)
            assert each.result(PATIENCE) == "let go"
        assert not late.done()
        may_write.set()
        assert late.result(PATIENCE) == "late"
    beside.close()
