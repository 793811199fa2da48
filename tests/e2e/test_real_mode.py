"""Each program a process of its own: what they log, how they end, and what one being away does."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from config.database import connect
from config.keys import fresh
from config.programs import catalogue
from config.servers import started
from config.settings import KEYS
from tests.e2e.desk import (
    Json,
    book,
    booking_body,
    doctor_body,
    eventually,
    morning,
    patient_body,
    problem,
    refused_fields,
    register_doctor,
    register_patient,
    stored,
    unique,
)
from tests.e2e.shell import in_shell
from tests.systems import (
    SIGN_IN,
    System,
    clinic,
    end,
    free_port,
    plain_environ,
    running,
    wait_until_ready,
)

SERVICES = ("patient", "doctor", "appointment")
LINE_SECONDS = 5
END_SECONDS = 15
CALL_SECONDS = 3.0
PEER_SECONDS = 1.0
ALL_OK = dict.fromkeys(("broker", "gateway", "audit", *SERVICES), "ok")
SERVERS = ("AMQP_URI", "DATABASE_URL", "REDIS_URL")
# Whom the booking of people never met takes.
ALL_WHO_KNOW = ("appointment.schedule", "patient.exists", "doctor.availability")


def log_lines(system: System) -> list[Json]:
    """Every line that is JSON; the last one may still be half written."""
    found = []
    for line in system.log_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def who_logged(system: System, correlation: str) -> set[str]:
    """``gateway`` and the RPC methods that wrote a line with this correlation id."""
    lines = [line for line in log_lines(system) if line.get("correlation_id") == correlation]
    return {
        "gateway" if line["logger"] == "gateway" else line.get("method", "(no method)")
        for line in lines
    }


# Starting one program


def refusal(*arguments: str, **settings: str) -> str:
    """What a command says that cannot do its work, in one sentence."""
    ended = subprocess.run(
        clinic(*arguments),
        env=plain_environ(**settings),
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
    )
    assert ended.returncode not in (0, None)
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    said = ended.stderr.strip()
    assert said.startswith("Error: ") and said.count("\n") == 0, ended.stderr
    return said


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("serve patient", SERVERS),
        ("serve gateway", SERVERS),
        ("migrate", ("DATABASE_URL",)),
        ("shell", SERVERS),
    ],
)
def test_without_servers_the_missing_settings_are_named_in_one_sentence(
    tmp_path: Path, command: str, needed: tuple[str, ...]
) -> None:
    said = refusal(*command.split(), DATA_DIR=str(tmp_path))
    assert all(name in said for name in needed)
    given = {"AMQP_URI": "amqp://localhost", "DATA_DIR": str(tmp_path)}
    assert "AMQP_URI" not in refusal(*command.split(), **given)


def test_a_program_that_does_not_exist_is_refused_by_its_name(stack: System) -> None:
    ended = subprocess.run(
        clinic("serve", "dentist"),
        env=dict(stack.environ),
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
    )
    assert ended.returncode not in (0, None)
    assert "dentist" in ended.stderr
    assert "Traceback" not in ended.stderr


# What is logged


def test_one_correlation_id_runs_through_every_program_that_a_booking_touches(
    own: "Clinic",
) -> None:
    """Nobody here tells the appointment service of patients: it asks, the first time."""
    patient, doctor = register_patient(own.client), register_doctor(own.client)
    assert_booked_by(own, booking_body(patient, doctor, morning()), *ALL_WHO_KNOW)
    assert_booked_by(own, booking_body(patient, doctor, morning(31)), "appointment.schedule")


def assert_booked_by(own: "Clinic", body: Json, *methods: str) -> None:
    word, wanted = f"trace-{unique()}", {"gateway", *methods}
    stored(own.client.post("/appointments", json=body, headers={"X-Correlation-Id": word}))
    eventually(
        lambda: who_logged(own.system, word) >= wanted, seconds=LINE_SECONDS, what=f"{wanted}"
    )
    assert who_logged(own.system, word) == wanted


class Marked:
    """A patient, a doctor and a description full of words that occur nowhere else."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def word(self) -> str:
        self.words.append(f"zq{unique()}")
        return self.words[-1]

    def number(self) -> str:
        """A valid London number; the marker is as one would dial it in London."""
        self.words.append(f"207{int(unique(), 16) % 10**7:07d}")
        return f"+44{self.words[-1]}"

    def patient(self) -> Json:
        return patient_body(
            name=f"Ada {self.word()}",
            email=f"{self.word()}@example.org",
            phone=self.number(),
            address=f"12 {self.word()} Road",
        )

    def doctor(self) -> Json:
        return doctor_body(name=f"Dr {self.word()}", email=f"{self.word()}@example.org")

    def assert_not_in(self, log: str) -> None:
        assert self.words
        assert [word for word in self.words if word in log] == []


