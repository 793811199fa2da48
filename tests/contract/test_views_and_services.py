"""Each view calls an RPC method that exists, with arguments that fit."""

import inspect
from typing import Any

import pytest
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from werkzeug.test import EnvironBuilder

from config.messaging.client import Answer
from config.programs import catalogue
from gateway.request import ApiRequest
from gateway.routes import ROUTES, Route

SERVICES = {
    program.service().name: program.service()
    for program in catalogue().programs
    if program.name == program.service().name
}
SIGNED = [route for route in ROUTES if route.path not in ("/livez", "/readyz")]


class Recorder:
    """Stands in for the services: notes what a view asks."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, tuple[Any, ...]]] = []

    def ask(self, service: str, method: str, *args: Any) -> Answer:
        self.asked.append((service, method, args))
        return Answer({"id": 1})


def call(route: Route, rpc: Recorder) -> None:
    builder = EnvironBuilder(method=route.method, json={})
    ids = {part[1:-1]: 1 for part in route.path.split("/") if part.startswith("<")}
    route.view(ApiRequest(builder.get_environ()), rpc, **ids)


@pytest.mark.parametrize("route", SIGNED, ids=lambda route: f"{route.method} {route.path}")
def test_each_views_call_fits_the_services_method(route: Route) -> None:
    rpc = Recorder()
    call(route, rpc)
    assert rpc.asked
    for service, method, args in rpc.asked:
        function = getattr(SERVICES[service], method)
        assert hasattr(function, ENTRYPOINT_EXTENSIONS_ATTR), f"{service}.{method} is no RPC method"
        inspect.signature(function).bind(None, *args)


@pytest.mark.parametrize("service", SERVICES)
def test_every_rpc_method_that_the_contract_names_so_far_is_there(service: str) -> None:
    named = {
        "patient": {"create", "get", "update"},
        "doctor": {"create", "get", "update", "availability"},
        "appointment": {"schedule", "get", "cancel"},
    }
    methods = inspect.getmembers(
        SERVICES[service], lambda member: hasattr(member, ENTRYPOINT_EXTENSIONS_ATTR)
    )
    assert named[service] <= {name for name, _ in methods}
