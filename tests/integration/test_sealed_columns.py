"""Personal columns: sealed by the migration and ever after, and no use to who moves them about."""

import json
from collections.abc import Iterator, Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from appointment.repository import Appointments
from config import sealing
from config.answers import fingerprint_of, key_of
from config.database import connect
from config.encryption import Unreadable
from config.migration import downgrade, upgrade
from config.programs import catalogue
from doctor.models import DoctorWord
from doctor.repository import Doctors
from patient.models import Answer
from patient.repository import Patients
from tests.integration.databases import migrated, transactions
from tests.integration.people import NOW, doctor, person, word
from tests.vaults import vault_for

AT = "2027-03-01 09:00:00.250000"
TIMES = ("created_at", "updated_at", "starts_at", "ends_at")
SHARED = {"version": 3, "sequence": 4, "created_at": AT, "updated_at": AT}
OLD: dict[str, dict[str, Any]] = {
    "patient": {
        "id": 7,
        "name": "Ada Markerword",
        "email": "Ada.Markerword@example.org",
        "email_key": "ada.markerword@example.org",
        "phone": "+442079460958",
        "dob": "1985-12-10",
        "address": "12 Markerword Square\nLondon",
        **SHARED,
    },
    "doctor": {
        "id": 7,
        "name": "Dr Markerword",
        "email": None,
        "email_key": None,
        "phone": "+442079460321",
        "speciality": "General practice",
        "timezone": "Europe/London",
        **SHARED,
    },
    "appointment": {
        "id": 7,
        "patient_id": 8,
        "doctor_id": 9,
        "starts_at": AT,
        "ends_at": AT,
        "duration_minutes": 30,
        "description": "Markerword 👩‍⚕️",
        "status": "cancelled",
        "cancel_reason": "Markerword again",
        "uncovered": False,
        **SHARED,
    },
}
# What of it is personal, as the repositories give it.
PERSONAL = {
    name: {column: value for column, value in OLD[name].items() if column in columns}
    for name, columns in {
        "patient": ("name", "email", "phone", "dob", "address"),
        "doctor": ("name", "email", "phone"),
        "appointment": ("description", "cancel_reason"),
    }.items()
}
PERSONAL["patient"]["dob"] = date(1985, 12, 10)
REPOSITORIES = {"patient": Patients, "doctor": Doctors, "appointment": Appointments}
CALL, REQUEST = ("operator", "k"), ("create", 1)
OLD_ANSWER = {
    "key": sha256(b'["operator","k"]').hexdigest(),
    "fingerprint": sha256(b'["create",1]').hexdigest(),
    "answer": '{"result": {"id": 7, "patientId": 8, "name": "Markerword"}}',
    "answered_at": AT,
}


def insert(engine: Engine, table: str, values: Mapping[str, Any]) -> None:
    columns, names = ", ".join(f"`{name}`" for name in values), ", ".join(f":{n}" for n in values)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({names})"), dict(values))


def everything(engine: Engine) -> bytes:
    """Every cell of every table, as one text to search."""
    with engine.connect() as connection:
        cells = [
            cell
            for table in inspect(connection).get_table_names()
            for row in connection.execute(text(f"SELECT * FROM {table}"))
            for cell in row
        ]
    return b"\n".join(c if isinstance(c, bytes) else str(c).encode() for c in cells).lower()


@pytest.fixture(params=list(OLD))
def old(
    request: pytest.FixtureRequest, database_urls: dict[str, URL]
) -> Iterator[tuple[str, URL]]:
    """A service and a database of the version before, with a record and a kept answer in it."""
    name = request.param
    shared = database_urls[name]
    url = shared.set(database=str(shared.database).replace(name, f"{name}_{word()[:8]}"))
    upgrade(scripts=catalogue().databases[name], url=url, to="0001")
    engine = connect(url.render_as_string(hide_password=False))
    insert(engine, name, OLD[name])
    insert(engine, "answer", OLD_ANSWER)
    yield name, url
    if engine.dialect.name == "mysql":
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE `{url.database}`"))
    engine.dispose()


def read(engine: Engine, name: str) -> dict[str, Any]:
    def work(session: Session) -> dict[str, Any]:
        row = REPOSITORIES[name](session).get(7)
        return {field: getattr(row, field) for field in PERSONAL[name]}

    return transactions(engine, vault_for(name)).run(work)


# The upgrade


def test_what_was_stored_in_plain_is_readable_after_the_upgrade_and_plain_nowhere(
    old: tuple[str, URL],
) -> None:
    name, url = old
    with migrated(name, url, vault_for(name)) as engine:
        assert read(engine, name) == PERSONAL[name]
        assert b"markerword" not in everything(engine)
    if url.get_backend_name() == "sqlite":
        file = Path(str(url.database))
        left = [each.read_bytes() for each in file.parent.iterdir() if file.stem in each.name]
        assert left and not any(b"arkerword" in each for each in left)


@pytest.mark.parametrize("old", ["patient"], indirect=True)
def test_people_of_before_the_upgrade_are_found_by_name_and_address(old: tuple[str, URL]) -> None:
    name, url = old
    with migrated(name, url, vault_for(name)) as engine:

        def find(session: Session) -> list[int]:
            address = "ada.markerword@example.org"
            found = Patients(session).find(name="markerword", email=address, after=0, limit=9)
            return [each.id for each in found]

        assert transactions(engine, vault_for(name)).run(find) == [7]