def test_nothing_personal_is_logged_whatever_becomes_of_a_request(
    system: System, client: httpx.Client
) -> None:
    marked = Marked()
    first, second = marked.patient(), marked.patient()
    patient, other = (stored(client.post("/patients", json=body)) for body in (first, second))
    doctor = stored(client.post("/doctors", json=marked.doctor()))
    at = f"/patients/{patient['id']}"

    assert client.put(at, json={**marked.patient(), "email": first["email"]}).status_code == 200
    problem(client.post("/patients", json=first), 409, "email_taken")
    problem(client.put(at, json=second), 409, "email_taken")
    assert refused_fields(client.post("/patients", json={**first, "phone": marked.word()}))
    assert refused_fields(client.post("/patients", json={**first, marked.word(): 1}))
    form = client.post("/patients", data={"name": marked.word()})
    problem(form, 415, "unsupported_media_type")
    assert refused_fields(client.get(at, params={"name": marked.word()})) == {"name"}
    problem(client.get(f"/{marked.word()}"), 404, "not_found")

    booked = stored(book(client, patient, doctor, morning(), description=marked.word()))
    clash = book(client, other, doctor, morning(), description=marked.word(), key=marked.word())
    problem(clash, 409, "slot_taken")
    unknown = book(client, patient, {"id": 2**62}, morning(), description=marked.word())
    problem(unknown, 422, "unknown_doctor")
    cancelled = client.delete(f"/appointments/{booked['id']}", params={"reason": marked.word()})
    assert cancelled.status_code == 204
    last = client.get(at, headers={"X-Correlation-Id": unique()})
    wait_until_logged(system, last)
    marked.assert_not_in(system.log_text())


def test_nothing_personal_is_logged_when_a_request_upsets_the_system(
    system: System, client: httpx.Client
) -> None:
    """These once were, or nearly were, an internal error."""
    marked = Marked()
    disguised = {"__type__": marked.word(), "__value__": marked.word()}
    deep: object = marked.word()
    for _ in range(450):
        deep = [{"a": deep}]
    for odd in ({"name": disguised}, {"name": deep}, {f"\ud800{marked.word()}": 1}):
        content = json.dumps({**marked.patient(), **odd}).encode("ascii")
        client.post("/patients", content=content, headers={"Content-Type": "application/json"})
    patient = stored(client.post("/patients", json=marked.patient()))
    samoa = register_doctor(client, timezone="Pacific/Pago_Pago")
    last = book(client, patient, samoa, "9999-12-31T23:00:00", description=marked.word())
    wait_until_logged(system, last)
    marked.assert_not_in(system.log_text())


def wait_until_logged(system: System, answer: httpx.Response) -> None:
    """Until the gateway has written the line of this, its last, request."""
    word = answer.headers["X-Correlation-Id"]
    eventually(lambda: word in system.log_text(), seconds=LINE_SECONDS, what="its log line")


# The shell


def shown_by_shell(expression: str, stack: System) -> Json:
    shown = in_shell(f"import json\nprint(json.dumps({expression}))\n", environ=stack.environ)
    found = re.search(r"\{.*\}", shown.stdout)  # between the prompts
    assert found, shown.stderr
    record: Json = json.loads(found[0])
    return record


def test_the_shell_answers_what_http_answers(stack: System, stack_client: httpx.Client) -> None:
    patient = register_patient(stack_client)
    shown = shown_by_shell(f"n.rpc.patient.get({patient['id']})", stack)
    assert shown == {**patient, "version": 1}


def test_the_shell_raises_our_own_errors_with_their_texts(stack: System) -> None:
    shown = in_shell(f"n.rpc.patient.get({2**62})\n", environ=stack.environ)
    assert "PatientNotFound" in shown.stderr
    assert f"There is no patient {2**62}." in shown.stderr
    assert "RemoteError" not in shown.stderr


