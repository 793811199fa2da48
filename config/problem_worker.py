"""gunicorn's gevent worker, with the contract's answers and an end to slow clients."""

from http import HTTPStatus
from socket import socket
from typing import Any

import gevent
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


class ProblemWorker(GeventWorker):
    """gunicorn's own answers are HTML and, like its log lines, quote the request."""

    def handle_request(
        self, listener_name: Any, req: Any, sock: socket, addr: Any
    ) -> bool | None:
        # gunicorn bounds the time for the headers (`keepalive`), not for the body or the answer.
        ending = gevent.spawn_later(self.cfg.timeout, cut, sock)
        try:
            return super().handle_request(listener_name, req, sock, addr)
        finally:
            ending.kill(block=False)

    def handle_error(self, req: Any, client: socket, addr: Any, exc: BaseException) -> None:
        status = next((STATUS[kind] for kind in type(exc).__mro__ if kind in STATUS), None)
        if status is None:
            self.log.error("unexpected error", exc_info=exc)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
        refuse(client, status, reason=type(exc).__name__)
