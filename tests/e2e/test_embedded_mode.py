"""`clinic run`: what a newcomer sees, how it ends, what stays, and why it may not start."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.desk import (
    book,
    morning,
    problem,
    register_doctor,
    register_patient,
    signed_in,
    stored,
    unique,
)
from tests.systems import (
    QUICK,
    SIGN_IN,
    System,
    asked,
    clinic,
    free_port,
    plain_environ,
    running,
    wait_until_ready,
)
from tests.waiting import PATIENCE

READY_SECONDS = 10


@contextmanager
def started(folder: Path) -> Iterator[tuple[System, "subprocess.Popen[str]"]]:
    """A system with data of its own, and its process to send signals to."""
    environ = plain_environ(**SIGN_IN, PORT=str(free_port()), DATA_DIR=str(folder / "data"))
    url = f"http://127.0.0.1:{environ['PORT']}"
    with running(clinic("run"), environ=environ, log=folder / "embedded.log") as process:
        wait_until_ready(url, process, logs=folder)
        yield System(url, environ, folder), process
        process.kill()  # the gentle end is for the tests of the end


def refusal(**settings: str) -> str:
    """The one line in which a start with these settings is refused."""
    environ = plain_environ(**settings)
    ended = subprocess.run(
        clinic("run"), env=environ, capture_output=True, text=True, timeout=PATIENCE
    )
    assert ended.returncode != 0
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("Error: ") and lines[0].endswith(".")
    return lines[0]


# The first minute


@dataclass(frozen=True)
class Fresh:
    system: System
    worked: float
    data: Path

    def client(self, role: str) -> httpx.Client:
        """Of whom the banner shows for ``role``."""
        login = re.search(rf"^  {role} +(\S+) +(\S+)$", self.system.log_text(), re.MULTILINE)
        assert login, self.system.log_text()
        return signed_in(self.system, *login.groups())


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    """One that has just started, in a clinic near Berlin, and what that took of a processor."""
    folder = tmp_path_factory.mktemp("fresh")
    environ = plain_environ(
        # With hashes as they are, and all else that tests make quicker.
        **dict.fromkeys(QUICK, ""),
        PORT=str(free_port()),
        DATA_DIR=str(folder / "data"),
        CLINIC_TIMEZONE="Europe/Berlin",
        PHONE_REGION="GB",
        # Those of the real mode, which are not looked at here.
        AMQP_URI="amqp://nobody.invalid",
        DATABASE_URL="nonsense",
        REDIS_URL="nonsense",
    )
    url = f"http://127.0.0.1:{environ['PORT']}"
    with running(clinic("run"), environ=environ, log=folder / "embedded.log") as process:
        wait_until_ready(url, process, logs=folder)
        worked = processor_seconds(process.pid)
        yield Fresh(System(url, environ, folder), worked, folder / "data")
        process.kill()


def processor_seconds(pid: int) -> float:
    """What the process has worked so far, however long it waited for others."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_it_is_ready_after_ten_seconds_of_work_at_most(fresh: Fresh) -> None:
    assert fresh.worked < READY_SECONDS
    parts = ("broker", "gateway", "audit", "patient", "doctor", "appointment")
    well = {"status": "ok", "checks": dict.fromkeys(parts, "ok")}
    with fresh.system.caller() as nobody:
        assert nobody.get("/readyz").json() == well


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")
def test_the_three_commands_of_the_banner_work_as_pasted(fresh: Fresh) -> None:
    banner = fresh.system.log_text()
    assert f"ready at {fresh.system.url} " in banner
    commands = [line for line in banner.splitlines() if re.match(r"(TOKEN=\$\()?curl ", line)]
    assert len(commands) == 3
    shown = pasted("\n".join(commands), environ=fresh.system.environ)
    assert re.findall(r"HTTP/1.1 (\d+)", shown) == ["201", "200"]
    assert '"status":"booked"' in shown and '"role":"patient"' in shown


