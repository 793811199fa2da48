"""eventlet's HTTP server, with the contract's answers and an end to slow clients."""

import logging
import re
from email.errors import MissingHeaderBodySeparatorDefect
from http import HTTPStatus
from socket import socket
from wsgiref.types import WSGIApplication

import eventlet
from eventlet import wsgi

from config.http_edge import LONGEST_LINE, MOST_HEADERS, REFUSALS, cut, refuse

IDLE_SECONDS = 30.0
_LENGTH = re.compile(r"[0-9]{1,18}")


def serve(
    listener: socket, application: WSGIApplication, *, request_seconds: float = IDLE_SECONDS
) -> None:
    """Serve for ever; a request has ``request_seconds`` at least, and a while longer at most."""
    wsgi.server(
        listener,
        application,
        # It would write requests into the log, and into the answer how they failed.
        log=logging.getLogger("eventlet.wsgi"),
        log_output=False,
        debug=False,
        # Its input ends with the body, chunked or not; werkzeug reads chunks only when told so.
        environ={"wsgi.input_terminated": True},
        keepalive=True,
        socket_timeout=request_seconds,
        # Beyond this it answers by itself; what lies between is for Protocol.
        url_length_limit=8 * LONGEST_LINE,
        protocol=Protocol,
    )


class Protocol(wsgi.HttpProtocol):
    def handle_one_request(self) -> None:
        # The wait for the request counts as well, and has as long.
        ending = eventlet.spawn_after(2 * self.server.socket_timeout, cut, self.connection)
        try:
            super().handle_one_request()
        finally:
            ending.cancel()

    def parse_request(self) -> bool:
        if len(self.raw_requestline) > LONGEST_LINE:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            return False
        try:
            readable = super().parse_request()
        except (wsgi.HeaderLineTooLong, wsgi.HeadersTooLarge):
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return False
        if readable and (refused := self._refused()):
            self.send_error(refused)
            return False
        return bool(readable)

    def _refused(self) -> HTTPStatus | None:
        """Where it is unclear which bytes belong to the request, nobody must guess."""
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if len(self.headers) > MOST_HEADERS:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        if len(lengths) + len(codings) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
            return HTTPStatus.BAD_REQUEST
        if any(isinstance(each, MissingHeaderBodySeparatorDefect) for each in self.headers.defects):
            return HTTPStatus.BAD_REQUEST
        if codings and codings[0].lower() != "chunked":
            return HTTPStatus.NOT_IMPLEMENTED
        return None

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Instead of HTML that quotes the request, as ``message`` and ``explain`` do."""
        self.close_connection = True
        self.wfile.flush()
        status = HTTPStatus(code)
        known = status if status in REFUSALS else HTTPStatus.BAD_REQUEST
        refuse(self.connection, known, reason="unreadable")
