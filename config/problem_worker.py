"""gunicorn's gevent worker, with the contract's answers, an end to slow clients, and answers that
leave in one piece."""

import time
from http import HTTPStatus
from socket import socket
from typing import Any

import gevent
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.ggevent import GeventWorker

from config.http_edge import cut, refuse

STATUS = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
    errors.ParseException: HTTPStatus.BAD_REQUEST,
}
# Between two looks for requests that take too long.
LOOK_SECONDS = 0.5


class Log(Logger):
    """The application logs requests itself, by their route."""

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Nothing: gunicorn's own would be put together for each request, and then not written."""


class GatheredSocket:
    """Sends nothing before ``flush``: gunicorn sends head and body apart, and each sending costs
    both ends a turn."""

    def __init__(self, sock: socket) -> None:
        self._sock = sock
        self._waiting: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self._waiting.append(data)

    def sendfile(self, *args: Any) -> Any:
        self.flush()
        return self._sock.sendfile(*args)

    def flush(self) -> None:
        """:raises OSError: when the client has gone."""
        waiting, self._waiting = b"".join(self._waiting), []
        # gevent's sendall asks the system first how much may be sent at once.
        if waiting and (sent := self._sock.send(waiting)) < len(waiting):
            self._sock.sendall(waiting[sent:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class ProblemWorker(GeventWorker):
    """gunicorn's own answers are HTML and, like its log lines, quote the request."""

    def init_process(self) -> None:
        # When each request that is under way must be over.
        self._ends: dict[socket, float] = {}
        super().init_process()

    def run(self) -> None:
        watch = gevent.spawn(self._cut_late_ones)
        try:
            super().run()
        finally:
            watch.kill()

    def handle_request(
        self, listener_name: Any, req: Any, sock: socket, addr: Any
    ) -> bool | None:
        gathered = GatheredSocket(sock)
        self._ends[sock] = time.monotonic() + self.cfg.timeout
        try:
            try:
                return super().handle_request(listener_name, req, gathered, addr)
            finally:
                gathered.flush()
        finally:
            del self._ends[sock]

    def _cut_late_ones(self) -> None:
        """gunicorn bounds the time for the headers (`keepalive`), not for the body or the answer.

        One for all: a greenlet for each request costs as much as reading its headers.
        """
        while True:
            gevent.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for late in [sock for sock, end in self._ends.items() if end <= now]:
                cut(late)

    def handle_error(self, req: Any, client: socket, addr: Any, exc: BaseException) -> None:
        status = next((STATUS[kind] for kind in type(exc).__mro__ if kind in STATUS), None)
        if status is None:
            self.log.error("unexpected error", exc_info=exc)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
        refuse(client, status, reason=type(exc).__name__)
