"""What operators see of a program, on a port of its own: /metrics, /livez and /readyz."""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CONTENT_TYPE_LATEST

from config.http_edge import SECURITY_HEADERS

READING = ("GET", "HEAD")
TEXT, JSON = "text/plain; charset=utf-8", "application/json"

Verdicts = Mapping[str, str]
# `checks` decides; what else there is, is told.
Report = Mapping[str, Verdicts]
Page = tuple[HTTPStatus, str, bytes]


def application(
    *,
    metrics: Callable[[], bytes],
    alive: Callable[[], Verdicts],
    ready: Callable[[], Report],
) -> WSGIApplication:
    """:param alive: by part, `ok` or something else; all must be `ok`.
    :param ready: such checks, and what else is told.
    """
    pages: dict[str, Callable[[], Page]] = {
        "/metrics": lambda: (HTTPStatus.OK, CONTENT_TYPE_LATEST, metrics()),
        "/livez": lambda: _judged({"checks": alive()}),
        "/readyz": lambda: _judged(ready()),
    }

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = pages.get(environ["PATH_INFO"])
        if page is None:
            page = _nothing(HTTPStatus.NOT_FOUND)
        elif environ["REQUEST_METHOD"] not in READING:
            page = _nothing(HTTPStatus.METHOD_NOT_ALLOWED)
        status, content_type, body = page()
        start_response(f"{status.value} {status.phrase}", _headers(status, content_type, body))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return answer


def _judged(report: Report) -> Page:
    """In the form of the gateway's own answer."""
    well = all(verdict == "ok" for verdict in report["checks"].values())
    told = {name: dict(part) for name, part in report.items() if part or name == "checks"}
    answer: dict[str, Any] = {"status": "ok" if well else "failing", **told}
    status = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
    return status, JSON, json.dumps(answer).encode()


def _nothing(status: HTTPStatus) -> Callable[[], Page]:
    return lambda: (status, TEXT, f"{status.phrase}\n".encode())


def _headers(status: HTTPStatus, content_type: str, body: bytes) -> list[tuple[str, str]]:
    allow = [("Allow", ", ".join(READING))] if status == HTTPStatus.METHOD_NOT_ALLOWED else []
    return [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        *SECURITY_HEADERS.items(),
        *allow,
    ]
