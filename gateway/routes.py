"""The one table of URLs: what is where, who may call it, and at what rate.

A route without a rule of who may call it does not start. Sign-in comes later; until then every
rule reads `anyone`, and nothing enforces the rate classes yet.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from werkzeug import Response
from werkzeug.routing import IntegerConverter, Map, Rule

from gateway.views import appointments, doctors, health, patients
from schemas.fields import MAX_ID

ROLES = frozenset(("anyone",))
RATE_CLASSES = frozenset(("default", "registration", "booking", "unlimited"))


class IdConverter(IntegerConverter):
    """A positive 64-bit integer in ASCII digits; werkzeug's own takes those of every script."""

    regex = "[0-9]+"

    def __init__(self, map: Map) -> None:
        super().__init__(map, min=1, max=MAX_ID)


@dataclass(frozen=True)
class Route:
    """``{id}`` segments are written as ``<name>`` and are positive 64-bit integers."""

    method: str
    path: str
    view: Callable[..., Response]
    who: frozenset[str]
    rate: str


def _route(
    method: str, path: str, view: Callable[..., Response], who: str, rate: str = "default"
) -> Route:
    return Route(method, path, view, frozenset(who.split()), rate)


ROUTES = (
    _route("POST", "/patients", patients.create, "anyone", "registration"),
    _route("GET", "/patients/<patient_id>", patients.get, "anyone"),
    _route("PUT", "/patients/<patient_id>", patients.replace, "anyone"),
    _route("POST", "/doctors", doctors.create, "anyone", "registration"),
    _route("GET", "/doctors/<doctor_id>", doctors.get, "anyone"),
    _route("PUT", "/doctors/<doctor_id>", doctors.replace, "anyone"),
    _route("POST", "/appointments", appointments.create, "anyone", "booking"),
    _route("GET", "/appointments/<appointment_id>", appointments.get, "anyone"),
    _route("DELETE", "/appointments/<appointment_id>", appointments.cancel, "anyone", "booking"),
    _route("GET", "/livez", health.alive, "anyone", "unlimited"),
    _route("GET", "/readyz", health.ready, "anyone", "unlimited"),
)


def url_map(routes: Iterable[Route] = ROUTES) -> Map:
    """werkzeug's map of ``routes``.

    :raises ValueError: naming the route that says not who may call it, or at what rate.
    """
    return Map(
        [_rule(route) for route in routes],
        strict_slashes=False,
        converters={"id": IdConverter},
        # A redirect from a doubled slash would answer in HTML.
        merge_slashes=False,
    )


def _rule(route: Route) -> Rule:
    if not route.who or not route.who <= ROLES:
        raise ValueError(f"{route.method} {route.path} does not say who may call it")
    if route.rate not in RATE_CLASSES:
        raise ValueError(f"{route.method} {route.path} has no known rate class")
    path = route.path.replace("<", "<id:")
    return Rule(path, methods=[route.method], endpoint=route)
