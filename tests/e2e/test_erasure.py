"""What patients may ask for about their own data, and what is left when they have gone."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from config.database import connect
from config.encryption import Vault
from config.environments import kept_values
from config.keys import parse_ring
from config.programs import catalogue
from config.settings import Settings, embedded_settings
from tests.e2e.desk import (
    Desk,
    Json,
    Person,
    book,
    eventually,
    morning,
    patient_body,
    problem,
    register_patient,
    stored,
    unique,
)
from tests.integration.clinic import readable
from tests.systems import System


@pytest.fixture
def desk(system: System) -> Iterator[Desk]:
    with ExitStack() as ending:
        yield Desk(system, ending)


@pytest.fixture
def mark() -> str:
    return unique()


@pytest.fixture
def ada(desk: Desk, mark: str) -> Person:
    return desk.patient(name=f"Ada {mark}", email=f"{mark}@example.org", address=mark)


def booked(desk: Desk, patient: Person, mark: str, *, days: int = 40) -> Json:
    doctor = desk.doctor()
    return stored(book(patient.client, patient.record, doctor.record, morning(days),
                       description=mark))


def erase(desk: Desk, patient: Person) -> None:
    answer = desk.admin.delete(f"/patients/{patient.id}")
    assert (answer.status_code, answer.json()) == (202, {"status": "erasing"})


def is_erased(desk: Desk, appointment: Json) -> bool:
    found = desk.admin.get(f"/appointments/{appointment['id']}").json()
    return (found["description"], found["status"]) == ("(erased)", "cancelled")


def test_patients_take_everything_with_them(desk: Desk, ada: Person, mark: str) -> None:
    appointment = booked(desk, ada, mark)
    answer = ada.client.get(f"/patients/{ada.id}/export")
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["Content-Disposition"]
    export = answer.json()
    assert export["patient"] == ada.record
    (told,) = export["appointments"]
    assert [line["what"] for line in told.pop("history")] == ["scheduled"]
    assert told == appointment
    assert export["legalHold"] is None
    assert [login["email"] for login in export["logins"]] == [ada.email]
    assert {each["role"] for each in export["accessLog"]["items"]} >= {"patient"}


def test_what_is_held_is_not_erased_before_it_is_released(
    desk: Desk, ada: Person, mark: str
) -> None:
    place = f"/patients/{ada.id}/legal-hold"
    for reason in ("A dispute.", f"Another {mark}."):
        assert desk.admin.put(place, json={"reason": reason}).status_code == 204
    problem(ada.client.delete(f"/patients/{ada.id}"), 409, "legal_hold")
    export = ada.client.get(f"/patients/{ada.id}/export").json()
    assert export["legalHold"]["reason"] == f"Another {mark}."
    for _ in range(2):
        assert desk.admin.delete(place).status_code == 204
    assert ada.client.delete(f"/patients/{ada.id}").status_code == 202
    problem(desk.admin.put(place, json={"reason": "Too late."}), 404, "not_found")


def test_an_erased_patient_is_gone_and_their_appointments_are_cancelled(
    desk: Desk, ada: Person, mark: str
) -> None:
    appointment = booked(desk, ada, mark)
    assert ada.client.delete(f"/patients/{ada.id}").status_code == 202
    problem(ada.client.get("/me"), 401, "unauthenticated")
    login = {"email": ada.email, "password": ada.password}
    problem(desk.nobody.post("/auth/login", json=login), 401, "bad_credentials")
    for path in (f"/patients/{ada.id}", f"/patients/{ada.id}/export"):
        problem(desk.admin.get(path), 404, "not_found")
    eventually(lambda: is_erased(desk, appointment), what="cancelled")
    again = book(desk.admin, ada.record, {"id": appointment["doctorId"]}, morning(40))
    problem(again, 422, "unknown_patient")
    erase(desk, ada)
    anew = desk.patient(name=f"Ada {mark}", email=ada.email)
    assert anew.id != ada.id and anew.client.get(f"/patients/{anew.id}").status_code == 200
    problem(anew.client.get(f"/appointments/{appointment['id']}"), 404, "not_found")


def test_nothing_can_be_read_of_an_erased_patient_even_with_the_keys(
    desk: Desk, ada: Person, mark: str
) -> None:
    appointment = booked(desk, ada, mark)
    other = booked(desk, ada, mark, days=41)
    ended = desk.admin.delete(f"/appointments/{other['id']}", params={"reason": f"ill {mark}"})
    assert ended.status_code == 204
    changed = patient_body(name=f"Ada {mark}", email=ada.email, address=f"Elsewhere {mark}")
    assert ada.client.put(f"/patients/{ada.id}", json=changed).status_code == 200
    reason = {"reason": f"A dispute {mark}."}
    assert desk.admin.put(f"/patients/{ada.id}/legal-hold", json=reason).status_code == 204
    assert any(mark in text for text in everything(desk.system))
    assert desk.admin.delete(f"/patients/{ada.id}/legal-hold").status_code == 204
    erase(desk, ada)
    eventually(lambda: is_erased(desk, appointment), what="cancelled")
    assert [text for text in everything(desk.system) if mark in text] == []
    assert mark not in desk.system.log_text()


def test_staff_who_send_a_registration_again_learn_that_the_patient_has_gone(
    desk: Desk, mark: str
) -> None:
    body, key = patient_body(name=f"Ada {mark}"), {"Idempotency-Key": f"key-{mark}"}
    first = stored(desk.admin.post("/patients", json=body, headers=key))
    assert desk.admin.delete(f"/patients/{first['id']}").status_code == 202
    problem(desk.admin.post("/patients", json=body, headers=key), 404, "not_found")
    assert register_patient(desk.admin, email=body["email"])["id"] != first["id"]


def everything(system: System) -> Iterator[str]:
    """All that can be read in any database by who has the keys."""
    settings, environ = _settings(system)
    rings = (parse_ring(environ[name]) for name in ("DATA_KEYS", "INDEX_KEYS"))
    data, index = rings
    for name in catalogue().databases:
        url = settings.database(name).render_as_string(hide_password=False)
        engine = connect(url, pool_size=1)
        yield from readable(engine, Vault(data, index, name))
        engine.dispose()


def _settings(system: System) -> tuple[Settings, dict[str, str]]:
    if "DATABASE_URL" in system.environ:
        return (
            replace(embedded_settings(), amqp_uri="", database_url=system.environ["DATABASE_URL"]),
            dict(system.environ),
        )
    folder = Path(system.environ["DATA_DIR"])
    return replace(embedded_settings(), data_dir=folder), kept_values(folder / "keys.env")
