"""The WSGI application: match, view, response."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug import Response
from werkzeug.routing import Map

from config.logs import correlation_id
from config.settings import Settings
from gateway.errors import problem
from gateway.request import ApiRequest
from gateway.routes import Route, url_map
from gateway.rpc import Rpc, services_pools

_log = logging.getLogger("gateway")

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
UNMATCHED = "-"


def create_app(settings: Settings) -> WSGIApplication:
    """The gateway as a WSGI application. It connects to RabbitMQ with the first request."""
    routes, pools = url_map(), services_pools(settings)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = ApiRequest(environ)
        correlation = request.correlation_id()
        correlation_id.set(correlation)

        def rpc() -> Rpc:
            return Rpc(
                pools,
                correlation=correlation,
                key=request.idempotency_key(),
                seconds=settings.call_seconds,
            )

        response = _respond(request, routes, rpc)
        response.headers.extend(SECURITY_HEADERS)
        response.headers["X-Correlation-Id"] = correlation
        return response(environ, start_response)

    return application


def _respond(request: ApiRequest, routes: Map, rpc: Callable[[], Rpc]) -> Response:
    started, services = time.monotonic(), None
    method = path = UNMATCHED
    try:
        route, ids = _match(request, routes)
        method, path = route.method, route.path
        services = rpc()
        response = route.view(request, services, **ids)
    except Exception as error:  # the outermost place: whatever happens, the client gets an answer
        response = problem(error, correlation_id=correlation_id.get())
    if services and services.replayed:
        # Refusals are kept and replayed like successes.
        response.headers["Idempotent-Replayed"] = "true"
    _log.info(
        "request",
        extra={
            # The route, not what was sent: that could hold anything.
            "method": method,
            "route": path,
            "status": response.status_code,
            "ms": round((time.monotonic() - started) * 1000, 1),
        },
    )
    return response


def _match(request: ApiRequest, routes: Map) -> tuple[Route, dict[str, Any]]:
    """:raises NotFound, MethodNotAllowed: from werkzeug."""
    adapter = routes.bind_to_environ(request.environ)
    return adapter.match()  # type: ignore[return-value]