def pasted(command: str, *, environ: Mapping[str, str]) -> str:
    shown = subprocess.run(
        ["bash", "-c", command], env=dict(environ), capture_output=True, text=True, timeout=PATIENCE
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def test_the_banner_says_where_the_data_is_and_how_to_stop(fresh: Fresh) -> None:
    banner = fresh.system.log_text()
    assert str(fresh.data) in banner
    assert f"{fresh.system.url}/readyz" in banner
    assert "Ctrl-C" in banner


@pytest.mark.parametrize("role", ["admin", "staff", "doctor", "patient"])
def test_each_login_of_the_banner_signs_in_and_says_which_role_it_is(
    fresh: Fresh, role: str
) -> None:
    with fresh.client(role) as client:
        assert client.get("/me").json()["role"] == role


def test_the_clinics_zone_and_phone_region_are_followed(fresh: Fresh) -> None:
    with fresh.client("admin") as client:
        doctor = register_doctor(client, phone="020 7946 0321", timezone=None)
    assert (doctor["phone"], doctor["timezone"]) == ("+442079460321", "Europe/Berlin")


# The end


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM] * 2],
    ids=["SIGTERM", "Ctrl-C", "SIGTERM twice"],
)
def test_it_ends_when_asked_with_code_0_and_a_word_about_the_data(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    with started(tmp_path) as (system, process):
        with system.client() as client:  # with a connection open, as browsers keep them
            stored(client.post("/patients", json=PATIENT))
            for number in signals:
                process.send_signal(number)
                time.sleep(0.05)  # so that the kernel does not merge the two
            assert process.wait(PATIENCE) == 0
        shown = system.log_text()
    assert str(tmp_path / "data") in shown.splitlines()[-1]
    assert "Traceback" not in shown


PATIENT = {"name": "Ada", "phone": "+442079460958", "dob": "1985-12-10", "address": "London"}


# What stays


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_what_was_acknowledged_is_there_after_a_restart(
    tmp_path: Path, number: signal.Signals
) -> None:
    key = unique()
    with started(tmp_path) as (system, process), system.client() as client:
        patient, doctor = register_patient(client), register_doctor(client)
        first = stored(book(client, patient, doctor, morning(), key=key))
        cancelled = stored(book(client, patient, doctor, morning(31)))
        assert client.delete(f"/appointments/{cancelled['id']}").status_code == 204
        process.send_signal(number)
        process.wait(PATIENCE)
    with started(tmp_path) as (system, _), system.client() as client:
        assert client.get(f"/patients/{patient['id']}").json() == patient
        assert client.get(f"/doctors/{doctor['id']}").json() == doctor
        assert client.get(f"/appointments/{first['id']}").json() == first
        assert client.get(f"/appointments/{cancelled['id']}").json()["status"] == "cancelled"
        assert stored(book(client, patient, doctor, morning(), key=key)) == first
        problem(book(client, patient, doctor, morning()), 409, "slot_taken")
        assert register_patient(client)["id"] > patient["id"]


# Starts that are refused


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"Port {port} is in use" in refusal(PORT=port, DATA_DIR=str(tmp_path))


def test_a_data_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for folder in (file, file / "inside"):
        said = refusal(PORT=str(free_port()), DATA_DIR=str(folder))
        assert f"The data folder {folder} cannot be written" in said
        assert "Set DATA_DIR" in said


def test_a_data_folder_is_for_one_run_at_a_time(tmp_path: Path) -> None:
    with started(tmp_path) as (system, process):
        said = refusal(PORT=str(free_port()), DATA_DIR=str(tmp_path / "data"))
        assert "in use by another run" in said
        assert asked(f"{system.url}/readyz").status_code == 200
        process.kill()
        process.wait()
    with started(tmp_path):
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "0"),
        ("CLINIC_TIMEZONE", "Mars/Olympus_Mons"),
        ("PHONE_REGION", "XX"),
        ("LOG_LEVEL", "LOUD"),
        ("CALL_SECONDS", "nan"),
        ("SERVICE_WORKERS", "many"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, name: str, value: str) -> None:
    settings = {"PORT": str(free_port()), "DATA_DIR": str(tmp_path / "data"), name: value}
    assert name in re.findall(r"[A-Z_]{4,}", refusal(**settings))
    assert not os.path.exists(tmp_path / "data")
