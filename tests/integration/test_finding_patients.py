"""Patients are found by whole words of their names, and by their address."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from config.database import Transactions
from patient.models import PatientWord
from patient.repository import Patients
from schemas.errors import EmailTaken
from tests.integration.databases import migrated, transactions
from tests.integration.people import NOW, person, word
from tests.vaults import vault_for


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    with migrated("patient", database_urls["patient"], vault_for("patient")) as engine:
        yield engine


@pytest.fixture
def database(engine: Engine) -> Transactions:
    return transactions(engine, vault_for("patient"))


def register(database: Transactions, **fields: Any) -> int:
    return database.run(
        lambda session: Patients(session).register(person(**fields), now=NOW).id
    )


def replace(database: Transactions, patient_id: int, **fields: Any) -> None:
    database.run(
        lambda session: Patients(session).replace(
            Patients(session).get_locked(patient_id), person(**fields), now=NOW
        )
    )


def found(
    database: Transactions,
    *,
    name: str | None = None,
    email: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[int]:
    def look(session: Session) -> list[int]:
        patients = Patients(session).find(name=name, email=email, after=after, limit=limit)
        return [each.id for each in patients]

    return database.run(look)


def test_a_patient_is_found_by_any_words_of_the_name_in_any_order(database: Transactions) -> None:
    first, last = word(), word()
    ada = register(database, name=f"{first} Élise {last}")
    for name in (first, last.upper(), f"{last}, {first}", f"elise {first}"):
        assert found(database, name=name) == [ada]


@pytest.mark.parametrize("other", ["{first}x {last}", "{first} {last} absent"])
def test_every_word_must_be_there_and_whole(database: Transactions, other: str) -> None:
    first, last = word(), word()
    register(database, name=f"{first} {last}")
    assert found(database, name=other.format(first=first, last=last)) == []
    assert found(database, name=first[:-1]) == []


def test_a_patient_is_found_by_the_address_without_regard_to_case(database: Transactions) -> None:
    address = f"{word()}@example.org"
    ada = register(database, email=address)
    register(database)
    assert found(database, email=address.title()) == [ada]
    assert found(database, email=f"x{address}") == []


def test_name_and_address_must_both_fit(database: Transactions) -> None:
    name, address = word(), f"{word()}@example.org"
    ada = register(database, name=name, email=address)
    register(database, name=name)
    assert found(database, name=name, email=address) == [ada]
    assert found(database, name=word(), email=address) == []


def test_who_is_found_comes_in_pages_by_id(database: Transactions) -> None:
    name = word()
    ids = [register(database, name=f"{name} {word()}") for _ in range(5)]
    assert found(database, name=name, limit=2) == ids[:2]
    assert found(database, name=name, after=ids[1], limit=2) == ids[2:4]
    assert found(database, name=name, after=ids[4], limit=2) == []


def test_a_replaced_patient_is_found_by_the_new_name_and_address_only(
    database: Transactions,
) -> None:
    kept, before, after, address = word(), word(), word(), f"{word()}@example.org"
    ada = register(database, name=f"{kept} {before}", email=address)
    replace(database, ada, name=f"{kept} {after} {after}", email=None)
    assert found(database, name=f"{kept} {after}") == [ada]
    assert found(database, name=before) == found(database, email=address) == []


def test_an_address_is_taken_whatever_its_case(database: Transactions) -> None:
    address = f"{word()}@example.org"
    register(database, email=address)
    other = register(database)
    with pytest.raises(EmailTaken):
        register(database, email=address.upper())
    with pytest.raises(EmailTaken):
        replace(database, other, email=address.upper())


def test_a_name_with_one_word_twice_has_one_row(database: Transactions, engine: Engine) -> None:
    name = word()
    ada = register(database, name=f"{name} {name.upper()}")
    with Session(engine) as session:
        assert len(session.scalars(select(PatientWord).filter_by(patient_id=ada)).all()) == 1
