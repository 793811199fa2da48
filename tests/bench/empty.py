"""A WSGI application that does nothing, for the gateway's gunicorn."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment


class Empty:
    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("204 No Content", [])
        return []

    def close(self) -> None:
        """As gunicorn.conf.py wants it; there is nothing to let go of."""


application = Empty()
