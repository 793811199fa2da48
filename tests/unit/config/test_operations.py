"""The operators' port answers three questions, and nothing else."""

import json
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from wsgiref.simple_server import make_server

import pytest
from werkzeug.test import Client

from config import vitals
from config.environments import operations_ports, operations_urls
from config.gateway_operations import _Handler, _workers_answer
from config.messaging.consumer import QueueConsumer
from config.messaging.outbox import OutboxRelay
from config.messaging.peers import Peers
from config.operations import application


def client(*, alive=None, ready=None, breakers=None):
    return Client(
        application(
            metrics=lambda: b"clinic_things 1.0\n",
            alive=lambda: alive or {},
            ready=lambda: {"checks": ready or {}, "breakers": breakers or {}},
        )
    )


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize(("verdict", "status"), [("ok", 200), ("failing", 503)])
def test_a_verdict_names_its_parts(path, verdict, status):
    checks = {"one": "ok", "two": verdict}
    answer = client(alive=checks, ready=checks).get(path)
    assert answer.status_code == status
    assert json.loads(answer.data) == {"status": verdict, "checks": checks}


def test_open_breakers_are_told_and_fail_nothing():
    answer = client(ready={"one": "ok"}, breakers={"doctor.get": "open"}).get("/readyz")
    assert answer.status_code == 200
    assert json.loads(answer.data) == {
        "status": "ok", "checks": {"one": "ok"}, "breakers": {"doctor.get": "open"}
    }


def test_metrics_are_text_for_prometheus():
    answer = client().get("/metrics")
    assert (answer.status_code, answer.data) == (200, b"clinic_things 1.0\n")
    assert answer.content_type.startswith("text/plain; version=")


@pytest.mark.parametrize("path", ["/", "", "/metrics/", "/livez/x", "/.env", "/readyz%0d%0a"])
def test_there_is_nothing_else(path):
    assert client().get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "NONSENSE"])
def test_nothing_can_be_done_there(method):
    answer = client().open("/metrics", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_a_head_has_no_body():
    answer = client().head("/metrics")
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == "18"


def container(*, killed=False, died=False, thread=None, consuming=True, started=True):
    consumer = QueueConsumer()
    consumer._gt, consumer.consuming = thread, consuming
    return SimpleNamespace(
        service_name="s",
        started=started,
        extensions={consumer},
        _being_killed=killed,
        _died=SimpleNamespace(ready=lambda: died),
    )


DEAD, ALIVE = SimpleNamespace(dead=True), SimpleNamespace(dead=False)


def test_a_service_that_runs_is_alive_and_ready():
    well = [container(thread=ALIVE)]
    assert vitals.alive(well) == vitals.ready(well) == {"s": "ok"}


@pytest.mark.parametrize(
    "state", [{"killed": True}, {"died": True}, {"thread": DEAD}], ids=["killed", "died", "deaf"]
)
def test_a_service_that_only_a_new_process_can_help_is_neither(state):
    ill = [container(**state)]
    assert vitals.alive(ill) == vitals.ready(ill) == {"s": "failing"}


def test_a_service_whose_relay_has_ended_is_not_alive():
    relay, service = OutboxRelay(None, outbox=None, turn=None, source="s"), container(thread=ALIVE)
    service.extensions.add(relay)
    for thread, verdict in ((None, "ok"), (ALIVE, "ok"), (DEAD, "failing")):
        relay.thread = thread
        assert vitals.alive([service]) == {"s": verdict}


@pytest.mark.parametrize("state", [{"consuming": False}, {"started": False}], ids=str)
def test_a_service_that_waits_for_its_broker_is_alive_and_not_ready(state):
    waiting = [container(thread=ALIVE, **state)]
    assert (vitals.alive(waiting), vitals.ready(waiting)) == ({"s": "ok"}, {"s": "failing"})


def peers(**states):
    peers = Peers(unavailable=ValueError)
    if states:
        peers.pool = SimpleNamespace(breakers=SimpleNamespace(states=lambda: states))
    return peers


def test_what_its_services_leave_alone_is_told_beside_whether_they_are_ready():
    well = container(thread=ALIVE)
    well.extensions |= {peers(a="open"), peers(b="half-open")}
    not_set_up = container(thread=ALIVE)
    not_set_up.extensions.add(peers())
    assert vitals.readiness(iter([well, not_set_up])) == {
        "checks": {"s": "ok"}, "breakers": {"a": "open", "b": "half-open"}
    }


@contextmanager
def worker(*, status, **answer):
    """Settings of a gateway whose worker answers so."""
    def answer_so(environ, start_response):
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    with make_server("127.0.0.1", 0, answer_so, handler_class=_Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield SimpleNamespace(host="127.0.0.1", port=server.server_port, call_seconds=60.0)
        thread.join()


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
def test_the_gateways_port_tells_what_its_worker_tells_open_breakers_too(status):
    told = {"checks": {"broker": "ok"}, "breakers": {"doctor.get": "open"}}
    with worker(status=status, **told) as settings:
        assert _workers_answer(settings) == told


def test_a_worker_that_tells_of_none_has_none_open():
    with worker(status="200 OK", checks={"broker": "ok"}) as settings:
        assert _workers_answer(settings) == {"checks": {"broker": "ok"}, "breakers": {}}


def test_a_worker_that_makes_no_sense_is_failing():
    with worker(status="200 OK", nonsense=1) as settings:
        assert _workers_answer(settings) == {"checks": {"workers": "failing"}}


def test_the_programs_of_a_stack_have_ports_side_by_side_from_the_one_that_is_set():
    settings = SimpleNamespace(host="127.0.0.1", operations_port=9100)
    ports = operations_ports(["one", "two-background"], settings)
    assert operations_urls(ports, settings) == {
        "ONE_OPERATIONS_URL": "http://127.0.0.1:9100",
        "TWO_BACKGROUND_OPERATIONS_URL": "http://127.0.0.1:9101",
    }


def test_each_program_of_a_stack_has_some_free_port_where_none_is_set():
    settings = SimpleNamespace(host="127.0.0.1", operations_port=0)
    assert len({*operations_ports(["one", "two", "three"], settings).values()}) == 3
