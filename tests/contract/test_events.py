"""Events as downstream consumers meet them: through the real broker, as documented."""

import json
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import NotFound
from kombu import Connection, Exchange, Queue
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from appointment.models import Outbox
from config.database import connect
from config.environments import kept_values
from config.messaging.topology import outbox_wake
from schemas.events import DATA, NAMES, EventSchema
from tests.systems import System, plain_environ, running
from tests.waiting import PATIENCE, wait_for

CONSUMERS = Path(__file__).parents[2] / "docs" / "consumers"
PATIENT = {
    "name": "Grace Marker",
    "phone": "+442079460958",
    "dob": "1985-12-10",
    "address": "Markerstreet 1",
}
DOCTOR = {"name": "Dr E", "phone": "+442079460321", "speciality": "General practice"}


@pytest.fixture
def subscription(stack: System) -> Iterator[Queue]:
    """A queue of one's own that gets every event from now on."""
    with Connection(stack.environ["AMQP_URI"]) as connection:
        queue = Queue(f"test-{uuid.uuid4().hex}", exclusive=True)(connection.default_channel)
        queue.declare()
        for source in NAMES:
            Exchange(f"{source}.events", type="topic")(connection.default_channel).declare()
            queue.bind_to(f"{source}.events", routing_key="#")
        yield queue


@pytest.fixture
def consumer(stack: System) -> str:
    """The address of whoever subscribes; where no users can be made, the administrator's."""
    file = stack.logs / "programs" / "consumer.env"
    return kept_values(file)["AMQP_URI"] if file.exists() else stack.environ["AMQP_URI"]


def register(stack: System) -> tuple[int, int]:
    with stack.client() as http:
        return (
            http.post("/patients", json=PATIENT).json()["id"],
            http.post("/doctors", json=DOCTOR).json()["id"],
        )


def book_and_cancel(stack: System, patient: int, doctor: int, **headers: str) -> int:
    date = (datetime.now(UTC) + timedelta(days=40)).strftime("%Y-%m-%dT10:00:00Z")
    body = {"patientId": patient, "doctorId": doctor, "date": date, "description": "Markerpain"}
    with stack.client() as http:
        made = http.post("/appointments", json=body, headers=headers)
        assert made.status_code == 201, made.text
        number: int = made.json()["id"]
        for _ in range(2):
            assert http.delete(f"/appointments/{number}", headers=headers).status_code == 204
    return number


def take(queue: Queue, number: int) -> list[Any]:
    messages: list[Any] = []

    def enough() -> bool:
        message = queue.get(no_ack=True)
        if message is not None:
            messages.append(message)
        return len(messages) == number

    wait_for(enough)
    return messages


def test_each_change_is_told_once_in_order_as_its_schema_says(
    stack: System, subscription: Queue
) -> None:
    patient, doctor = register(stack)
    with stack.client() as http:
        http.put(f"/patients/{patient}", json=PATIENT | {"address": "Elsewhere 2"})
        http.put(f"/doctors/{doctor}", json=DOCTOR | {"speciality": "Surgery"})
    appointment = book_and_cancel(stack, patient, doctor, **{"X-Correlation-Id": "told-once"})
    messages = take(subscription, 6)
    told = sorted((event.payload["type"], event.payload["sequence"]) for event in messages)
    assert told == [
        ("appointment.cancelled", 2),
        ("appointment.scheduled", 1),
        ("doctor.registered", 1),
        ("doctor.updated", 2),
        ("patient.registered", 1),
        ("patient.updated", 2),
    ]
    for message in messages:
        _check_event(message)
    booked = [event.payload for event in messages if event.payload["source"] == "/appointment"]
    assert [event["sequence"] for event in booked] == [1, 2]
    assert {event["subject"] for event in booked} == {str(appointment)}
    assert {event["correlationid"] for event in booked} == {"told-once"}
    assert subscription.get(no_ack=True) is None, "a repeated cancellation is told to nobody"


def test_an_erasure_is_told_by_number_and_cancels_what_is_to_come(
    stack: System, subscription: Queue
) -> None:
    patient, doctor = register(stack)
    date = (datetime.now(UTC) + timedelta(days=41)).strftime("%Y-%m-%dT10:00:00Z")
    body = {"patientId": patient, "doctorId": doctor, "date": date, "description": "Markerpain"}
    with stack.client() as http:
        booked = http.post("/appointments", json=body).json()["id"]
        erased = http.delete(f"/patients/{patient}", headers={"X-Correlation-Id": "told-gone"})
        assert erased.status_code == 202, erased.text
    messages = take(subscription, 5)
    for message in messages:
        _check_event(message)
    told = {event.payload["type"]: event.payload for event in messages}
    gone, cancelled = told["patient.erased"], told["appointment.cancelled"]
    assert (gone["subject"], gone["sequence"]) == (str(patient), 2)
    assert gone["data"] == {"patientId": patient}
    assert (cancelled["subject"], cancelled["sequence"]) == (str(booked), 2)
    assert {gone["correlationid"], cancelled["correlationid"]} == {"told-gone"}


def _check_event(message: Any) -> None:
    event = message.payload
    assert EventSchema().validate(event) == {}
    assert DATA[event["source"].strip("/")]().validate(event["data"]) == {}
    assert event["type"] == f"{event['source'].strip('/')}.{message.delivery_info['routing_key']}"
    assert message.properties["delivery_mode"] == 2
    assert message.properties["message_id"] == event["id"]
    assert message.content_type == "application/json"
    assert not re.search("marker", json.dumps(event), re.IGNORECASE), "personal data in an event"


