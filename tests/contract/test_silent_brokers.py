"""A broker that is gone, frozen or deaf keeps nobody waiting past the deadline."""

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from config.messaging.call import headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from schemas.errors import Unavailable


@pytest.fixture
def deaf_broker() -> Iterator[str]:
    """Takes connections and never says a word, like a broker that is stopped in its tracks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"amqp://guest:guest@127.0.0.1:{listener.getsockname()[1]}//"


@pytest.fixture
def freezing_broker(addresses: dict[str, str]) -> Iterator[tuple[str, Callable[[], None]]]:
    """A way to the real broker that can be frozen: its connections stay up and say no more."""
    target = addresses["AMQP_URI"].rpartition("@")[2].partition("/")[0].split(":")
    frozen, ending = threading.Event(), threading.Event()

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        while not ending.is_set():
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            if not frozen.is_set():
                sink.sendall(data)

    def accept(listener: socket.socket) -> None:
        while not ending.is_set():
            try:
                here, _ = listener.accept()
            except OSError:
                continue
            there = socket.create_connection((target[0], int(target[1])))
            for pair in ((here, there), (there, here)):
                pair[0].settimeout(0.1)
                opened.append(pair[0])
                threads.append(threading.Thread(target=pass_on, args=pair))
                threads[-1].start()

    opened: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        threads = [threading.Thread(target=accept, args=(listener,))]
        threads[0].start()
        port = listener.getsockname()[1]
        address = addresses["AMQP_URI"].replace(":".join(target), f"127.0.0.1:{port}")
        yield address, frozen.set
        ending.set()
        for thread in list(threads):
            thread.join()
    for end in opened:
        end.close()


def ask(pool: Pool, *, seconds: float) -> float:
    """How long it took to hear that the service is unavailable."""
    context = new_context(correlation="c", seconds=seconds, key="k")
    began = time.monotonic()
    with pytest.raises(Unavailable):
        pool.ask(
            Request("raising", "echo", (1,)),
            headers=headers_of(context),
            deadline=time.time() + seconds,
        )
    return time.monotonic() - began


def test_a_broker_that_refuses_connections_is_told_at_once() -> None:
    pool = Pool("amqp://guest:guest@127.0.0.1:1//", size=1, unavailable=Unavailable)
    assert ask(pool, seconds=5) < 1


def test_a_broker_that_takes_connections_and_says_nothing_costs_no_more_than_the_deadline(
    deaf_broker: str,
) -> None:
    pool = Pool(deaf_broker, size=1, unavailable=Unavailable)
    assert ask(pool, seconds=0.6) < 1.1


def test_a_broker_that_freezes_between_two_calls_costs_no_more_than_the_deadline(
    raising_service: str, freezing_broker: tuple[str, Callable[[], None]]
) -> None:
    address, freeze = freezing_broker
    pool = Pool(address, size=1, unavailable=Unavailable)
    context = new_context(correlation="c", seconds=5, key="k")
    request = Request("raising", "echo", (1,))
    (answer,) = pool.ask(request, headers=headers_of(context), deadline=time.time() + 5)
    assert answer.result() == 1
    freeze()
    assert ask(pool, seconds=0.6) < 1.1
    assert ask(pool, seconds=0.6) < 1.1
    pool.close()