def test_an_answer_kept_before_the_upgrade_is_still_the_answer(old: tuple[str, URL]) -> None:
    name, url = old
    vault = vault_for(name)
    with migrated(name, url, vault) as engine, Session(engine) as session:
        # The tables of answers are the same in each service.
        row = session.get(Answer, key_of(CALL, vault))
        assert row is not None
        assert row.fingerprint == fingerprint_of(REQUEST, vault)
        assert row.subject == (8 if name == "appointment" else 7)
        text = vault.open(row.answer, table="answer", column="answer", row=row.key)
        assert json.loads(text) == json.loads(OLD_ANSWER["answer"])


def test_the_way_back_opens_what_was_sealed(old: tuple[str, URL]) -> None:
    name, url = old
    scripts, vault = catalogue().databases[name], vault_for(name)
    upgrade(scripts=scripts, url=url, vault=vault)
    downgrade(scripts=scripts, url=url, vault=vault, to="0001")
    engine = connect(url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        row = connection.execute(text(f"SELECT * FROM {name}")).mappings().one()
        kept = {column: str(row[column]) for column in OLD[name]}
    engine.dispose()
    assert kept == {column: str(value) for column, value in OLD[name].items()} | {
        column: kept[column] for column in ("uncovered", *TIMES) if column in kept
    }


def test_an_upgrade_that_was_cut_off_goes_on_where_it_was(
    old: tuple[str, URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, url = old
    scripts, vault = catalogue().databases[name], vault_for(name)
    for step in ("_replace", "_rebuild", "_seal_answer"):
        with monkeypatch.context() as cut:
            cut.setattr(sealing, step, _lose_power)
            with pytest.raises(ConnectionAbortedError):
                upgrade(scripts=scripts, url=url, vault=vault)
    with migrated(name, url, vault) as engine:
        assert read(engine, name) == PERSONAL[name]


def _lose_power(*args: object, **kwargs: object) -> None:
    raise ConnectionAbortedError


def test_an_upgrade_without_keys_says_what_it_needs_and_changes_nothing(
    old: tuple[str, URL],
) -> None:
    name, url = old
    with pytest.raises(LookupError, match="DATA_KEYS and INDEX_KEYS"):
        upgrade(scripts=catalogue().databases[name], url=url)
    with migrated(name, url, vault_for(name)) as engine:
        assert read(engine, name) == PERSONAL[name]


# From then on


@pytest.fixture
def patients(database_urls: dict[str, URL]) -> Iterator[Engine]:
    with migrated("patient", database_urls["patient"], vault_for("patient")) as engine:
        yield engine


def register(engine: Engine, **fields: Any) -> int:
    return transactions(engine, vault_for("patient")).run(
        lambda session: Patients(session).register(person(**fields), now=NOW).id
    )


def test_what_is_registered_and_replaced_is_plain_nowhere(patients: Engine) -> None:
    mark = word()
    marked = {"name": mark, "email": f"{mark}@example.org", "address": mark}
    first, second = register(patients, **marked), register(patients)
    transactions(patients, vault_for("patient")).run(
        lambda session: Patients(session).replace(
            Patients(session).get_locked(first), person(), now=NOW
        )
    )
    transactions(patients, vault_for("patient")).run(
        lambda session: Patients(session).replace(
            Patients(session).get_locked(second), person(**marked), now=NOW
        )
    )
    assert mark.encode() not in everything(patients)


@pytest.mark.parametrize("column", ["name", "email", "phone", "dob", "address"])
def test_ciphertext_put_into_another_row_does_not_open(patients: Engine, column: str) -> None:
    one, other = register(patients), register(patients)
    _copy(patients, f"{column}_sealed", source=one, target=other)

    def look(session: Session) -> object:
        return getattr(Patients(session).get(other), column)

    with pytest.raises(Unreadable, match=f"^patient.{column}_sealed does not open$"):
        transactions(patients, vault_for("patient")).run(look)


def _copy(engine: Engine, column: str, *, source: int, target: int) -> None:
    with engine.begin() as connection:
        stolen = connection.execute(
            text(f"SELECT {column} FROM patient WHERE id = :id"), {"id": source}
        ).scalar_one()
        connection.execute(
            text(f"UPDATE patient SET {column} = :stolen WHERE id = :id"),
            {"stolen": stolen, "id": target},
        )


def test_a_doctors_name_is_kept_in_words(database_urls: dict[str, URL]) -> None:
    vault, first, last = vault_for("doctor"), word(), word()
    with migrated("doctor", database_urls["doctor"], vault) as engine:

        def words(session: Session) -> set[str]:
            doctors = Doctors(session)
            known = doctors.register(doctor(name=f"{first} {first}"), now=NOW)
            doctors.replace(known, doctor(name=f"Dr {last}"), now=NOW)
            return set(session.scalars(select(DoctorWord.word).filter_by(doctor_id=known.id)))

        found = transactions(engine, vault).run(words)
    assert found == {vault.index("name", each) for each in ("dr", last)}