def test_the_shell_books_and_cancels(stack: System, stack_client: httpx.Client) -> None:
    patient, doctor = register_patient(stack_client), register_doctor(stack_client)
    body = booking_body(patient, doctor, morning())
    booked = shown_by_shell(f"n.rpc.appointment.schedule({body!r})", stack)
    address = f"/appointments/{booked['id']}"
    assert as_by_shell(stack_client.get(address)) == booked
    cancelled = shown_by_shell(f"n.rpc.appointment.cancel({booked['id']}, 'by shell')", stack)
    assert cancelled["cancelReason"] == "by shell"
    assert as_by_shell(stack_client.get(address)) == cancelled


def as_by_shell(answer: httpx.Response) -> Json:
    """With the version, which is the ETag over HTTP."""
    return {**answer.json(), "version": int(answer.headers["ETag"].strip('"'))}


# Stopping one program


def test_a_second_doctor_service_comes_and_goes_without_a_failed_request(
    stack: System, stack_client: httpx.Client, tmp_path: Path
) -> None:
    # Of which no copies are kept.
    address = f"/doctors/{register_doctor(stack_client)['id']}/time-off"
    log = tmp_path / "doctor-2.log"

    def served_by_the_second() -> bool:
        assert stack_client.get(address).status_code == 200
        return '"doctor.find_time_off"' in log.read_text()

    with running(clinic("serve", "doctor"), environ=stack.environ, log=log) as second:
        eventually(served_by_the_second, seconds=END_SECONDS, every=0.01, what="its share of calls")
        second.send_signal(signal.SIGTERM)
        until = time.monotonic() + END_SECONDS
        while second.poll() is None:
            assert time.monotonic() < until, "it does not end"
            assert stack_client.get(address).status_code == 200
        assert second.returncode == 0
    assert '"ended"' in log.read_text()
    assert all(stack_client.get(address).status_code == 200 for _ in range(10))


# One service away, in a stack of this module's own


@dataclass
class Clinic:
    """A stack whose services can be taken away."""

    system: System
    programs: dict[str, "subprocess.Popen[str]"]
    ending: ExitStack

    @cached_property
    def client(self) -> httpx.Client:
        return self.ending.enter_context(self.system.client())

    def start(self, name: str) -> None:
        log = self.system.logs / f"{name}-{len(list(self.system.logs.iterdir()))}.log"
        argv = clinic("serve", name)
        self.programs[name] = self.ending.enter_context(
            running(argv, environ=self.system.environ, log=log)
        )

    def checks(self) -> dict[str, str]:
        answer = self.client.get("/readyz")
        checks: dict[str, str] = answer.json()["checks"]
        assert answer.status_code == (200 if set(checks.values()) == {"ok"} else 503)
        return checks

    def wait_until_well(self) -> None:
        eventually(
            lambda: set(self.checks().values()) == {"ok"}, seconds=END_SECONDS, what="readiness"
        )

    def stored_rows(self, service: str) -> dict[str, int]:
        url = make_url(self.system.environ["DATABASE_URL"])
        its_own = url.set(database=f"{url.database}_{service}")
        engine = connect(its_own.render_as_string(hide_password=False))
        with engine.connect() as connection:
            counts = {
                table: connection.scalars(text(f"SELECT COUNT(*) FROM {table}")).one()
                for table in (service, "outbox", "answer")
            }
        engine.dispose()
        return counts


