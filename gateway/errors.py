"""The one table: from the class of an error to a status and a problem body (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from nameko.exceptions import RemoteError
from werkzeug import Response
from werkzeug.exceptions import HTTPException

from config.messaging.call import DeadlineExceeded
from gateway.request import LARGEST_BODY
from gateway.responses import as_json
from schemas import errors

_log = logging.getLogger("gateway")

RETRY_AFTER_SECONDS = 1

STATUS: dict[type[Exception], HTTPStatus] = {
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Stale: HTTPStatus.PRECONDITION_FAILED,
    errors.VersionNeeded: HTTPStatus.PRECONDITION_REQUIRED,
    errors.Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.SERVICE_UNAVAILABLE,
}

# Refusals of the HTTP layer itself: code, and a detail that says more than werkzeug's where it can.
HTTP: dict[HTTPStatus, tuple[str, str | None]] = {
    HTTPStatus.BAD_REQUEST: ("unreadable", None),
    HTTPStatus.NOT_FOUND: ("not_found", "There is nothing at this address."),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "method_not_allowed", "This address does not take this method; see the Allow header."
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "too_large", f"The body may have at most {LARGEST_BODY} bytes."
    ),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("unsupported_media_type", None),
}

RETRIED = (errors.Unavailable, errors.RequestInFlight, DeadlineExceeded)


def problem(error: Exception, *, correlation_id: str) -> Response:
    """The answer to a request that ended in ``error``; the unexpected tells nothing but its id."""
    if isinstance(error, HTTPException):
        return _http_problem(error, correlation_id)
    status = _status(error)
    if status is None:
        _log.error("unexpected error", extra={"error": _name(error)}, exc_info=error)
        detail = "Something went wrong here. The correlation id helps to find out what."
        return _body(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", detail, correlation_id)
    members = error.members if isinstance(error, errors.SchedulingError) else {}
    code = getattr(error, "code", errors.Unavailable.code)
    response = _body(status, code, str(error), correlation_id, members)
    if isinstance(error, RETRIED):
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, errors.TooManyAttempts):
        response.headers["Retry-After"] = str(error.seconds)
    if isinstance(error, errors.Unauthenticated):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_problem(error: HTTPException, correlation_id: str) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    code, detail = HTTP.get(status, (status.phrase.lower().replace(" ", "_"), None))
    detail = detail or error.description or status.description
    response = _body(status, code, detail, correlation_id)
    # Allow of 405 and the like; the HTML body's own headers do not apply.
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _body(
    status: HTTPStatus,
    code: str,
    detail: str,
    correlation_id: str,
    members: Mapping[str, object] | None = None,
) -> Response:
    body: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "code": code,
        "correlationId": correlation_id,
        **(members or {}),
    }
    return as_json(body, status=status.value, content_type="application/problem+json")


def _status(error: Exception) -> HTTPStatus | None:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), None)


def _name(error: Exception) -> str:
    return str(error.exc_type) if isinstance(error, RemoteError) else type(error).__name__
