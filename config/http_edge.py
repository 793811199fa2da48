"""What both HTTP servers refuse before the application sees it, and how they say so."""

import json
import logging
import time
import uuid
from http import HTTPStatus
from socket import SHUT_RDWR, SHUT_WR, socket

_log = logging.getLogger("http")

# In bytes. A reason for cancelling may be 500 characters of four bytes, each byte written as %xx.
LONGEST_LINE = 8190
MOST_HEADERS = 64

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# A stable word, and a sentence that quotes nothing of the request.
REFUSALS = {
    HTTPStatus.BAD_REQUEST: ("unreadable", "The request is not readable HTTP."),
    HTTPStatus.REQUEST_URI_TOO_LONG: (
        "uri_too_long", f"The request line may have at most {LONGEST_LINE} bytes."
    ),
    HTTPStatus.EXPECTATION_FAILED: (
        "expectation_failed", "100-continue is all that can be expected here."
    ),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "headers_too_large",
        f"A request may have at most {MOST_HEADERS} headers of {LONGEST_LINE} bytes each.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "internal_error",
        "Something went wrong here. The correlation id helps to find out what.",
    ),
    HTTPStatus.NOT_IMPLEMENTED: ("not_implemented", "A body is sent plain or chunked."),
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: ("unknown_version", "HTTP/1.1 is spoken here."),
}
# A client that is refused may be in the middle of a sentence.
_HEARD_OUT_SECONDS = 2.0
_HEARD_OUT_BYTES = 2 * 1024 * 1024


def refuse(client: socket, status: HTTPStatus, *, reason: str) -> None:
    """Answer with a problem body (RFC 9457), and end the connection for writing.

    :param reason: for the log; nothing that was sent.
    """
    correlation = uuid.uuid4().hex
    _log.info(
        "request refused",
        extra={"status": status.value, "reason": reason, "correlation": correlation},
    )
    try:
        client.settimeout(_HEARD_OUT_SECONDS)
        client.sendall(_answer(status, correlation))
        client.shutdown(SHUT_WR)
        _hear_out(client)
    except OSError as gone:
        _log.debug("nobody waits for the answer", extra={"error": type(gone).__name__})


def cut(client: socket) -> None:
    """Whoever reads from ``client`` or writes to it finds that it is gone."""
    try:
        client.shutdown(SHUT_RDWR)
    except OSError as gone:
        _log.debug("cut off already", extra={"error": type(gone).__name__})


def _answer(status: HTTPStatus, correlation: str) -> bytes:
    code, detail = REFUSALS[status]
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        "correlationId": correlation,
    }
    body = json.dumps(problem, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "X-Correlation-Id": correlation,
        **SECURITY_HEADERS,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode() + body


def _hear_out(client: socket) -> None:
    """Closed with bytes unread, a connection is reset, and the answer can be lost with it."""
    heard, until = 0, time.monotonic() + _HEARD_OUT_SECONDS
    while heard < _HEARD_OUT_BYTES and time.monotonic() < until:
        piece = client.recv(65536)
        if not piece:
            return
        heard += len(piece)
