"""A service that is told to end does so soon, loses nothing, and is not held up by anything."""

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from kombu import Connection, Queue

from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Answer, Request
from config.messaging.pool import Pool
from config.messaging.topology import RPC
from schemas.errors import Unavailable
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.systems import LONG_GRACE, raising
from tests.waiting import PATIENCE, wait_for

# Well before the end of the time that it is given.
SOON = LONG_GRACE - 10
SHORT_GRACE = 1.0


@pytest.fixture
def uri(addresses: dict[str, str]) -> str:
    return addresses["AMQP_URI"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def service(uri: str, log: Path) -> Iterator[Popen[str]]:
    with raising(uri, log=log) as process:
        yield process


@pytest.fixture
def impatient(uri: str, log: Path) -> Iterator[Popen[str]]:
    """A service, too, which is given little time to end."""
    with raising(uri, log=log, grace=SHORT_GRACE) as process:
        yield process


@pytest.fixture
def proxy(uri: str) -> Iterator[BrokerProxy]:
    with broker_proxy(uri) as proxy:
        yield proxy


@pytest.fixture
def pool(uri: str) -> Iterator[Pool]:
    pool = Pool(uri, size=4, unavailable=Unavailable)
    yield pool
    pool.close()


def ask(pool: Pool, method: str, *args: Any, seconds: float = PATIENCE) -> Answer:
    context = new_context(correlation="c", seconds=seconds, key="k")
    request = Request("raising", method, args)
    (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
    return answer


def leave_a_call(uri: str, method: str, *args: Any) -> None:
    """Nobody waits for its answer, or gives it up."""
    with Connection(uri) as connection:
        connection.Producer().publish(
            {"args": args, "kwargs": {}},
            exchange=RPC,
            routing_key=f"raising.{method}",
            reply_to=str(uuid.uuid4()),
            correlation_id="c",
            serializer="json",
        )


def tell(process: Popen[str], *signals: signal.Signals) -> None:
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)  # so that the kernel does not merge them


def seconds_to_stop(process: Popen[str], log: Path, *signals: signal.Signals) -> float:
    """Without the end of the process itself, which a busy machine takes its time for."""
    began = time.monotonic()
    tell(process, *signals)
    process.wait(PATIENCE)
    return float(log.read_text().rpartition("stopped at ")[2].split()[0]) - began


def in_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as failure:
            outcome.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGTERM],
        [signal.SIGINT],
        [signal.SIGTERM, signal.SIGTERM],
        [signal.SIGTERM, signal.SIGINT, signal.SIGTERM],
    ],
    ids=lambda signals: " ".join(each.name for each in signals),
)
def test_an_idle_service_ends_at_once_however_often_it_is_told(
    service: Popen[str], log: Path, signals: list[signal.Signals]
) -> None:
    assert seconds_to_stop(service, log, *signals) < SOON
    assert service.returncode == 0


def test_a_call_under_way_is_answered_and_not_made_again(
    service: Popen[str], pool: Pool, uri: str, log: Path
) -> None:
    asking, outcome = in_thread(lambda: ask(pool, "work", 1.0).result())
    wait_until_working(log)
    assert seconds_to_stop(service, log, signal.SIGTERM, signal.SIGTERM) < SOON
    asking.join()
    assert outcome == ["done"]
    assert waiting(uri) == 0, "the broker would give it to the next instance"


def test_a_call_that_comes_during_the_end_is_left_to_the_next_instance(
    service: Popen[str], pool: Pool, uri: str, log: Path, tmp_path: Path
) -> None:
    first, _ = in_thread(lambda: ask(pool, "work", 1.0).result())
    wait_until_working(log)
    service.send_signal(signal.SIGTERM)
    wait_for(lambda: consumers(uri) == 0)
    second, outcome = in_thread(lambda: ask(pool, "echo", "late").result())
    wait_for(lambda: waiting(uri) == 1)
    with raising(uri, log=tmp_path / "next"):
        second.join()
    first.join()
    assert outcome == ["late"]


def test_work_that_takes_too_long_is_left_to_redelivery(
    impatient: Popen[str], uri: str, log: Path
) -> None:
    leave_a_call(uri, "work", 2 * PATIENCE)
    wait_until_working(log)
    taken = seconds_to_stop(impatient, log, signal.SIGTERM)
    assert SHORT_GRACE <= taken < SOON
    wait_for(lambda: waiting(uri) == 1)
    with Connection(uri) as connection:
        Queue("rpc-raising")(connection.default_channel).purge()


@pytest.mark.parametrize("how", ["turn", "block"])
def test_a_process_that_does_not_listen_is_ended_by_the_kernel(
    how: str, impatient: Popen[str], uri: str, log: Path
) -> None:
    """One turns in Python, the other is in a library and does not come back."""
    leave_a_call(uri, how)
    wait_until_working(log)
    tell(impatient, signal.SIGTERM)
    assert impatient.wait(PATIENCE) == -signal.SIGALRM
    with Connection(uri) as connection:
        Queue("rpc-raising")(connection.default_channel).purge()


@pytest.mark.parametrize("state", ["freeze", "cut"])
def test_a_broker_that_is_frozen_or_gone_does_not_hold_up_the_end(
    state: str, proxy: BrokerProxy, tmp_path: Path
) -> None:
    with raising(proxy.uri, log=tmp_path / "log") as service:
        getattr(proxy, state)()
        assert seconds_to_stop(service, tmp_path / "log", signal.SIGTERM) < SOON


def test_restarting_one_instance_after_the_other_fails_no_call(
    uri: str, pool: Pool, tmp_path: Path
) -> None:
    failures: list[BaseException] = []
    asked, over = [0], threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                assert ask(pool, "sleep", 0.01).result() == "woke up"
            except BaseException as failure:
                failures.append(failure)
            asked[0] += 1

    with ExitStack() as ending:
        instances = [
            ending.enter_context(raising(uri, log=tmp_path / f"first-{number}"))
            for number in range(2)
        ]
        askers = [threading.Thread(target=keep_asking) for _ in range(4)]
        for asker in askers:
            asker.start()
        for number, instance in enumerate(instances):
            before = asked[0]
            wait_for(lambda: asked[0] > before + 20)
            tell(instance, signal.SIGTERM)
            instance.wait(PATIENCE)
            ending.enter_context(raising(uri, log=tmp_path / f"second-{number}"))
        before = asked[0]
        wait_for(lambda: asked[0] > before + 20)
        over.set()
        for asker in askers:
            asker.join()
    assert not failures
    assert waiting(uri) == 0


def wait_until_working(log: Path) -> None:
    wait_for(lambda: "working" in log.read_text())


def _declared(uri: str) -> Any:
    """(name, messages ready, consumers)"""
    with Connection(uri) as connection:
        return connection.default_channel.queue_declare("rpc-raising", passive=True)


def waiting(uri: str) -> int:
    return int(_declared(uri).message_count)


def consumers(uri: str) -> int:
    return int(_declared(uri).consumer_count)
