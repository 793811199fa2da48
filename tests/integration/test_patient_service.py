"""What the patient service answers, on a real database and with its own store."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, event, update
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from config.clock import utc_now
from config.encryption import Unreadable
from config.idempotency import Store
from config.messaging.call import Call
from patient.models import Answer, Patient
from patient.service import PatientService
from schemas import errors
from schemas.fields import as_instant
from tests.integration.databases import migrated, transactions
from tests.integration.people import word
from tests.vaults import vault_for
from tests.waiting import PATIENCE


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    with migrated("patient", database_urls["patient"], vault_for("patient")) as engine:
        yield engine


@pytest.fixture
def service(engine: Engine) -> PatientService:
    """As Nameko hands it to a worker, each change with a key of its own."""

    def call() -> Call:
        key = uuid.uuid4().hex
        return Call(correlation_id="c", deadline=time.time() + PATIENCE, key=key, context={})

    service = PatientService()
    service.store = Store(
        transactions(engine, vault_for("patient")),
        call=call,
        answers=Answer,
        errors=errors,
        vault=vault_for("patient"),
        subject="id",
    )
    service.call, service.clock, service.config = call(), utc_now, {"PHONE_REGION": None}
    return service


def sent(**fields: Any) -> dict[str, Any]:
    return {
        "name": f"Ada {word()}",
        "email": f"{word()}@example.org",
        "phone": "+442079460958",
        "dob": "1985-12-10",
        "address": "London",
    } | fields


@pytest.mark.parametrize("database_urls", ["mariadb"], indirect=True)
def test_a_change_that_had_to_wait_happens_when_its_turn_has_come(
    service: PatientService, engine: Engine
) -> None:
    known = service.create(sent())
    later = utc_now() + timedelta(seconds=30)

    def has_waited(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.endswith("FOR UPDATE"):
            service.clock = lambda: later

    event.listen(engine, "after_cursor_execute", has_waited)
    assert service.update(known["id"], sent())["updatedAt"] == as_instant(later)


def test_a_patient_is_answered_as_sent(service: PatientService) -> None:
    body = sent()
    created = service.create(body)
    assert created.items() >= body.items()
    assert service.get(created["id"]) == created
    replaced = service.update(created["id"], sent(email=None))
    assert service.get(created["id"]) == replaced
    assert replaced["email"] is None


def test_a_patient_is_changed_only_from_a_version_that_is_allowed(service: PatientService) -> None:
    created = service.create(sent())
    assert created["version"] == 1
    changed = service.update(created["id"], sent(), [1])
    assert changed["version"] == 2
    for stale in ([1], [], [3]):
        with pytest.raises(errors.Stale):
            service.update(created["id"], sent(), stale)
    assert service.get(created["id"]) == changed
    assert service.update(created["id"], sent())["version"] == 3


def test_of_changes_of_one_version_at_once_exactly_one_is_made_each_time(
    service: PatientService,
) -> None:
    known, gate, rounds = service.create(sent()), Barrier(8), range(1, 7)

    def race(number: int) -> list[int]:
        """The versions that this one made."""
        made = []
        for version in rounds:
            gate.wait(timeout=PATIENCE)
            with suppress(errors.Stale):
                made.append(service.update(known["id"], sent(), [version])["version"])
        return made

    with ThreadPoolExecutor(8) as pool:
        made = sorted(version for each in pool.map(race, range(8)) for version in each)
    assert made == [version + 1 for version in rounds]


def test_patients_are_found_in_pages(service: PatientService) -> None:
    name = word()
    known = [service.create(sent(name=f"{name} {word()}")) for _ in range(3)]
    first = service.find(q=name, limit=2)
    assert first == {"items": known[:2], "next": known[1]["id"]}
    assert service.find(q=name, limit=2, after=first["next"]) == {"items": known[2:], "next": None}
    assert service.find(q=name, limit=3) == {"items": known, "next": None}
    assert service.find(email=known[1]["email"]) == {"items": [known[1]], "next": None}
    assert service.find(q=word()) == {"items": [], "next": None}


def test_a_search_that_makes_no_sense_is_refused(service: PatientService) -> None:
    with pytest.raises(errors.InvalidInput):
        service.find(q="...")


def test_ciphertext_of_another_patient_fails_the_call_and_shows_nobody(
    service: PatientService, engine: Engine
) -> None:
    name = word()
    one, other = (service.create(sent(name=f"{name} {word()}"))["id"] for _ in range(2))
    with Session(engine) as session, session.begin():
        stolen = session.get_one(Patient, one).address_sealed
        session.execute(update(Patient).filter_by(id=other).values(address_sealed=stolen))
    for ask in (lambda: service.get(other), lambda: service.find(q=name)):
        with pytest.raises(Unreadable) as refused:
            ask()
        assert refused.value.args == ("patient.address_sealed does not open",)


@pytest.mark.parametrize("database_urls", ["sqlite"], indirect=True)
def test_the_files_of_the_embedded_mode_hold_no_personal_word(
    service: PatientService, engine: Engine
) -> None:
    mark = word()
    marked = sent(name=mark, email=f"{mark}@example.org", address=mark)
    known = service.create(marked)
    service.update(known["id"], marked)
    service.update(known["id"], sent())
    file = Path(str(engine.url.database))
    files = [each for each in file.parent.iterdir() if each.name.startswith(file.name)]
    assert len(files) > 1, "the log of the last changes too"
    assert not any(mark.encode() in each.read_bytes() for each in files)