def test_what_is_published_is_marked_and_leaves_no_gap_in_any_sequence(stack: System) -> None:
    book_and_cancel(stack, *register(stack))
    url = make_url(stack.environ["DATABASE_URL"])
    engine = connect(
        url.set(database=f"{url.database}_appointment").render_as_string(hide_password=False)
    )

    def unpublished() -> int:
        with Session(engine) as session:
            return len(session.scalars(select(Outbox).where(Outbox.published_at.is_(None))).all())

    wait_for(lambda: unpublished() == 0)
    with Session(engine) as session:
        rows = session.execute(select(Outbox.subject, Outbox.sequence).order_by(Outbox.position))
        sequences: dict[str, list[int]] = {}
        for subject, sequence in rows:
            sequences.setdefault(subject, []).append(sequence)
    assert sequences
    assert all(seen == list(range(1, len(seen) + 1)) for seen in sequences.values())
    engine.dispose()


def test_each_service_wakes_the_relay_of_its_events_and_the_relay_listens(stack: System) -> None:
    with Connection(stack.environ["AMQP_URI"]) as connection:
        woken = Queue(f"test-{uuid.uuid4().hex}", exclusive=True)(connection.default_channel)
        woken.declare()
        woken.bind_to(outbox_wake().name, routing_key="#")
        book_and_cancel(stack, *register(stack))
        keys: set[str] = set()

        def told() -> bool:
            while message := woken.get(no_ack=True):
                keys.add(message.delivery_info["routing_key"])
            return keys == set(NAMES)

        wait_for(told)
    for source in NAMES:
        log = (stack.logs / f"{source}-background.log").read_text()
        assert "nothing wakes the relay" not in log and "relay waits" not in log


def test_a_subscriber_whose_queue_is_full_does_not_keep_events_from_the_others(
    stack: System, subscription: Queue
) -> None:
    with Connection(stack.environ["AMQP_URI"]) as broker:
        full = Queue(
            f"full-{uuid.uuid4().hex}",
            Exchange("patient.events", type="topic"),
            routing_key="#",
            exclusive=True,
            queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
        )(broker.default_channel)
        full.declare()
        people = {str(register(stack)[0]) for _ in range(3)}
        # Refused events come again until the queue has room, so others see some twice.
        told: set[str] = set()
        wait_for(lambda: people <= _told(subscription, told))
        full.delete()
    book_and_cancel(stack, *register(stack))


def _told(queue: Queue, subjects: set[str]) -> set[str]:
    while message := queue.get(no_ack=True):
        if message.payload["source"] == "/patient":
            subjects.add(message.payload["subject"])
    return subjects


NAMEKO = [
    str(Path(sys.executable).with_name("nameko")), "run", "--config", "with_nameko.yml",
    "with_nameko",
]
KOMBU = [sys.executable, "with_kombu.py"]


@pytest.mark.parametrize(
    ("argv", "queues", "expected"),
    [
        (
            NAMEKO,
            [
                "evt-appointment-scheduled--consumer_front_desk.booked",
                "evt-appointment-cancelled--consumer_front_desk.cancelled",
            ],
            ["booked {id} ", "cancelled {id} "],
        ),
        (KOMBU, ["consumer-billing"], ["scheduled {id} 1", "cancelled {id} 2"]),
    ],
    ids=["nameko", "kombu"],
)
def test_the_documented_consumer_prints_a_booking_and_its_cancellation(
    stack: System,
    consumer: str,
    tmp_path: Path,
    argv: list[str],
    queues: list[str],
    expected: list[str],
) -> None:
    amqp, log = stack.environ["AMQP_URI"], tmp_path / "log"
    command = [part.format(amqp=consumer) for part in argv]
    environ = plain_environ(CONSUMER_AMQP_URI=consumer)
    patient, doctor = register(stack)
    with running(command, environ=environ, log=log, folder=CONSUMERS), Connection(amqp) as broker:
        wait_for(lambda: all(_consumed(broker, queue) for queue in queues))
        number = book_and_cancel(stack, patient, doctor)
        lines = [line.format(id=number) for line in expected]
        wait_for(lambda: all(line in log.read_text() for line in lines))
    with Connection(amqp) as broker:
        for queue in queues:
            broker.default_channel.queue_delete(queue)


def test_the_consumer_with_kombu_ends_quietly_on_ctrl_c(
    stack: System, consumer: str, tmp_path: Path
) -> None:
    amqp, log = stack.environ["AMQP_URI"], tmp_path / "log"
    environ = plain_environ(CONSUMER_AMQP_URI=consumer)
    with running(KOMBU, environ=environ, log=log, folder=CONSUMERS) as process:
        with Connection(amqp) as broker:
            wait_for(lambda: _consumed(broker, "consumer-billing"))
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
            broker.default_channel.queue_delete("consumer-billing")
    assert log.read_text() == ""


def test_the_consumer_with_kombu_says_that_the_broker_is_away_and_ends_all_the_same(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    environ = plain_environ(CONSUMER_AMQP_URI="amqp://guest:guest@127.0.0.1:1//")
    with running(KOMBU, environ=environ, log=log, folder=CONSUMERS) as process:
        wait_for(lambda: "no broker" in log.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("argv", [NAMEKO, KOMBU], ids=["nameko", "kombu"])
def test_a_consumer_without_an_address_says_where_it_is(argv: list[str]) -> None:
    command = [part.format(amqp="") for part in argv]
    ended = subprocess.run(
        command, env=plain_environ(), cwd=CONSUMERS, capture_output=True, text=True,
        timeout=2 * PATIENCE,
    )
    assert ended.returncode == 1
    *_, said = ended.stderr.splitlines()
    assert said.startswith("CONSUMER_AMQP_URI must be set") and "stack.env" in said


def _consumed(broker: Connection, queue: str) -> bool:
    with broker.channel() as channel:
        try:
            return channel.queue_declare(queue, passive=True).consumer_count > 0
        except NotFound:
            return False
