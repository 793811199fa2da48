"""Pages of other origins: none may call, unless the settings name them (CORS, Fetch standard)."""

from collections.abc import Set

from werkzeug import Response

from gateway.request import ApiRequest

METHODS = "GET, POST, PUT, PATCH, DELETE"
SENT = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Correlation-Id"
READABLE = "Age, Content-Disposition, ETag, Idempotent-Replayed, Link, Location, RateLimit, " \
    "RateLimit-Policy, Retry-After, Warning, X-Correlation-Id"
PREFLIGHT_SECONDS = "600"


def preflight(request: ApiRequest, origins: Set[str]) -> Response | None:
    """The answer to a browser that asks whether a page may call, when that page may."""
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if not asks or request.headers.get("Origin") not in origins:
        return None
    allowed = {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": SENT,
        "Access-Control-Max-Age": PREFLIGHT_SECONDS,
    }
    return Response(status=204, headers=allowed)


def open_to(request: ApiRequest, response: Response, origins: Set[str]) -> None:
    """Let the page that sent ``request`` read ``response``, when it is of one of ``origins``."""
    if not origins:
        return
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = str(origin)
        response.headers["Access-Control-Expose-Headers"] = READABLE
