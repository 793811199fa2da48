"""What programs do about events: each a process of its own, on a virtual host of its own."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import pytest
from amqp.exceptions import NotFound
from kombu import Connection, Exchange, Producer
from sqlalchemy import Engine, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from appointment.domain import CANCELLED
from appointment.models import Appointment, Erasure, Outbox
from appointment.repository import Appointments
from config.clock import utc_now
from config.database import connect
from config.encryption import VAULT, Vault
from config.keys import fresh, parse_ring
from config.messaging.call import CALLER, DEADLINE, KEY
from config.settings import KEYS
from gateway.accounts import Accounts
from gateway.models import Account
from schemas.accounts import PATIENT
from schemas.events import envelope
from tests.broker_proxy import broker_proxy
from tests.systems import clinic, plain_environ, running, succeed

QUEUE = "evt-patient-erased--{service}.patient_erased"
BACKGROUND = {
    "appointment-background": QUEUE.format(service="appointment_background"),
    "gateway-background": QUEUE.format(service="gateway_background"),
}


@dataclass(frozen=True)
class House:
    """``environ`` is what programs are started with."""

    environ: dict[str, str]
    broker: Connection

    @contextmanager
    def serving(self, program: str, log: Path, **environ: str) -> Iterator[Popen]:
        given = self.environ | environ
        with running(clinic("serve", program), environ=given, log=log) as process:
            wait_for(lambda: self.queue(program).consumer_count == 1, seconds=30)
            yield process

    def queue(self, program: str) -> Any:
        """What the broker says of the queue of its handler."""
        with self.broker.channel() as channel:
            try:
                return channel.queue_declare(BACKGROUND[program], passive=True)
            except NotFound:
                # Before the first start there is none.
                return channel.queue_declare(f"none-{uuid.uuid4().hex}", exclusive=True)

    def publish(self, body: Any, **properties: Any) -> None:
        exchange = Exchange("patient.events", type="topic", durable=True)
        with self.broker.channel() as channel:
            told = {"content_type": "application/json", "content_encoding": "utf-8"} | properties
            Producer(channel, exchange).publish(
                body if isinstance(body, bytes | str) else json.dumps(body),
                routing_key="erased", **told,
            )

    @contextmanager
    def session(self, database: str) -> Iterator[Session]:
        keys = {name: parse_ring(self.environ[name]) for name in ("DATA_KEYS", "INDEX_KEYS")}
        vault = Vault(keys["DATA_KEYS"], keys["INDEX_KEYS"], database)
        engine = self.engine(database)
        with Session(engine, info={VAULT: vault}) as session, session.begin():
            yield session
        engine.dispose()

    def engine(self, database: str) -> Engine:
        url = make_url(self.environ["DATABASE_URL"])
        own = url.set(database=f"{url.database}_{database}")
        return connect(own.render_as_string(hide_password=False))


def wait_for(condition: Callable[[], Any], *, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def house(addresses: dict[str, str]) -> Iterator[House]:
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("this broker is not ours to make virtual hosts on")
    name = f"reactions-{uuid.uuid4().hex[:8]}"
    url = make_url(addresses["DATABASE_URL"]).set(database=name.replace("-", "_"))
    amqp = make_url(addresses["AMQP_URI"]).set(database=name)
    environ = plain_environ(**addresses, **fresh(KEYS)) | {
        "DATABASE_URL": url.render_as_string(hide_password=False),
        "AMQP_URI": amqp.render_as_string(hide_password=False),
    }
    with httpx.Client(base_url=addresses["AMQP_ADMIN_URL"], trust_env=False) as admin:
        made = f"/api/vhosts/{name}", f"/api/permissions/{name}/{amqp.username}"
        everything = dict.fromkeys(("configure", "write", "read"), ".*")
        for path, body in zip(made, ({}, everything), strict=True):
            admin.put(path, json=body).raise_for_status()
        succeed(clinic("migrate"), environ=environ)
        with Connection(environ["AMQP_URI"]) as broker:
            yield House(environ, broker)
        admin.delete(made[0]).raise_for_status()
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        for each in ("patient", "doctor", "appointment", "gateway", "audit"):
            connection.execute(text(f"DROP DATABASE `{url.database}_{each}`"))
    server.dispose()


def erased(patient: int, **changes: Any) -> dict[str, Any]:
    event = envelope(
        source="patient", name="erased", subject=patient, sequence=2, time=utc_now(),
        correlation_id="told-by-test", data={"patient_id": patient},
    )
    return event | changes


def book(house: House, patient: int) -> int:
    start = utc_now() + timedelta(days=patient)
    fields = {
        "patient_id": patient, "doctor_id": 1, "starts_at": start,
        "ends_at": start + timedelta(minutes=5), "duration_minutes": 5, "description": "marker",
    }
    with house.session("appointment") as session:
        return Appointments(session).book(fields, now=utc_now()).id


def status_of(house: House, appointment_id: int) -> tuple[str, str]:
    with house.session("appointment") as session:
        found = session.get_one(Appointment, appointment_id)
        return found.status, found.description


def told_about(house: House, appointment_id: int) -> list[tuple[int, str]]:
    with house.session("appointment") as session:
        rows = session.scalars(select(Outbox).filter_by(subject=str(appointment_id)))
        return [(row.sequence, json.loads(row.body)["correlationid"]) for row in rows]


def is_remembered(house: House, patient: int) -> bool:
    with house.session("appointment") as session:
        return session.get(Erasure, patient) is not None


def logins(house: House) -> int:
    with house.session("gateway") as session:
        return len(session.scalars(select(Account)).all())


def is_empty(house: House, program: str) -> bool:
    """Call when nobody listens: what was not acknowledged is back then."""
    queue = house.queue(program)
    return (queue.consumer_count, queue.message_count) == (0, 0)


JUNK = [
    (b"\x80\x04marker", {}),
    (b"{marker", {}),
    (b'"marker"', {}),
    (b"[1, 2]", {}),
    (b"{}", {}),
    (b"cos\nsystem\n(S'marker'\ntR.", {"content_type": "application/x-python-serialize"}),
    (b"marker", {"content_type": "text/plain"}),
    (b"marker", {"content_type": None, "content_encoding": None}),
    (b"[" * 100_000, {}),
    (erased(1, correlationid={"marker": 1}), {}),
    (erased(1, data={"patientId": "marker"}), {}),
    (erased(1, type="patient.updated"), {}),
]


@pytest.mark.parametrize("program", BACKGROUND)
def test_junk_on_the_queue_is_dropped_and_harms_nobody(
    house: House, tmp_path: Path, program: str
) -> None:
    log = tmp_path / "log"
    with house.serving(program, log) as process:
        for body, properties in JUNK:
            house.publish(body, **properties)
        wait_for(lambda: log.read_text().count(" refused") == len(JUNK))
        with house.session("appointment") as session:
            assert session.scalars(select(Erasure)).all() == []
        assert process.poll() is None
    assert "marker" not in log.read_text()
    wait_for(lambda: is_empty(house, program))


def test_forged_headers_make_no_difference(house: House, tmp_path: Path) -> None:
    booked = book(house, 11)
    with house.serving("appointment-background", tmp_path / "log") as process:
        forged = {CALLER: "marker", DEADLINE: 1, KEY: "marker", "correlation_id": "marker"}
        headers = {f"nameko.{name}": value for name, value in forged.items()}
        house.publish(erased(11), headers=headers, reply_to="marker")
        wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
        assert process.poll() is None
    assert told_about(house, booked) == [(1, "told-by-test")]
    assert "marker" not in (tmp_path / "log").read_text()
    wait_for(lambda: is_empty(house, "appointment-background"))


def test_a_handler_whose_database_is_down_tries_until_it_is_back_and_acts_once(
    house: House, tmp_path: Path
) -> None:
    booked, log = book(house, 12), tmp_path / "log"
    with broker_proxy(house.environ["DATABASE_URL"]) as proxy:
        impatient = {"DATABASE_URL": proxy.uri, "CALL_SECONDS": "1", "PEER_SECONDS": "0.5"}
        with house.serving("appointment-background", log, **impatient):
            proxy.cut()
            house.publish(erased(12))
            failed = "appointment_background.patient_erased"
            # Twice: it is given back, and comes again.
            wait_for(lambda: sum(
                failed in line and "Unavailable" in line for line in log.read_text().splitlines()
            ) >= 2)
            assert told_about(house, booked) == []
            proxy.restore()
            wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
    assert told_about(house, booked) == [(1, "told-by-test")]
    wait_for(lambda: is_empty(house, "appointment-background"))


def test_an_event_whose_handler_is_killed_is_acted_on_by_the_next(
    house: House, tmp_path: Path
) -> None:
    booked = book(house, 13)
    with house.session("appointment") as holding:
        with house.serving("appointment-background", tmp_path / "first") as process:
            holding.scalar(select(Appointment).filter_by(id=booked).with_for_update())
            house.publish(erased(13))
            wait_for(lambda: house.queue("appointment-background").message_count == 0)
            process.kill()
            process.wait()
    with house.serving("appointment-background", tmp_path / "second"):
        wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
    wait_for(lambda: is_empty(house, "appointment-background"))
    assert told_about(house, booked) == [(1, "told-by-test")]


def test_a_handler_that_loses_the_broker_while_it_works_stays_up_and_acts_once(
    house: House, tmp_path: Path
) -> None:
    booked, log = book(house, 15), tmp_path / "log"
    with broker_proxy(house.environ["AMQP_URI"]) as proxy:
        with house.serving("appointment-background", log, AMQP_URI=proxy.uri) as process:
            with house.session("appointment") as holding:
                holding.scalar(select(Appointment).filter_by(id=booked).with_for_update())
                house.publish(erased(15))
                wait_for(lambda: house.queue("appointment-background").message_count == 0)
                proxy.cut()
            # Done with nobody there to tell it to.
            wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
            proxy.restore()
            wait_for(lambda: house.queue("appointment-background").consumer_count == 1)
            house.publish(erased(16))
            wait_for(lambda: is_remembered(house, 16))
            assert process.poll() is None
    assert told_about(house, booked) == [(1, "told-by-test")]
    wait_for(lambda: is_empty(house, "appointment-background"))


def test_an_event_that_was_told_while_nobody_listened_is_acted_on_at_the_next_start(
    house: House, tmp_path: Path
) -> None:
    with house.session("gateway") as session:
        fields = {"role": PATIENT, "subject_id": 14, "password_hash": "no hash"}
        Accounts(session).open(fields, email="ada@example.org", now=utc_now())
    with house.serving("gateway-background", tmp_path / "first"):
        pass
    house.publish(erased(14))
    with house.serving("gateway-background", tmp_path / "second"):
        wait_for(lambda: not logins(house))
    wait_for(lambda: is_empty(house, "gateway-background"))
