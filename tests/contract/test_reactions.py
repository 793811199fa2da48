"""What programs do about events: each a process of its own, on a virtual host of its own."""

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest
from kombu import Message
from sqlalchemy import select

from appointment.domain import CANCELLED
from appointment.models import Appointment, Erasure, Inbox, Outbox
from appointment.repository import Appointments
from config.clock import utc_now
from config.messaging.call import CALLER, DEADLINE, KEY
from config.messaging.dead_letters import raw
from gateway.accounts import Accounts
from gateway.models import Account
from schemas.accounts import PATIENT
from tests.broker_proxy import broker_proxy
from tests.contract.house import BACKGROUND, House, erased, wait_for
from tests.waiting import wait_for_a_lock


def book(house: House, patient: int) -> int:
    start = utc_now() + timedelta(days=patient)
    fields = {
        "patient_id": patient, "doctor_id": 1, "starts_at": start,
        "ends_at": start + timedelta(minutes=5), "duration_minutes": 5, "description": "marker",
    }
    with house.session("appointment") as session:
        return Appointments(session).book(fields, now=utc_now(), correlation_id="c").id


def status_of(house: House, appointment_id: int) -> tuple[str, str]:
    with house.session("appointment") as session:
        found = session.get_one(Appointment, appointment_id)
        return found.status, found.description


def told_about(house: House, appointment_id: int) -> list[tuple[int, str]]:
    """What, since it was booked."""
    with house.session("appointment") as session:
        about_it = select(Outbox).filter_by(subject=str(appointment_id))
        rows = session.scalars(about_it.where(Outbox.name != "scheduled"))
        return [(row.sequence, json.loads(row.body)["correlationid"]) for row in rows]


def is_remembered(house: House, patient: int) -> bool:
    with house.session("appointment") as session:
        return session.get(Erasure, patient) is not None


def handled(house: House, event: str) -> int:
    with house.session("appointment") as session:
        return len(session.scalars(select(Inbox).filter_by(event_id=event)).all())


def logins(house: House) -> int:
    with house.session("gateway") as session:
        return len(session.scalars(select(Account)).all())


def is_empty(house: House, program: str) -> bool:
    """Call when nobody listens: what was not acknowledged is back then."""
    queue = house.queue(program)
    return (queue.consumer_count, queue.message_count) == (0, 0)


# Not even events: of these nothing may be kept that is in them.
JUNK = [
    (b"\x80\x04marker", {}),
    (b"{marker", {}),
    (b'"marker"', {}),
    (b"[1, 2]", {}),
    (b"{}", {}),
    (b"cos\nsystem\n(S'marker'\ntR.", {"content_type": "application/x-python-serialize"}),
    (b"marker", {"content_type": "text/plain"}),
    (b"marker", {"content_type": None, "content_encoding": None}),
    (b"marker", {"content_encoding": "unicode_escape"}),
    (b"[" * 100_000, {}),
    (b'{"id": "7", "name": "marker"}', {}),
    (erased(1, id=None, more="marker"), {}),
    (erased(1, id=7), {}),
    (erased(1, id=""), {}),
    (erased(1, id=["marker"]), {}),
    (erased(1, id="m" * 65), {}),
    (erased(1, id="marker\n"), {}),
    (erased(1, specversion=1.0), {}),
    (erased(1, source=None), {}),
    (erased(1), {"headers": {"x-attempt": "marker", "x-letter": 7}, "content_type": "a/b"}),
]
# Events that the handler refuses.
OTHERS = [
    erased(1, correlationid={"marker": 1}),
    erased(1, data={"patientId": "marker"}),
    erased(1, type="patient.updated"),
    erased(1, source="/doctor"),
]
HUGE = json.dumps(erased(1, more="marker" * 500_000))


def letters_for(house: House, program: str) -> list[Message]:
    queue = BACKGROUND[program]
    return [each for each in house.dead_letters() if each.headers["x-queue"] == queue]


@pytest.mark.parametrize("program", BACKGROUND)
def test_junk_on_the_queue_is_described_what_is_refused_is_kept_and_nobody_is_harmed(
    house: House, tmp_path: Path, program: str
) -> None:
    log, found = tmp_path / "log", []
    # What was sent for the other program came here as well.
    house.forget(BACKGROUND[program])
    with house.serving(program, log) as process:
        house.dead_letters()
        for body, properties in (*JUNK, (HUGE, {}), *((event, {}) for event in OTHERS)):
            house.publish(body, **properties)

        def all_are_put_aside() -> bool:
            found.extend(letters_for(house, program))
            return len(found) == len(JUNK) + 1 + len(OTHERS)

        wait_for(all_are_put_aside)
        with house.session("appointment") as session:
            assert session.scalars(select(Erasure)).all() == []
            assert session.scalars(select(Inbox)).all() == []
        assert process.poll() is None
    described = [letter for letter in found if "sha256" in str(letter.body)]
    kept = [letter for letter in found if letter not in described]
    assert sorted(map(raw, kept)) == sorted(json.dumps(event).encode() for event in OTHERS)
    sent = [HUGE, *(body if isinstance(body, bytes) else json.dumps(body) for body, _ in JUNK)]
    assert sorted(json.loads(each.body)["bytes"] for each in described) == sorted(map(len, sent))
    assert "marker" not in str([letter.body for letter in described])
    assert all(letter.headers["x-died-at"] and letter.headers["x-letter"] for letter in found)
    assert "marker" not in log.read_text() + str([letter.headers for letter in found])
    wait_for(lambda: is_empty(house, program))


