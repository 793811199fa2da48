"""`clinic serve` on real servers: who is refused ends and says by whom; who must wait, starts."""

import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from config.database import connect
from config.environments import environment_of, kept_values
from config.keys import fresh
from config.programs import catalogue
from config.settings import KEYS
from tests.systems import clinic, free_port, plain_environ, running, succeed
from tests.waiting import PATIENCE

Environ = dict[str, str]
WRONG = "Kq7-vxR2mZp9-wrong"
# Bounded: a refusal is no reason to wait.
END_SECONDS = 2 * PATIENCE


@pytest.fixture(scope="module")
def everything(addresses: Environ) -> Iterator[Environ]:
    """An installation of its own, migrated, as its administrator has it."""
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("these servers are not ours to make users on")
    url = make_url(addresses["DATABASE_URL"]).set(database="contact")
    environ = plain_environ(**{
        **addresses,
        **fresh(KEYS),
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "PORT": str(free_port()),
        "ADMIN_EMAIL": "admin@clinic.example",
        "ADMIN_PASSWORD": "velvet otter marches at 7",
    })
    needed = ("DATABASE_URL", "DATA_KEYS", "INDEX_KEYS")
    succeed(clinic("migrate"), environ=plain_environ(**{name: environ[name] for name in needed}))
    succeed(clinic("topology"), environ=environ)
    yield environ
    engine = connect(url.set(database="").render_as_string(hide_password=False))
    with engine.begin() as server:
        for name in catalogue().databases:
            server.execute(text(f"DROP DATABASE contact_{name}"))
    engine.dispose()


@pytest.fixture(scope="module")
def programs(everything: Environ, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Environ]:
    """By program, what it is to be started with."""
    folder = tmp_path_factory.mktemp("programs")
    succeed(clinic("setup", "--into", str(folder)), environ=everything)
    return {
        file.stem: environment_of(file.stem, everything=everything, own=kept_values(file))
        for file in folder.glob("[!.]*.env")
        if file.stem in catalogue().names
    }


def refusal(program: str, environ: Environ) -> str:
    """The one line that it ends with; no password is in it."""
    ended = subprocess.run(
        clinic("serve", program), env=environ, capture_output=True, text=True, timeout=END_SECONDS
    )
    assert ended.returncode == 1, ended.stdout
    (line,) = ended.stderr.splitlines()
    for name in ("AMQP_URI", "DATABASE_URL", "REDIS_URL"):
        assert str(urlsplit(environ[name]).password) not in line + ended.stdout
    return line


def with_password(address: str, password: str) -> str:
    parts = urlsplit(address)
    return address.replace(f":{parts.password}@", f":{password}@")


@pytest.mark.parametrize(
    ("program", "setting"),
    [
        ("doctor", "AMQP_URI"),
        ("doctor", "DATABASE_URL"),
        ("gateway", "AMQP_URI"),
        ("gateway", "DATABASE_URL"),
        ("gateway", "REDIS_URL"),
    ],
)
def test_a_wrong_password_ends_the_start_and_the_server_and_user_are_named(
    programs: dict[str, Environ], program: str, setting: str
) -> None:
    environ = programs[program]
    address = with_password(environ[setting], WRONG)
    said = refusal(program, {**environ, setting: address})
    server = urlsplit(address)
    assert said.startswith(f"Error: {setting}: the server at {server.hostname}:{server.port} ")
    assert f"refuses {server.username or 'default'}" in said


@pytest.mark.parametrize(
    ("program", "other", "setting"),
    [
        ("patient", "doctor", "DATABASE_URL"),
        ("gateway", "patient", "DATABASE_URL"),
        ("patient", "doctor", "AMQP_URI"),
        ("gateway", "patient", "AMQP_URI"),
        ("patient", "patient-background", "AMQP_URI"),
        ("patient-background", "patient", "AMQP_URI"),
        ("gateway", "gateway-background", "AMQP_URI"),
        ("gateway-background", "gateway", "AMQP_URI"),
        ("appointment-background", "appointment", "AMQP_URI"),
    ],
)
def test_another_programs_file_ends_the_start(
    programs: dict[str, Environ], program: str, other: str, setting: str
) -> None:
    own = {setting: programs[other][setting]}
    said = refusal(program, {**programs[program], **own})
    assert said.startswith(f"Error: {setting}: ")
    assert f"refuses {urlsplit(own[setting]).username} " in said
    assert f"Start {program} with the addresses that `clinic setup` wrote last for it" in said