@pytest.fixture(scope="module")
def own_environ(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A broker for this module alone, because queues are shared by all who use the same one."""
    folder = tmp_path_factory.mktemp("own-broker")
    url = make_url(addresses["DATABASE_URL"])
    own = url.set(database=f"{url.database}_away")
    shared = plain_environ(
        DATABASE_URL=own.render_as_string(hide_password=False), REDIS_URL=addresses["REDIS_URL"]
    )
    with started(folder=folder, environ=shared, say=quiet) as given:
        yield plain_environ(
            **given,
            **fresh(KEYS),
            **SIGN_IN,
            PORT=str(free_port()),
            DATA_DIR=str(folder / "data"),
            CALL_SECONDS=str(CALL_SECONDS),
            PEER_SECONDS=str(PEER_SECONDS),
        )
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        for name in catalogue().databases:
            connection.execute(text(f"DROP DATABASE IF EXISTS `{own.database}_{name}`"))
    server.dispose()


def quiet(line: str) -> None:
    """Nobody listens to the progress."""


@pytest.fixture(scope="module")
def own(
    own_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("own-stack")
    for command in ("migrate", "topology"):
        subprocess.run(clinic(command), env=own_environ, check=True, capture_output=True)
    system = System(f"http://127.0.0.1:{own_environ['PORT']}", own_environ, folder)
    with ExitStack() as ending:
        found = Clinic(system, {}, ending)
        for name in (*SERVICES, "gateway"):
            found.start(name)
        wait_until_ready(system.url, *found.programs.values(), logs=folder)
        yield found
        for program in found.programs.values():
            program.terminate()  # all at once: each takes its time


@contextmanager
def stopped(own: Clinic, name: str) -> Iterator[None]:
    assert end(own.programs[name]) == 0
    try:
        yield
    finally:
        own.start(name)


@contextmanager
def frozen(own: Clinic, name: str) -> Iterator[None]:
    """It holds its connections and takes messages, and does nothing with them."""
    own.programs[name].send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        own.programs[name].send_signal(signal.SIGCONT)


@pytest.mark.parametrize("away", [stopped, frozen])
def test_without_the_doctor_service_who_was_never_met_is_not_booked_and_the_same_key_books_later(
    own: Clinic, away: Callable[[Clinic, str], AbstractContextManager[None]]
) -> None:
    patient, doctor = register_patient(own.client), register_doctor(own.client)
    earlier = stored(book(own.client, patient, register_doctor(own.client), morning()))
    key, rows = unique(), own.stored_rows("appointment")

    def booking() -> httpx.Response:
        return book(own.client, patient, doctor, morning(31), key=key)

    with away(own, "doctor"):
        assert_unavailable_in_time(booking)
        assert own.stored_rows("appointment") == rows
        assert own.client.get(f"/appointments/{earlier['id']}").json() == earlier
        assert own.client.get(f"/patients/{patient['id']}").json() == patient
        assert own.checks() == {**ALL_OK, "doctor": "failing"}
        assert own.client.get("/livez").status_code == 200

    own.wait_until_well()
    booked = stored(booking())
    assert stored(booking()) == booked
    assert own.stored_rows("appointment")["appointment"] == rows["appointment"] + 1


@pytest.mark.parametrize("away", [stopped, frozen])
def test_without_the_doctor_service_who_has_met_is_booked_at_once_and_only_once_a_time(
    own: Clinic, away: Callable[[Clinic, str], AbstractContextManager[None]]
) -> None:
    patient, other = register_patient(own.client), register_patient(own.client)
    doctor, key = register_doctor(own.client), unique()
    stored(book(own.client, patient, doctor, morning()))
    stored(book(own.client, other, register_doctor(own.client), morning()))
    rows = own.stored_rows("appointment")["appointment"]

    with away(own, "doctor"):
        began = time.monotonic()
        booked = stored(book(own.client, patient, doctor, morning(31), key=key))
        assert time.monotonic() - began < PEER_SECONDS
        assert stored(book(own.client, patient, doctor, morning(31), key=key)) == booked
        problem(book(own.client, other, doctor, morning(31)), 409, "slot_taken")
        assert own.stored_rows("appointment")["appointment"] == rows + 1

    own.wait_until_well()
    assert own.client.get(f"/appointments/{booked['id']}").json() == booked


@pytest.mark.parametrize("service", ["appointment", "patient"])
def test_a_change_that_nobody_waits_for_any_more_is_not_made(own: Clinic, service: str) -> None:
    patient, doctor = register_patient(own.client), register_doctor(own.client)
    body = {"appointment": booking_body(patient, doctor, morning()), "patient": patient_body()}
    headers, rows = {"Idempotency-Key": unique()}, own.stored_rows(service)

    def change() -> httpx.Response:
        return own.client.post(f"/{service}s", json=body[service], headers=headers)

    with frozen(own, service):
        assert_unavailable_in_time(change)
        assert own.checks() == {**ALL_OK, service: "failing"}

    own.wait_until_well()
    assert own.stored_rows(service) == rows
    stored(change())


def assert_unavailable_in_time(ask: Callable[[], httpx.Response]) -> None:
    began = time.monotonic()
    answer = ask()
    assert time.monotonic() - began < CALL_SECONDS + 1
    problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