def test_forged_headers_make_no_difference(house: House, tmp_path: Path) -> None:
    booked = book(house, 11)
    with house.serving("appointment-background", tmp_path / "log") as process:
        forged = {CALLER: "marker", DEADLINE: 1, KEY: "marker", "correlation_id": "marker"}
        headers = {f"nameko.{name}": value for name, value in forged.items()}
        house.publish(erased(11), headers=headers, reply_to="marker")
        wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
        assert process.poll() is None
    assert told_about(house, booked) == [(2, "told-by-test")]
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
            # Twice: it rests, and comes again.
            wait_for(lambda: sum(
                failed in line and "Unavailable" in line for line in log.read_text().splitlines()
            ) >= 2)
            assert told_about(house, booked) == []
            proxy.restore()
            wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
    assert told_about(house, booked) == [(2, "told-by-test")]
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
    assert told_about(house, booked) == [(2, "told-by-test")]


def test_a_handler_that_loses_the_broker_while_it_works_stays_up_and_acts_once(
    house: House, tmp_path: Path
) -> None:
    booked, log = book(house, 15), tmp_path / "log"
    with broker_proxy(house.environ["AMQP_URI"]) as proxy:
        with house.serving("appointment-background", log, AMQP_URI=proxy.uri) as process:
            with house.session("appointment") as holding:
                holding.scalar(select(Appointment).filter_by(id=booked).with_for_update())
                house.publish(erased(15))
                wait_for_a_lock(holding.get_bind())
                proxy.cut()
            # Done with nobody there to tell it to.
            wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
            proxy.restore()
            wait_for(lambda: house.queue("appointment-background").consumer_count == 1)
            house.publish(erased(16))
            wait_for(lambda: is_remembered(house, 16))
            assert process.poll() is None
    assert told_about(house, booked) == [(2, "told-by-test")]
    wait_for(lambda: is_empty(house, "appointment-background"))


def test_a_process_that_is_killed_between_its_effect_and_the_acknowledgement_acts_once(
    house: House, tmp_path: Path
) -> None:
    booked, event = book(house, 17), erased(17)
    with broker_proxy(house.environ["AMQP_URI"]) as proxy:
        first = tmp_path / "first"
        with house.serving("appointment-background", first, AMQP_URI=proxy.uri) as process:
            with house.session("appointment") as holding:
                holding.scalar(select(Appointment).filter_by(id=booked).with_for_update())
                house.publish(event)
                wait_for_a_lock(holding.get_bind())
                proxy.cut()
            wait_for(lambda: status_of(house, booked) == (CANCELLED, "(erased)"))
            process.kill()
            process.wait()
    second = tmp_path / "second"
    with house.serving("appointment-background", second, LOG_LEVEL="DEBUG"):
        wait_for(lambda: '"appointment_background.patient_erased"' in second.read_text())
    wait_for(lambda: is_empty(house, "appointment-background"))
    assert told_about(house, booked) == [(2, "told-by-test")]
    assert handled(house, event["id"]) == 1


def test_events_that_come_twice_and_shuffled_have_each_their_effect_once(
    house: House, tmp_path: Path
) -> None:
    booked = {patient: book(house, patient) for patient in range(30, 50)}
    house.dead_letters()
    events = [erased(patient) for patient in booked] * 2
    random.Random(5).shuffle(events)
    with house.serving("appointment-background", tmp_path / "log"):
        for event in events:
            house.publish(event)
        for number in booked.values():
            wait_for(lambda number=number: status_of(house, number) == (CANCELLED, "(erased)"))
        wait_for(lambda: house.waiting(BACKGROUND["appointment-background"]) == 0)
    wait_for(lambda: is_empty(house, "appointment-background"))
    assert all(told_about(house, number) == [(2, "told-by-test")] for number in booked.values())
    assert {handled(house, event["id"]) for event in events} == {1}
    assert letters_for(house, "appointment-background") == []


def test_an_event_that_was_told_before_the_first_start_of_whom_it_is_for_is_acted_on(
    house: House, tmp_path: Path
) -> None:
    with house.session("gateway") as session:
        fields = {"role": PATIENT, "subject_id": 14, "password_hash": "no hash"}
        Accounts(session).open(fields, email="ada@example.org", now=utc_now())
    house.publish(erased(14))
    with house.serving("gateway-background", tmp_path / "log"):
        wait_for(lambda: not logins(house))
    wait_for(lambda: is_empty(house, "gateway-background"))
