"""Each program shows operators how it is, on a port of its own."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from config.process import DYING_SECONDS
from schemas.errors import Unavailable
from tests.broker_proxy import broker_proxy
from tests.systems import System, asked, clinic, embedded_system, free_port, raising, running
from tests.waiting import PATIENCE, wait_for

SECONDS = PATIENCE

MARK = "Marrow-Markerson"


@contextmanager
def program(
    stack: System, name: str, folder: Path
) -> Iterator[tuple[str, subprocess.Popen[str], int]]:
    """Another one of a stack's; where its operators look, the process, and its PORT."""
    port, operations = free_port(), free_port()
    environ = {**stack.environ, "PORT": str(port), "OPERATIONS_PORT": str(operations),
               "TMPDIR": str(folder)}
    with running(clinic("serve", name), environ=environ, log=folder / f"{name}.log") as process:
        url = f"http://127.0.0.1:{operations}"
        wait_for(lambda: status(f"{url}/readyz") == 200)
        yield url, process, port


def status(url: str) -> int:
    try:
        return asked(url).status_code
    except httpx.TransportError:
        return 0


def leave(uri: str, method: str, *args: Any) -> None:
    """Call the service ``raising`` without an interest in the answer."""
    context = new_context(correlation="c", seconds=1, key="k")
    pool = Pool(uri, size=1, unavailable=Unavailable)
    try:
        pool.ask(
            Request("raising", method, args),
            headers=headers_of(context),
            deadline=context[DEADLINE],
        )
    finally:
        pool.close()


def test_a_service_shows_its_metrics_and_nothing_that_was_sent(
    stack: System, tmp_path: Path
) -> None:
    with program(stack, "patient", tmp_path) as (url, _, _), stack.client() as http:
        person = {
            "name": MARK, "phone": "+442079460958", "dob": "1985-12-10", "address": MARK
        }
        # It answers about half of what is asked.
        for _ in range(8):
            made = http.post("/patients", json=person)
            assert made.status_code == 201, made.text
            number = made.json()["id"]
            http.get(f"/patients/{number}")
            http.get("/patients", params={"q": MARK})
        shown = wait_for(lambda: _if_it_has(url, 'method="patient.get"'))
        assert "process_resident_memory_bytes" in shown
        assert MARK.lower() not in shown.lower()
        labels = set(re.findall(r'="([^"]*)"', shown))
        assert not [each for each in labels if re.fullmatch(r"[0-9a-f-]{32,36}", each)]


def _if_it_has(url: str, text: str) -> str:
    shown = asked(f"{url}/metrics").text
    return shown if text in shown else ""


@pytest.mark.parametrize(
    ("request_", "status_"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
         b"405"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"nonsense\r\n\r\n", b"400"),
    ],
    ids=["elsewhere", "posting", "too long", "nonsense"],
)
@pytest.mark.parametrize("name", ["doctor", "gateway"])
def test_bad_requests_are_refused_without_a_word_of_them(
    stack: System, programs: dict[str, str], name: str, request_: bytes, status_: bytes
) -> None:
    answer = _said(programs[name], request_)
    assert answer.split(maxsplit=2)[1] == status_, answer
    assert b"xxxx" not in answer and b"nonsense" not in answer


def _said(url: str, request: bytes) -> bytes:
    where = httpx.URL(url)
    with socket.create_connection((where.host, where.port), timeout=SECONDS) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    return answer


@pytest.fixture(scope="module")
def programs(
    stack: System, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Where operators look at a service, and at a gateway."""
    folder = tmp_path_factory.mktemp("programs")
    with program(stack, "doctor", folder) as (service, _, _):
        with program(stack, "gateway", folder) as (gateway, _, _):
            yield {"doctor": service, "gateway": gateway}


def test_the_gateway_adds_up_its_workers_and_cleans_up_after_them(
    stack: System, tmp_path: Path
) -> None:
    with program(stack, "gateway", tmp_path) as (url, process, port):
        (folder,) = tmp_path.glob("clinic-metrics-*")
        assert folder.stat().st_mode & 0o077 == 0
        assert asked(f"{url}/livez").json() == {"status": "ok", "checks": {"workers": "ok"}}
        assert asked(f"{url}/readyz").json() == asked(f"http://127.0.0.1:{port}/readyz").json()
        assert "process_resident_memory_bytes" in asked(f"{url}/metrics").text
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        assert not folder.exists()


def test_a_port_that_is_taken_is_named_with_its_setting(stack: System, tmp_path: Path) -> None:
    taken = stack.url.rpartition(":")[2]
    for name in ("doctor", "gateway"):
        environ = {**stack.environ, "PORT": str(free_port()), "OPERATIONS_PORT": taken}
        ended = subprocess.run(
            clinic("serve", name), env=environ, capture_output=True, text=True, timeout=PATIENCE
        )
        assert ended.returncode == 1
        assert "Set OPERATIONS_PORT to another one." in ended.stderr


def test_a_service_without_its_consumer_is_not_alive(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    uri = addresses["AMQP_URI"]
    with raising(uri, log=tmp_path / "log", operations_port=port) as service:
        assert status(f"{url}/livez") == status(f"{url}/readyz") == 200
        leave(uri, "lose_consumer")
        wait_for(lambda: status(f"{url}/livez") == 503)
        assert asked(f"{url}/readyz").json()["checks"] == {"raising": "failing"}
        assert service.poll() is None


def test_a_service_that_hangs_while_it_is_killed_takes_its_process_along(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    uri = addresses["AMQP_URI"]
    with raising(uri, log=tmp_path / "log") as service:
        leave(uri, "hang_while_dying")
        service.wait(DYING_SECONDS + PATIENCE)
        assert service.returncode not in (0, None)


def test_a_service_whose_broker_is_gone_is_alive_and_not_ready(
    addresses: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with broker_proxy(addresses["AMQP_URI"]) as proxy:
        with raising(proxy.uri, log=tmp_path / "log", operations_port=port):
            proxy.cut()
            wait_for(lambda: status(f"{url}/readyz") == 503)
            assert status(f"{url}/livez") == 200
            proxy.restore()
            wait_for(lambda: status(f"{url}/readyz") == 200)


def test_embedded_mode_has_the_port_too(tmp_path: Path) -> None:
    port = free_port()
    with embedded_system(tmp_path, OPERATIONS_PORT=str(port)):
        answer = asked(f"http://127.0.0.1:{port}/readyz")
        assert answer.status_code == 200, answer.text
        assert {"patient", "doctor", "appointment"} <= set(json.loads(answer.text)["checks"])
