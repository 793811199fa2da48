"""Each call of the gateway is for an RPC method that exists, with arguments that fit."""

import inspect
import time
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from werkzeug.test import EnvironBuilder

from config.messaging.client import Answer, Request
from config.migration import upgrade
from config.programs import catalogue
from gateway.access import check, parse_rule
from gateway.accounts import SignedIn
from gateway.office import AUDIT, DATABASE, Office
from gateway.request import ApiRequest
from gateway.routes import ROUTES, Route
from gateway.visit import Visit
from schemas.accounts import ADMIN, DOCTOR, PATIENT
from schemas.errors import SchedulingError
from tests.e2e.desk import login_body, password, patient_body
from tests.unit.gateway.fakes import FakePool, embedded_in, office_on

SERVICES = {
    program.service().name: program.service()
    for program in catalogue().programs
    if program.name == program.service().name
}
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)
NINE, TEN = "2027-03-01T09:00:00Z", "2027-03-01T10:00:00Z"
RECORD = {
    "id": 1, "patientId": 1, "doctorId": 1, "name": "", "speciality": "", "timezone": "",
    "start": NINE, "date": NINE, "end": TEN, "createdAt": NINE, "updatedAt": NINE,
    "status": "booked", "version": 1, "items": [], "next": None,
}
ANSWERS = {
    "patient.export": {"patient": RECORD, "legalHold": None},
    "appointment.export": [RECORD],
    "appointment.affected": [[1]],
    # Else nobody is asked whom it affects.
    "doctor.find_time_off": {"items": [RECORD], "next": None},
}
BODIES = {
    "POST /patients": patient_body(password=password()),
    "POST /appointments/<appointment_id>/status": {"status": "arrived"},
    "POST /doctors/<doctor_id>/time-off": {"start": NINE, "end": TEN},
    "POST /accounts": login_body(PATIENT, subject=1),
}
# These are about the gateway's own tables.
ASK_NOBODY = {
    "GET /patients/<patient_id>/access-log", "POST /auth/login", "POST /auth/refresh",
    "POST /auth/logout", "POST /auth/password", "GET /me", "GET /accounts",
    "PATCH /accounts/<account_id>", "GET /audit", "GET /livez", "GET /readyz",
}
ASKING = [route for route in ROUTES if route.name not in ASK_NOBODY]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    settings = embedded_in(tmp_path_factory.mktemp("office"))
    for name in (DATABASE, AUDIT):
        upgrade(scripts=catalogue().databases[name], url=settings.database(name))
    pool = FakePool()
    told = {name: Answer(answer) for name, answer in ANSWERS.items()}
    pool.answers = defaultdict(lambda: Answer(RECORD), told)
    return office_on(settings, pool)


def asked(office: Office, route: Route, role: str) -> list[Request]:
    """What the services are asked for the sake of one request; what becomes of it is no matter."""
    pool: Any = office.pools.calls
    pool.asked.clear()
    builder = EnvironBuilder(
        method=route.method, json=BODIES.get(route.name, {}), headers={"If-Match": '"1"'}
    )
    visit = Visit(
        request=ApiRequest(builder.get_environ()),
        office=office,
        correlation="abc",
        deadline=time.time() + 20,
        signed_in=SignedIn("session", 1, role, 1, FOREVER),
    )
    ids = {part[1:-1]: 1 for part in route.path.split("/") if part.startswith("<")}
    with suppress(SchedulingError):
        check(visit, parse_rule(route.who), ids)
        route.view(visit, **ids)
    return list(pool.asked)


@pytest.mark.parametrize("route", ASKING, ids=lambda route: route.name)
def test_each_call_of_a_route_fits_the_services_method(office: Office, route: Route) -> None:
    requests = [each for role in (PATIENT, DOCTOR, ADMIN) for each in asked(office, route, role)]
    assert requests
    for request in requests:
        function = getattr(SERVICES[request.service], request.method)
        assert hasattr(function, ENTRYPOINT_EXTENSIONS_ATTR), f"{request} is no RPC method"
        inspect.signature(function).bind(None, *request.args)


@pytest.mark.parametrize("service", SERVICES)
def test_every_rpc_method_that_the_contract_names_is_there(service: str) -> None:
    named = {
        "patient": {"create", "get", "update", "find", "export", "erase"},
        "doctor": {
            "create", "get", "update", "find", "get_schedule", "set_schedule", "add_time_off",
            "remove_time_off", "availability", "slots",
        },
        "appointment": {"schedule", "get", "find", "cancel", "reschedule", "set_status"},
    }
    methods = inspect.getmembers(
        SERVICES[service], lambda member: hasattr(member, ENTRYPOINT_EXTENSIONS_ATTR)
    )
    assert named[service] <= {name for name, _ in methods}
