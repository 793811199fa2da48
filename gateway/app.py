"""The WSGI application: match, identify, check, view, record, response."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug import Response
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import Map

from config.audit.trail import NotRecorded
from config.http_edge import SECURITY_HEADERS
from config.logs import correlation_id
from config.settings import Settings
from gateway import access, audit, cors
from gateway.admission import Admission
from gateway.arrival import arrive
from gateway.errors import problem
from gateway.first_people import check_first_administrator, make_first_administrator
from gateway.office import Office, open_office
from gateway.rates import UNLIMITED
from gateway.request import ApiRequest
from gateway.routes import Matched, Route, url_map
from gateway.visit import Visit
from schemas.errors import Unavailable

_log = logging.getLogger("gateway")

UNMATCHED = "-"
# In one process: more would wait longer than their callers do, and take their memory meanwhile.
MOST_IN_FLIGHT = 256
GATEWAY = "gateway"
# Added as they are: werkzeug looks at each header that it is given, of each answer.
ALWAYS = tuple(SECURITY_HEADERS.items())
# RFC 7234, section 5.5.2.
OUTDATED = '111 - "Revalidation Failed"'


def create_app(settings: Settings) -> "Application":
    """The gateway as a WSGI application. It connects to its servers with the first request."""
    check_first_administrator(settings)
    office = open_office(settings)
    make_first_administrator(office)
    return Application(office, url_map(), Admission(MOST_IN_FLIGHT))


@dataclass(frozen=True)
class Application:
    """``close`` it when the process ends: what waits for the audit trail is written then."""

    office: Office
    routes: Map
    admission: Admission

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        proxies = self.office.settings.trusted_proxies
        # Only what our own proxies say about where a request came from counts.
        if proxies:
            serve = ProxyFix(self._serve, x_for=proxies, x_proto=0, x_host=0)
            return serve(environ, start_response)
        return self._serve(environ, start_response)

    def close(self) -> None:
        self.office.close()

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started = time.time()
        # Not to be found in the environ: only the garbage collector could free the two again.
        request = ApiRequest(environ, populate_request=False)
        visit = Visit(
            request=request,
            office=self.office,
            correlation=request.correlation_id(),
            deadline=started + self.office.settings.call_seconds,
        )
        correlation_id.set(visit.correlation)
        response = self._respond(visit)
        self._finish(visit, response)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, *ALWAYS], *rest)

        return response(environ, start)

    def _respond(self, visit: Visit) -> Response:
        started = time.monotonic()
        allowed = cors.preflight(visit.request, self.office.settings.cors_origins)
        if allowed is not None:
            return allowed
        found = _Found()
        with self.admission.entering() as admitted:
            response = _guarded(visit, lambda: self._answer(visit, found, admitted=admitted))
            route, answer = found.route, response
            if visit.heard and route and route.personal:
                response = _guarded(visit, lambda: _recorded(visit, route, found.ids, answer))
        _log_request(visit, route, response, started)
        return response

    def _answer(self, visit: Visit, found: "_Found", *, admitted: bool) -> Response:
        matched, found.ids = self._match(visit, admitted=admitted)
        found.route = matched.route
        if not admitted and matched.route.rate != UNLIMITED:
            raise Unavailable(GATEWAY)
        arrive(visit, matched, found.ids)
        visit.request.check_overrides()
        access.check(visit, matched.rule, found.ids)
        visit.request.check_query(matched.query)
        return matched.route.view(visit, **found.ids)

    def _match(self, visit: Visit, *, admitted: bool) -> tuple[Matched, dict[str, Any]]:
        """
        :raises NotFound, MethodNotAllowed: from werkzeug; they count as requests, too.
        :raises Unavailable: for these without room.
        """
        adapter = self.routes.bind_to_environ(visit.request.environ)
        try:
            return adapter.match()  # type: ignore[return-value]
        except HTTPException as unmatched:
            if not admitted:
                raise Unavailable(GATEWAY) from unmatched
            arrive(visit, None, {})
            raise

    def _finish(self, visit: Visit, response: Response) -> None:
        if visit.replayed:
            # Refusals are kept and replayed like successes.
            response.headers["Idempotent-Replayed"] = "true"
        if visit.rate:
            response.headers.extend(visit.rate.headers)
        if visit.outdated and response.status_code < HTTPStatus.BAD_REQUEST:
            response.headers["Age"] = str(visit.outdated.age(now=time.time()))
            response.headers["Warning"] = OUTDATED
        response.headers["X-Correlation-Id"] = visit.correlation
        cors.open_to(visit.request, response, self.office.settings.cors_origins)


@dataclass
class _Found:
    """Where a request leads to, as far as that is known when it is refused."""

    route: Route | None = None
    ids: dict[str, Any] = field(default_factory=dict)


def _guarded(visit: Visit, work: Callable[[], Response]) -> Response:
    try:
        return work()
    except Exception as error:  # the outermost place: the client gets an answer, whatever it is
        return problem(error, correlation_id=visit.correlation)


def _recorded(visit: Visit, route: Route, ids: dict[str, Any], response: Response) -> Response:
    """``response``, once it is on record.

    :raises Unavailable: what cannot be recorded is not answered.
    """
    try:
        audit.record(visit, action=route.name, ids=ids, outcome=response.status_code)
    except NotRecorded as missing:
        visit.replayed = False
        raise Unavailable("audit") from missing
    return response


def _log_request(visit: Visit, route: Route | None, response: Response, started: float) -> None:
    _log.info(
        "request",
        extra={
            # The route, not what was sent: that could hold anything.
            "method": route.method if route else UNMATCHED,
            "route": route.path if route else UNMATCHED,
            "status": response.status_code,
            "caller": visit.caller.identity,
            "ms": round((time.monotonic() - started) * 1000, 1),
        },
    )
