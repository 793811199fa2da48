"""What the stack decides without starting anything; the rest is in tests/integration."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from config.stack import command_line, exit_code, wait_until_200


def test_a_word_with_spaces_stays_one_word() -> None:
    assert command_line(["echo", "two words"]) == "exec echo 'two words'"


@pytest.mark.parametrize(
    ("codes", "ended_first", "stop_asked", "expected"),
    [
        pytest.param({"a": 0, "b": -15}, None, True, 0, id="an orderly stop is a success"),
        pytest.param({"a": 0, "b": -9}, None, True, 1, id="a stop that needed force is not"),
        pytest.param({"a": 3, "b": 0}, "a", False, 3, id="the first to end gives its code"),
        pytest.param({"a": 0, "b": 4}, "a", False, 1, id="ending unasked is a failure even with 0"),
        pytest.param({"a": -11, "b": 0}, "a", False, 139, id="a death by signal as shells say it"),
    ],
)
def test_the_exit_code_tells_an_orderly_stop_from_the_rest(
    codes: dict[str, int], ended_first: str | None, stop_asked: bool, expected: int
) -> None:
    assert exit_code(codes=codes, ended_first=ended_first, stop_asked=stop_asked) == expected


@pytest.fixture
def late_to_be_ready() -> Iterator[str]:
    """Answers 503 twice and 200 from then on."""
    answers = iter([503, 503])

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # http.server's own name
            self.send_response(next(answers, 200))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Not on the test's screen."""

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"
        server.shutdown()
        thread.join()


def test_waiting_lasts_until_the_page_says_200(late_to_be_ready: str) -> None:
    assert wait_until_200(late_to_be_ready, limit=20)


def test_waiting_for_a_page_that_never_comes_ends() -> None:
    assert not wait_until_200("http://127.0.0.1:9/readyz", limit=0.3)