def test_a_virtual_host_that_is_not_there_is_refused(everything: Environ) -> None:
    away = everything["AMQP_URI"].rstrip("/") + "/away"
    assert "its virtual host" in refusal("doctor", {**everything, "AMQP_URI": away})


@pytest.mark.parametrize(
    ("program", "missing"), [("doctor", "dead-letters"), ("gateway-background", "delay-77s")]
)
def test_a_broker_that_is_not_prepared_ends_the_start(
    everything: Environ, program: str, missing: str
) -> None:
    name = f"contact-{uuid.uuid4().hex[:8]}"
    environ = everything | {"EVENT_RETRY_SECONDS": "77"}
    if missing == "dead-letters":
        environ["AMQP_URI"] = environ["AMQP_URI"].removesuffix("/") + name
    with virtual_host(everything, name):
        said = refusal(program, environ)
    assert missing in said and "run `clinic topology` first" in said


@contextmanager
def virtual_host(everything: Environ, name: str) -> Iterator[None]:
    """With nothing in it."""
    admin, user = everything["AMQP_ADMIN_URL"], urlsplit(everything["AMQP_URI"]).username
    with httpx.Client(base_url=admin, trust_env=False) as http:
        http.put(f"/api/vhosts/{name}").raise_for_status()
        may = dict.fromkeys(("configure", "write", "read"), ".*")
        http.put(f"/api/permissions/{name}/{user}", json=may).raise_for_status()
        yield
        http.delete(f"/api/vhosts/{name}").raise_for_status()


@pytest.mark.parametrize("program", ["doctor", "doctor-background", "gateway"])
def test_a_database_that_is_not_migrated_ends_the_start(
    everything: Environ, program: str
) -> None:
    url = make_url(everything["DATABASE_URL"]).set(database="nowhere")
    empty = {**everything, "DATABASE_URL": url.render_as_string(hide_password=False)}
    said = refusal(program, empty)
    assert "nowhere_" in said and "is not migrated: run `clinic migrate` first" in said


def test_a_database_of_an_older_version_ends_the_start_and_a_newer_one_does_not(
    everything: Environ, tmp_path: Path
) -> None:
    engine = connect(everything["DATABASE_URL"] + "_patient")
    with engine.begin() as patient:
        now = patient.scalar(text("SELECT version_num FROM alembic_version"))
        patient.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    try:
        assert "contact_patient at" in refusal("patient-background", everything)
        with engine.begin() as patient:
            patient.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        wait_for_start("patient-background", everything, tmp_path / "log")
    finally:
        with engine.begin() as patient:
            patient.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": now})
        engine.dispose()


def test_a_program_starts_with_its_own_file_without_a_word_of_warning(
    programs: dict[str, Environ], tmp_path: Path
) -> None:
    for name in ("appointment-background", "doctor", "gateway"):
        printed = wait_for_start(name, programs[name], tmp_path / name)
        assert "WARNING" not in printed


def test_a_database_that_is_not_up_yet_is_waited_for_with_one_warning(
    programs: dict[str, Environ], tmp_path: Path
) -> None:
    environ = programs["doctor"]
    port = urlsplit(environ["DATABASE_URL"]).port
    down = environ["DATABASE_URL"].replace(f":{port}/", ":1/")
    printed = wait_for_start("doctor", {**environ, "DATABASE_URL": down}, tmp_path / "log")
    assert printed.count("WARNING") == 1
    assert "127.0.0.1:1" in printed and str(urlsplit(down).password) not in printed


def test_servers_that_are_not_up_yet_keep_the_gateway_from_nothing(
    programs: dict[str, Environ], tmp_path: Path
) -> None:
    environ = dict(programs["gateway"])
    for name in ("AMQP_URI", "DATABASE_URL", "REDIS_URL"):
        environ[name] = environ[name].replace(f":{urlsplit(environ[name]).port}/", ":1/")
    printed = wait_for_start("gateway", environ, tmp_path / "log")
    for name in ("AMQP_URI", "DATABASE_URL", "REDIS_URL"):
        assert printed.count(f'"setting": "{name}"') == 1


def wait_for_start(program: str, environ: Environ, log: Path) -> str:
    """What it printed until it ran."""
    begun = "Listening at" if program == "gateway" else '"started"'
    with running(clinic("serve", program), environ=environ, log=log) as process:
        until = time.monotonic() + END_SECONDS
        while begun not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        return log.read_text()
