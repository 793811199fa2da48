"""The appointment service alone, as programs on a real broker, where no other ever ran."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from appointment.models import Appointment, KeptTimetable, KnownPatient
from appointment.parties import as_text
from config.clock import utc_now
from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from config.messaging.topology import RPC
from schemas.errors import Unavailable
from schemas.events import envelope
from schemas.fields import as_instant
from tests.contract.house import House, open_house, wait_for
from tests.systems import clinic, running
from tests.waiting import PATIENCE

ADA, STRANGER, GARRETT = 7, 8, 3


@pytest.fixture
def alone(addresses: dict[str, str], tmp_path: Path) -> Iterator[House]:
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("needs a broker of its own, to make a virtual host on it")
    with open_house(addresses) as house:
        with house.serving("appointment-background", tmp_path / "background"):
            service = clinic("serve", "appointment")
            with running(service, environ=house.environ, log=tmp_path / "service"):
                yield house


def call(house: House, method: str, *args: Any) -> Any:
    pool, key = Pool(house.environ["AMQP_URI"], size=1, unavailable=Unavailable), uuid.uuid4().hex
    context = new_context(correlation=key, seconds=PATIENCE, key=key)
    try:
        request = Request("appointment", method, args)
        (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
        return answer.result()
    finally:
        pool.close()


def wish(patient: int) -> dict[str, Any]:
    start = as_instant(utc_now() + timedelta(days=9))
    return {"patientId": patient, "doctorId": GARRETT, "date": start, "description": "Check-up"}


def keep_timetable(house: House) -> None:
    told = {
        "doctorId": GARRETT, "scheduleVersion": 0, "timezone": "UTC", "schedule": None,
        "timeOff": [],
    }
    with house.session("appointment") as session:
        session.add(KeptTimetable(
            doctor_id=GARRETT, schedule_version=0, timetable=as_text(told), told_at=utc_now()
        ))


@contextmanager
def overheard(house: House) -> Iterator[list[tuple[str, Any]]]:
    """What the other services are asked, as the broker hands it on while it is waited for."""
    found: list[tuple[str, Any]] = []
    with house.broker.channel() as channel:
        queue = channel.queue_declare(exclusive=True).queue
        for service in ("patient", "doctor"):
            channel.queue_bind(queue, RPC, f"{service}.*")
        channel.basic_consume(queue, no_ack=True, callback=lambda message: found.append(
            (message.delivery_info["routing_key"], json.loads(message.body)["args"])
        ))
        yield found


def is_up(house: House) -> bool:
    try:
        return bool(call(house, "health") == "ok")
    except Unavailable:
        return False


def test_alone_it_books_at_once_who_was_registered_and_nobody_whom_it_never_met(
    alone: House,
) -> None:
    alone.publish(envelope(
        source="patient", name="registered", subject=ADA, sequence=1, time=utc_now(),
        correlation_id="told-by-test", data={"patient_id": ADA},
    ), event="registered")

    def is_known() -> bool:
        with alone.session("appointment") as session:
            return session.get(KnownPatient, ADA) is not None

    wait_for(is_known)
    keep_timetable(alone)
    wait_for(lambda: is_up(alone))
    with overheard(alone) as asked:
        assert call(alone, "schedule", wish(ADA))["patientId"] == ADA
        with pytest.raises(Unavailable, match="The patient service"):
            call(alone, "schedule", wish(STRANGER))
        alone.broker.drain_events(timeout=PATIENCE)
    # Of nobody before that.
    assert asked[0] == ("patient.exists", [STRANGER])
    with alone.session("appointment") as session:
        assert [each.patient_id for each in session.scalars(select(Appointment))] == [ADA]
