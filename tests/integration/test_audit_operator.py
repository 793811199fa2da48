"""Calls that go round the gateway are on record as an operator's, in both modes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nameko.standalone.rpc import ServiceRpcProxy
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from config.audit import reader
from config.audit.verify import examine
from config.database import connect
from config.keys import parse_ring
from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.caller import Caller, signed
from config.messaging.client import Request
from config.messaging.pool import Pool
from schemas import errors
from tests.systems import System, plain_environ
from tests.waiting import PATIENCE

SECONDS = PATIENCE
PATIENT = {"name": "Ada", "phone": "+442079460958", "dob": "1985-12-10", "address": "London"}


@pytest.fixture
def trail(stack: System) -> Iterator[Engine]:
    url = make_url(stack.environ["DATABASE_URL"])
    url = url.set(database=f"{url.database}_audit")
    engine = connect(url.render_as_string(hide_password=False))
    yield engine
    engine.dispose()


def newest_position(engine: Engine) -> int:
    with engine.connect() as connection:
        return reader.newest_position(connection)


def recorded_since(engine: Engine, position: int) -> list[tuple[Any, ...]]:
    """Oldest first: who, what, to what, whose, and what became of it."""
    with Session(engine) as session:
        return [
            (row.actor_role, row.action, row.resource, row.subject, row.outcome)
            for row in reversed(reader.find(session, limit=100))
            if row.position > position
        ]


@contextmanager
def shell(stack: System, service: str) -> Iterator[Any]:
    """What `nameko shell` calls a service with."""
    config = {"AMQP_URI": stack.environ["AMQP_URI"]}
    with ServiceRpcProxy(service, config, timeout=SECONDS) as proxy:
        yield proxy


def test_what_is_called_without_the_gateway_is_on_record_with_whose_data_it_was(
    stack: System, trail: Engine
) -> None:
    before = newest_position(trail)
    with shell(stack, "patient") as patients:
        made = patients.create(PATIENT)["id"]
        patients.get(patient_id=made)
        with pytest.raises(errors.PatientNotFound):
            patients.get(2**62)
        patients.health()
    its = f"patient/{made}"
    assert recorded_since(trail, before) == [
        ("operator", "patient.create", its, its, "ok"),
        ("operator", "patient.get", its, its, "ok"),
        ("operator", "patient.get", f"patient/{2**62}", f"patient/{2**62}", "not_found"),
    ]
    ring = parse_ring(stack.environ["AUDIT_KEYS"])
    assert examine(trail, ring, tell=lambda rows: None).findings() == []


def test_what_a_gateway_signed_is_the_gateways_to_record(stack: System, trail: Engine) -> None:
    with shell(stack, "patient") as patients:
        made = patients.create(PATIENT)["id"]
    before = newest_position(trail)
    ring = parse_ring(stack.environ["CALLER_KEYS"])
    caller = signed(Caller("staff", 7), correlation="by-staff", key="k", ring=ring)
    context = new_context(correlation="by-staff", seconds=SECONDS, key="k", caller=caller)
    pool = Pool(stack.environ["AMQP_URI"], size=1, unavailable=errors.Unavailable)
    (answer,) = pool.ask(
        Request("patient", "get", (made,)), headers=headers_of(context), deadline=context[DEADLINE]
    )
    pool.close()
    assert answer.result()["id"] == made
    assert recorded_since(trail, before) == []


def test_what_cannot_be_recorded_is_not_answered(stack: System, trail: Engine) -> None:
    with shell(stack, "patient") as patients:
        made = patients.create(PATIENT)["id"]
        with taken_away(trail):
            for unrecorded in (made, 2**62):
                with pytest.raises(errors.Unavailable, match="audit"):
                    patients.get(unrecorded)
        assert patients.get(made)["id"] == made


@contextmanager
def taken_away(engine: Engine) -> Iterator[None]:
    with engine.connect() as connection:
        connection.execute(text("RENAME TABLE audit TO away"))
        try:
            yield
        finally:
            connection.execute(text("RENAME TABLE away TO audit"))


EMBEDDED = """
import json, sys, warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
from pathlib import Path
from nameko.standalone.rpc import ServiceRpcProxy
from config import embedded, logs, migration, process
from config.encryption import Vault
from config.keys import fresh
from config.programs import catalogue
from config.settings import KEYS, embedded_settings, with_keys
from config.audit import reader
from config.database import connect
from sqlalchemy.orm import Session

logs.configure(level="WARNING", readable=True)
settings = with_keys(embedded_settings(), fresh(KEYS))
for name in ("patient", "appointment", "doctor", "audit"):
    vault = Vault(settings.keys.data, settings.keys.index, name)
    scripts = catalogue().databases[name]
    migration.upgrade(scripts=scripts, url=settings.database(name), vault=vault)
programs = [each for each in catalogue().programs if each.name == each.database]
embedded.prepare_broker(settings)
runner = process.start(settings, tuple(programs))
config = {"AMQP_URI": settings.amqp_uri}
patient, doctor = json.loads(sys.argv[1]), json.loads(sys.argv[2])
with ServiceRpcProxy("patient", config, timeout=10) as n:
    n.create(patient)
with ServiceRpcProxy("doctor", config, timeout=10) as n:
    n.create(doctor)
with ServiceRpcProxy("appointment", config, timeout=10) as n:
    n.schedule({"patientId": 1, "doctorId": 1, "date": "2099-03-04T12:00:00Z", "description": "x"})
process.stop(runner, seconds=5)
engine = connect(settings.database("audit").render_as_string(hide_password=False))
with Session(engine) as session:
    rows = [(r.actor_role, r.action, r.subject) for r in reader.find(session, limit=100)]
print(json.dumps(rows))
"""


def test_in_embedded_mode_as_well(tmp_path: Path) -> None:
    doctor = {**PATIENT, "speciality": "Surgery"}
    del doctor["dob"], doctor["address"]
    ended = subprocess.run(
        [sys.executable, "-c", EMBEDDED, json.dumps(PATIENT), json.dumps(doctor)],
        env=plain_environ(DATA_DIR=str(tmp_path)), capture_output=True, text=True,
        timeout=2 * PATIENCE,
    )
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(ended.stdout.splitlines()[-1])
    assert ["operator", "appointment.schedule", "patient/1"] == rows[0]
    assert ["operator", "patient.create", "patient/1"] == rows[-1]
    assert ["operator", "doctor.create", "doctor/1"] in rows
    # What a service asks of another on an operator's behalf is the operator's too.
    assert {"patient.exists", "doctor.availability"} <= {action for _, action, _ in rows}
