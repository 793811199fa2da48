"""The one table of URLs: what is where, who may call it, and at what rate.

A rule names roles, each with the scope of gateway/access.py that bounds it: ``patient:own staff``
lets the front desk reach every record and patients their own. A route without a rule stops
the start.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from werkzeug import Response
from werkzeug.routing import IntegerConverter, Map, Rule

from gateway.access import ANYONE, Scope, parse_rule
from gateway.rates import CLASSES
from gateway.views import (
    accounts,
    appointments,
    audit,
    auth,
    doctors,
    health,
    patients,
    rights,
    schedules,
    slots,
)
from schemas.fields import MAX_ID


class IdConverter(IntegerConverter):
    """A positive 64-bit integer in ASCII digits; werkzeug's own takes those of every script."""

    regex = "[0-9]+"

    def __init__(self, map: Map) -> None:
        super().__init__(map, min=1, max=MAX_ID)


@dataclass(frozen=True)
class Route:
    """``{id}`` segments are written as ``<name>`` and are positive 64-bit integers.

    ``query`` names the parameters that it takes; ``personal`` routes are audited: they tell or
    change something about people; ``copy`` is the kind of copy (gateway.cache) that may serve.
    """

    method: str
    path: str
    view: Callable[..., Response]
    who: str
    rate: str = "default"
    query: str = ""
    personal: bool = True
    copy: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


# Of every list.
PAGE = "limit cursor"

ROUTES = (
    Route("POST", "/patients", patients.create, "anyone signed-in", "registration"),
    Route("GET", "/patients", patients.listed, "staff admin", "search", f"q email {PAGE}"),
    Route("GET", "/patients/<patient_id>", patients.get,
          "patient:own doctor:treated staff admin", copy="patient"),
    Route("PUT", "/patients/<patient_id>", patients.replace, "patient:own staff admin"),
    Route("GET", "/patients/<patient_id>/export", rights.export, "patient:own admin"),
    Route("DELETE", "/patients/<patient_id>", rights.erase, "patient:own admin"),
    Route("PUT", "/patients/<patient_id>/legal-hold", rights.hold, "admin"),
    Route("DELETE", "/patients/<patient_id>/legal-hold", rights.release, "admin"),
    Route("GET", "/patients/<patient_id>/access-log", audit.access_log,
          "patient:own admin", "search", PAGE),
    Route("POST", "/doctors", doctors.create, "admin"),
    Route("GET", "/doctors/<doctor_id>", doctors.get, "signed-in", copy="doctor"),
    Route("PUT", "/doctors/<doctor_id>", doctors.replace, "doctor:own admin"),
    Route("GET", "/doctors", doctors.listed, "signed-in", "search", f"q speciality {PAGE}"),
    Route("GET", "/doctors/<doctor_id>/schedule", schedules.get, "signed-in", copy="schedule"),
    Route("PUT", "/doctors/<doctor_id>/schedule", schedules.replace, "doctor:own staff admin"),
    Route("POST", "/doctors/<doctor_id>/time-off", schedules.add_time_off,
          "doctor:own staff admin", query="dryRun"),
    Route("GET", "/doctors/<doctor_id>/time-off", schedules.times_off,
          "doctor:own staff admin", "search", PAGE),
    Route("DELETE", "/doctors/<doctor_id>/time-off/<time_off_id>", schedules.remove_time_off,
          "doctor:own staff admin"),
    Route("GET", "/doctors/<doctor_id>/slots", slots.of_doctor, "signed-in", "search",
          "from to durationMinutes"),
    Route("GET", "/doctors/<doctor_id>/slots/explain", slots.explain, "signed-in", "search",
          "start durationMinutes"),
    Route("GET", "/slots", slots.first, "signed-in", "search",
          "speciality from durationMinutes limit"),
    Route("POST", "/appointments", appointments.create, "patient staff admin", "booking"),
    Route("GET", "/appointments", appointments.listed, "signed-in", "search",
          f"patientId doctorId status from to unresolved uncovered {PAGE}"),
    Route("GET", "/appointments/<appointment_id>", appointments.get,
          "patient:party doctor:party staff admin"),
    Route("PATCH", "/appointments/<appointment_id>", appointments.reschedule,
          "patient:party staff admin", "booking"),
    Route("DELETE", "/appointments/<appointment_id>", appointments.cancel,
          "patient:party doctor:party staff admin", "booking", "reason"),
    Route("POST", "/appointments/<appointment_id>/status", appointments.set_status,
          "doctor:party staff admin", "booking"),
    Route("GET", "/appointments/<appointment_id>/history", appointments.history,
          "patient:party doctor:party staff admin"),
    Route("GET", "/appointments/<appointment_id>/calendar.ics", appointments.calendar,
          "patient:party doctor:party staff admin"),
    Route("POST", "/auth/login", auth.login, "anyone", "sign-in"),
    Route("POST", "/auth/refresh", auth.refresh, "anyone"),
    Route("POST", "/auth/logout", auth.logout, "signed-in"),
    Route("POST", "/auth/password", auth.password, "signed-in", "sign-in"),
    Route("GET", "/me", auth.me, "signed-in"),
    Route("POST", "/accounts", accounts.create, "admin"),
    Route("GET", "/accounts", accounts.listed, "admin", "search", PAGE),
    Route("PATCH", "/accounts/<account_id>", accounts.patch, "admin"),
    Route("GET", "/audit", audit.listed, "admin", "search", f"subject actor from to {PAGE}"),
    Route("GET", "/livez", health.alive, "anyone", "unlimited", personal=False),
    Route("GET", "/readyz", health.ready, "anyone", "unlimited", personal=False),
)


@dataclass(frozen=True, eq=False)
class Matched:
    """What werkzeug's map leads to: a route, and its rule read. Itself its only equal: the map
    wants something to hash."""

    route: Route
    rule: Mapping[str, Scope]
    query: frozenset[str]

    @property
    def asks_who(self) -> bool:
        """Whether it matters who calls. Else a token is not looked at: who refreshes an old one
        may send it along, and a probe must not need the database."""
        return self.rule.keys() != {ANYONE}


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
    try:
        rule = parse_rule(route.who)
    except ValueError as wrong:
        raise ValueError(f"{route.name}: {wrong}") from wrong
    if route.rate not in CLASSES:
        raise ValueError(f"{route.name} has no known rate class")
    query = frozenset(route.query.split())
    path = route.path.replace("<", "<id:")
    return Rule(path, methods=[route.method], endpoint=Matched(route, rule, query))
