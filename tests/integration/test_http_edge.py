"""Both HTTP servers against clients that speak no proper HTTP, or do so very slowly."""

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from config.http_edge import LONGEST_LINE, MOST_HEADERS, SECURITY_HEADERS
from tests.systems import free_port, plain_environ, running
from tests.waiting import PATIENCE

HERE = Path(__file__).parent
# What the servers under test give a request; the real ones give more.
SECONDS = 2
HEAD = b"POST / HTTP/1.1\r\nHost: clinic\r\n"


@dataclass
class Server:
    port: int
    process: "subprocess.Popen[str]"
    log: Path

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=15)

    def ask(self, request: bytes) -> bytes:
        """Everything that comes back until the server closes the connection."""
        with self.connect() as way:
            try:
                way.sendall(request)
            except (ConnectionResetError, BrokenPipeError):
                pass  # refused while we were still talking; the answer is there all the same
            return b"".join(iter(lambda: way.recv(65536), b""))

    def memory(self) -> int:
        """KiB of its processes that live in memory."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sum(_resident(pid) for pid in (str(self.process.pid), *children.split()))


def _resident(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _gunicorn(port: int) -> list[str]:
    options = {
        "bind": f"127.0.0.1:{port}",
        "worker-class": "config.problem_worker.ProblemWorker",
        "timeout": SECONDS,
        "keep-alive": SECONDS,
        "limit-request-line": LONGEST_LINE,
        "limit-request-field_size": LONGEST_LINE,
        "limit-request-fields": MOST_HEADERS,
        "pythonpath": HERE,
    }
    written = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [
        sys.executable, "-m", "gunicorn", "--no-control-socket", *written,
        "echo_application:application",
    ]


def _eventlet(port: int) -> list[str]:
    return [sys.executable, str(HERE / "echo_application.py"), str(port), str(SECONDS)]


@pytest.fixture(scope="module", params=[_gunicorn, _eventlet], ids=["gunicorn", "eventlet"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    port, log = free_port(), tmp_path_factory.mktemp("http") / "log"
    with running(request.param(port), environ=plain_environ(), log=log) as process:
        server = Server(port, process, log)
        until = time.monotonic() + PATIENCE
        while not _answers(server):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield server


def _answers(server: Server) -> bool:
    try:
        return b"0 bytes" in server.ask(b"GET / HTTP/1.0\r\n\r\n")
    except ConnectionRefusedError:
        return False


def assert_refused(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    problem = json.loads(body)
    assert first.startswith(f"HTTP/1.1 {status} "), answer
    assert SECURITY_HEADERS.items() <= headers.items()
    assert headers["Content-Type"] == "application/problem+json"
    assert int(headers["Content-Length"]) == len(body)
    assert headers["X-Correlation-Id"] == problem["correlationId"]
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)
    assert problem["title"] and problem["detail"]
    assert b"jumpy" not in answer


UNREADABLE = {
    "no HTTP at all": b"jumpy\r\n\r\n",
    "four words": b"GET / jumpy HTTP/1.1\r\n\r\n",
    "odd version": b"GET / JUMPY/1.1\r\n\r\n",
    "header without a colon": b"GET / HTTP/1.1\r\njumpy\r\n\r\n",
    "negative length": HEAD + b"Content-Length: -5\r\n\r\njumpy",
    "length with a sign": HEAD + b"Content-Length: +5\r\n\r\njumpy",
    "length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\njumpyjumpy",
    "length of a word": HEAD + b"Content-Length: jumpy\r\n\r\njumpy",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\njumpy!",
    "two lengths in one": HEAD + b"Content-Length: 5, 6\r\n\r\njumpy!",
    "length and coding": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings": HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_proper_http_is_refused_as_a_problem(server: Server, request_: bytes) -> None:
    assert_refused(server.ask(request_), 400, "unreadable")


def test_an_unknown_coding_is_refused(server: Server) -> None:
    answer = server.ask(HEAD + b"Transfer-Encoding: jumpy\r\n\r\njumpy")
    assert_refused(answer, 501, "not_implemented")


@pytest.mark.parametrize("length", [LONGEST_LINE + 1, 20_000])
def test_a_long_address_is_refused(server: Server, length: int) -> None:
    line = b"GET /jumpy HTTP/1.1\r\n".replace(b"jumpy", b"jumpy" + b"x" * (length - 19))
    assert_refused(server.ask(line + b"\r\n"), 414, "uri_too_long")


HEADERS = {
    "one too many": b"".join(b"X-%d: jumpy\r\n" % each for each in range(MOST_HEADERS)),
    "10,000": b"".join(b"X-%d: jumpy\r\n" % each for each in range(10_000)),
    "one of 9 KB": b"X: jumpy" + b"x" * 9_000 + b"\r\n",
    "one of 1 MB": b"X: jumpy" + b"x" * 1_000_000 + b"\r\n",
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_more_headers_than_anybody_needs_are_refused(server: Server, headers: bytes) -> None:
    assert_refused(server.ask(HEAD + headers + b"\r\n"), 431, "headers_too_large")


def test_as_many_headers_as_are_allowed_are_read(server: Server) -> None:
    headers = b"".join(b"X-%d: x\r\n" % each for each in range(MOST_HEADERS - 2))
    assert b"0 bytes" in server.ask(HEAD + headers + b"Connection: close\r\n\r\n")


def test_what_lies_beyond_a_length_that_is_too_short_is_no_part_of_the_body(
    server: Server,
) -> None:
    answer = server.ask(HEAD + b"Content-Length: 2\r\n\r\njumpy bean bag\r\n\r\n")
    assert b"2 bytes" in answer
    assert_refused(b"HTTP/1.1" + answer.rpartition(b"HTTP/1.1")[2], 400, "unreadable")


def test_a_length_that_is_too_long_is_waited_for_no_longer_than_a_request_may_take(
    server: Server,
) -> None:
    began = time.monotonic()
    answer = server.ask(HEAD + b"Content-Length: 50\r\n\r\njumpy")
    assert b" bytes" not in answer
    assert time.monotonic() - began < PATIENCE / 2


# What is sent at once, and what then comes byte by byte.
TRICKLES = {
    "request line": (b"GET ", b"/" + b"x" * 1000),
    "headers": (HEAD, b"X: " + b"x" * 1000),
    "body": (HEAD + b"Content-Length: 1000\r\n\r\n", b"x" * 1000),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 200),
}


@pytest.mark.parametrize(("prompt", "slowly"), TRICKLES.values(), ids=TRICKLES)
def test_a_client_that_sends_a_byte_at_a_time_is_cut_off(
    server: Server, prompt: bytes, slowly: bytes
) -> None:
    began, sent = time.monotonic(), 0
    with server.connect() as way:
        way.settimeout(0.1)
        way.sendall(prompt)
        while time.monotonic() - began < PATIENCE:
            try:
                way.sendall(slowly[sent:][:1])
                answer = way.recv(65536)
            except TimeoutError:
                sent += 1
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
            assert b" bytes" not in answer
            if not answer:
                break
    assert sent > 0
    # All of it would have taken longer.
    assert time.monotonic() - began < PATIENCE / 2


def test_others_are_served_while_slow_clients_wait(server: Server) -> None:
    waiting = [server.connect() for _ in range(200)]
    try:
        for way in waiting:
            way.sendall(HEAD + b"Content-Length: 50\r\n\r\n")
        assert b"0 bytes" in server.ask(b"GET / HTTP/1.0\r\n\r\n")
        answered, _, _ = select.select(waiting, [], [], 0)
        assert len(answered) < len(waiting)
    finally:
        for way in waiting:
            way.close()


def test_a_connection_is_kept_for_longer_than_one_request_may_take(server: Server) -> None:
    way = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    way.connect()
    first = way.sock
    for _ in range(5):
        way.request("POST", "/", b"jumpy")
        assert way.getresponse().read() == b"5 bytes"
        # Not waiting for anything: this is how long an idle client stays away.
        time.sleep(0.5 * SECONDS)
    assert way.sock is first
    way.close()


def test_refusals_cost_no_memory(server: Server) -> None:
    large = HEAD + HEADERS["one of 1 MB"] + b"\r\n"
    for _ in range(20):
        server.ask(large)
    before = server.memory()
    for _ in range(100):
        server.ask(large)
        server.ask(HEAD + HEADERS["10,000"] + b"\r\n")
    assert server.memory() - before < 10 * 1024


def test_nothing_that_was_sent_is_logged(server: Server) -> None:
    for request in (*UNREADABLE.values(), HEAD + HEADERS["one of 9 KB"] + b"\r\n"):
        server.ask(request)
    server.ask(b"GET /jumpy HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\njumpy\r\n")
    assert "jumpy" not in server.log.read_text()
