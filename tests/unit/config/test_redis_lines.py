"""What callers ask of Redis at the same time goes there and back together, and each is told its
own answers, or that there are none."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisLost
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisSilent

from config.redis_lines import RedisLines
from tests.waiting import wait_for

SECONDS = 10.0


class Server:
    """Answers with what it was asked. While ``answering`` is clear it says nothing; ``fails`` is
    raised by the next reading."""

    def __init__(self) -> None:
        self.trips: list[list[bytes]] = []
        self.connections = 0
        self.answering = threading.Event()
        self.answering.set()
        self.fails: list[BaseException | None] = []
        # Whether its answer was there before it was looked for.
        self.late = False

    def connection(self) -> "Connection":
        return Connection(self)


class Connection:
    def __init__(self, server: Server) -> None:
        self._server = server
        self._answers: list[bytes] = []
        self._used = False

    def pack_commands(self, commands: list[tuple[bytes]]) -> list[bytes]:
        return [word + b" " for (word,) in commands]

    def send_packed_command(self, pieces: list[bytes]) -> None:
        self._server.connections += not self._used
        self._used = True
        self._answers = b"".join(pieces).split()
        self._server.trips.append(list(self._answers))

    def can_read(self) -> bool:
        return self._server.late and bool(self._answers)

    def read_response(self, *, disconnect_on_error: bool) -> bytes:
        assert not disconnect_on_error
        assert self._server.answering.wait(SECONDS)
        if self._server.fails and (failure := self._server.fails.pop(0)):
            raise failure
        word = self._answers.pop(0)
        if word == b"refuse":
            raise ResponseError("refused")
        return word

    def disconnect(self) -> None:
        self._answers = []


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def lines(server: Server) -> RedisLines:
    pool = SimpleNamespace(connection_class=server.connection, connection_kwargs={})
    return RedisLines(SimpleNamespace(connection_pool=pool))  # type: ignore[arg-type]


def asked(lines: RedisLines, *words: bytes) -> list[Any]:
    return lines.send([(word,) for word in words])


Crowd = Callable[..., "Future[list[Any]]"]


@pytest.fixture
def crowd(lines: RedisLines) -> Iterator[Crowd]:
    """Asks in a thread of its own, and returns once the words wait for the next trip."""
    with ThreadPoolExecutor(10) as pool:

        def ask(*words: bytes) -> "Future[list[Any]]":
            before = len(lines._waiting)
            answers = pool.submit(asked, lines, *words)
            wait_for(lambda: len(lines._waiting) > before, seconds=SECONDS)
            return answers

        yield ask


@pytest.fixture
def first(server: Server, lines: RedisLines) -> "Iterator[Future[list[Any]]]":
    """A trip that is not answered before ``server.answering`` is set."""
    server.answering.clear()
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(asked, lines, b"first")


def test_who_comes_while_one_is_on_its_way_goes_along_with_the_next(
    server: Server, lines: RedisLines, first: "Future[list[Any]]", crowd: Crowd
) -> None:
    wait_for(lambda: server.trips, seconds=SECONDS)
    others = [crowd(b"a", b"b"), crowd(b"c"), crowd(b"d")]
    server.answering.set()
    assert first.result(SECONDS) == [b"first"]
    assert [each.result(SECONDS) for each in others] == [[b"a", b"b"], [b"c"], [b"d"]]
    assert server.trips == [[b"first"], [b"a", b"b", b"c", b"d"]]
    assert server.connections == 1


def test_what_is_refused_is_told_to_who_asked_it(
    server: Server, lines: RedisLines, first: "Future[list[Any]]", crowd: Crowd
) -> None:
    wait_for(lambda: server.trips, seconds=SECONDS)
    others = [crowd(b"a", b"refuse", b"b"), crowd(b"c")]
    server.answering.set()
    first.result(SECONDS)
    before, refusal, after = others[0].result(SECONDS)
    assert (before, after) == (b"a", b"b") and isinstance(refusal, ResponseError)
    assert others[1].result(SECONDS) == [b"c"]


def test_a_kept_connection_that_died_is_replaced_and_only_what_is_open_sent_again(
    server: Server, lines: RedisLines
) -> None:
    asked(lines, b"a")
    server.fails = [RedisLost()]
    assert asked(lines, b"b") == [b"b"]
    assert server.connections == 2
    server.fails = [RedisLost(), RedisLost()]
    with pytest.raises(RedisLost):
        asked(lines, b"c")
    assert asked(lines, b"d") == [b"d"]


def test_who_came_late_for_an_answer_that_is_there_takes_it(
    server: Server, lines: RedisLines
) -> None:
    server.late, server.fails = True, [RedisSilent()]
    assert asked(lines, b"a", b"b") == [b"a", b"b"]
    assert server.connections == 1


def test_nobody_waits_twice_for_a_redis_that_does_not_answer(
    server: Server, lines: RedisLines, first: "Future[list[Any]]", crowd: Crowd
) -> None:
    wait_for(lambda: server.trips, seconds=SECONDS)
    others = [crowd(b"a"), crowd(b"b")]
    server.fails = [RedisSilent()]
    server.answering.set()
    for each in (first, *others):
        with pytest.raises(RedisSilent):
            each.result(SECONDS)
    assert server.trips == [[b"first"]]
    assert asked(lines, b"c") == [b"c"]


def test_who_was_aboard_with_one_that_is_ended_goes_again(
    server: Server, lines: RedisLines, first: "Future[list[Any]]", crowd: Crowd
) -> None:
    wait_for(lambda: server.trips, seconds=SECONDS)
    leader, others = crowd(b"a"), [crowd(b"b"), crowd(b"c")]
    server.fails = [None, SystemExit()]
    server.answering.set()
    assert first.result(SECONDS) == [b"first"]
    assert isinstance(leader.exception(SECONDS), SystemExit)
    assert [each.result(SECONDS) for each in others] == [[b"b"], [b"c"]]
    assert server.trips[1:] == [[b"a", b"b", b"c"], [b"b", b"c"]]


def test_one_that_is_ended_on_the_way_ends_no_other(
    server: Server, lines: RedisLines, first: "Future[list[Any]]", crowd: Crowd
) -> None:
    wait_for(lambda: server.trips, seconds=SECONDS)
    other = crowd(b"a")
    server.fails = [SystemExit()]
    server.answering.set()
    with pytest.raises(SystemExit):
        first.result(SECONDS)
    assert other.result(SECONDS) == [b"a"]


def test_what_cannot_be_written_concerns_nobody_else(lines: RedisLines) -> None:
    with pytest.raises(ValueError):
        lines.send([(b"too", b"many")])
    assert asked(lines, b"a") == [b"a"]


ABOARD = """
from gevent import monkey; monkey.patch_all()
import gevent
from types import SimpleNamespace
from config.redis_lines import RedisLines
from tests.unit.config.test_redis_lines import Server, asked
server = Server()
pool = SimpleNamespace(connection_class=server.connection, connection_kwargs={})
lines = RedisLines(SimpleNamespace(connection_pool=pool))
server.answering.clear()
crowd = [gevent.spawn(asked, lines, word) for word in (b"a", b"b", b"c")]
while not server.trips: gevent.sleep(0)
others = [gevent.spawn(asked, lines, word) for word in (b"d", b"e", b"f")]
while len(lines._waiting) < 3: gevent.sleep(0)
"""
TOLD = """
server.answering.set()
gevent.joinall([*crowd, *others], timeout=10)
print([each.value for each in (*crowd, *others) if isinstance(each.value, list)])
"""


@pytest.mark.parametrize(
    ("ended", "left"),
    [
        (["others[0]"], [b"a", b"b", b"c", b"e", b"f"]),
        # Who travels for it is ended then, too: nobody is to take its place.
        (["crowd[1]", "crowd[0]"], [b"c", b"d", b"e", b"f"]),
    ],
    ids=["the next to lead", "one aboard, then who leads"],
)
def test_one_that_is_ended_while_it_waits_keeps_nobody_waiting(
    ended: list[str], left: list[bytes]
) -> None:
    kills = "".join(f"{each}.kill()\n" for each in ended)
    argv = [sys.executable, "-c", ABOARD + kills + TOLD]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert told.stdout.splitlines()[:1] == [str([[each] for each in left])], told.stderr


def test_one_that_is_ended_before_it_leaves_leaves_nothing_behind(
    server: Server, lines: RedisLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(seconds: float) -> None:
        raise SystemExit

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("config.redis_lines.time.sleep", end)
        asked(lines, b"a")
    assert asked(lines, b"b") == [b"b"]
    assert server.trips == [[b"b"]]
