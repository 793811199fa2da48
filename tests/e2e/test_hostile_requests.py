"""Requests that no client library would send, to the whole system; in each mode.

tests/integration/test_http_edge.py has them all, and the slow ones, against the servers alone.
"""

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from config.http_edge import SECURITY_HEADERS
from tests.systems import System
from tests.waiting import PATIENCE

POST = b"POST /auth/login HTTP/1.1\r\nHost: clinic\r\nContent-Type: application/json\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: clinic\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def ask(system: System, request: bytes) -> bytes:
    """What comes back until the connection is closed; we close our half after the request."""
    address = urlsplit(system.url)
    where = address.hostname or "", address.port or 0
    with socket.create_connection(where, timeout=PATIENCE) as way:
        try:
            way.sendall(request)
            way.shutdown(socket.SHUT_WR)
        except (ConnectionResetError, BrokenPipeError):
            pass  # refused while we were still talking; the answer is there all the same
        return b"".join(iter(lambda: way.recv(65536), b""))


def assert_problem(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = httpx.Headers([line.split(": ", 1) for line in head.decode().split("\r\n")[1:]])
    problem = json.loads(body)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Correlation-Id"] == problem["correlationId"]
    assert (problem["status"], problem["code"]) == (status, code)
    for name, value in SECURITY_HEADERS.items():
        assert headers[name] == value
    assert b"jumpy" not in answer


HOSTILE = {
    "no HTTP at all": (b"jumpy\r\n\r\n", 400, "unreadable"),
    "20 KB of address": (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
    "10,000 headers": (
        GET + b"".join(b"X-%d: jumpy\r\n" % each for each in range(10_000)) + b"\r\n",
        431,
        "headers_too_large",
    ),
    "a header of 1 MB": (GET + b"X: " + b"x" * 10**6 + b"\r\n\r\n", 431, "headers_too_large"),
    "a negative length": (POST + b"Content-Length: -2\r\n\r\n{}", 400, "unreadable"),
    "two lengths": (
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "unreadable"
    ),
    "length and coding": (
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "unreadable",
    ),
    "a length that is too short": (POST + b"Content-Length: 1\r\n\r\n{}", 400, "unreadable"),
    "a length that is too long": (POST + b"Content-Length: 50\r\n\r\n{}", 400, "unreadable"),
    "a chunk of no size": (CHUNKED + b"jumpy\r\n{}\r\n0\r\n\r\n", 400, "unreadable"),
    "a chunk that is cut off": (CHUNKED + b"50\r\n{}", 400, "unreadable"),
    "a chunk of a negative size": (CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", 400, "unreadable"),
}


@pytest.mark.parametrize(("request_", "status", "code"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_request_gets_a_problem_and_others_do_not_notice(
    system: System, client: httpx.Client, request_: bytes, status: int, code: str
) -> None:
    assert_problem(first_answer(ask(system, request_)), status, code)
    assert client.get("/livez").status_code == 200
    assert "jumpy" not in system.log_text()


def first_answer(answers: bytes) -> bytes:
    """Where bytes follow the request, they are taken for another one and refused, too."""
    start = b"HTTP/1.1 "
    return start + answers.split(start)[1]
