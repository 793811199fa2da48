"""Doctors are found by whole words of their names, and by what they do."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from doctor.service import DoctorService
from schemas import errors
from tests.integration.clinic import Clinic
from tests.integration.databases import migrated
from tests.integration.people import word
from tests.vaults import vault_for


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    with migrated("doctor", database_urls["doctor"], vault_for("doctor")) as engine:
        yield engine


@pytest.fixture
def doctors(engine: Engine) -> DoctorService:
    return Clinic({"doctor": engine}).doctors()


def sent(**fields: Any) -> dict[str, Any]:
    return {"name": f"Dr {word()}", "phone": "+442079460321", "speciality": word()} | fields


def found(doctors: DoctorService, **asked: Any) -> list[int]:
    return [each["id"] for each in doctors.find(**asked)["items"]]


def test_a_doctor_is_answered_as_sent_with_the_version_of_the_record(
    doctors: DoctorService,
) -> None:
    body = sent(email=f"{word()}@example.org", timezone="Asia/Kolkata")
    created = doctors.create(body)
    assert created.items() >= {**body, "version": 1}.items()
    assert doctors.get(created["id"]) == created
    replaced = doctors.update(created["id"], sent())
    assert (replaced["version"], replaced["email"]) == (2, None)
    assert doctors.get(created["id"]) == replaced


def test_a_doctor_who_is_created_without_a_time_zone_is_in_the_clinics(
    doctors: DoctorService,
) -> None:
    assert doctors.create(sent())["timezone"] == "Europe/London"


def test_the_address_of_a_doctor_is_nobody_elses(doctors: DoctorService) -> None:
    address = f"{word()}@example.org"
    doctors.create(sent(email=address))
    other = doctors.create(sent())
    for change in (
        lambda: doctors.create(sent(email=address.upper())),
        lambda: doctors.update(other["id"], sent(email=address.upper(), timezone="Asia/Tokyo")),
    ):
        with pytest.raises(errors.EmailTaken):
            change()
    assert doctors.get(other["id"]) == other


def test_a_doctor_is_found_by_any_words_of_the_name_in_any_order(doctors: DoctorService) -> None:
    first, last = word(), word()
    known = doctors.create(sent(name=f"Dr {first} Élise {last}"))["id"]
    for q in (first, last.upper(), f"{last}, {first}", f"elise {first}"):
        assert found(doctors, q=q) == [known]
    for q in (f"{first}x", first[:-1], f"{first} {word()}"):
        assert found(doctors, q=q) == []


def test_a_doctor_is_found_by_the_speciality_without_regard_to_case(doctors: DoctorService) -> None:
    speciality = f"Ärztin für Füße {word()}"
    known = [
        doctors.create(sent(speciality=each))["id"] for each in (speciality, speciality.upper())
    ]
    doctors.create(sent(speciality=f"{speciality} und Hände"))
    for asked in (speciality, speciality.lower(), speciality.upper(), f" {speciality} "):
        assert found(doctors, speciality=asked) == known
    assert found(doctors, speciality=speciality.replace("Ä", "A")) == []
    assert doctors.get(known[1])["speciality"] == speciality.upper()


def test_name_and_speciality_must_both_fit(doctors: DoctorService) -> None:
    name, speciality = word(), word()
    both = doctors.create(sent(name=name, speciality=speciality))["id"]
    doctors.create(sent(name=name))
    doctors.create(sent(speciality=speciality))
    assert found(doctors, q=name, speciality=speciality) == [both]


def test_a_replaced_doctor_is_found_by_what_is_new_only(doctors: DoctorService) -> None:
    old, new = sent(), sent()
    known = doctors.create(old)["id"]
    doctors.update(known, new)
    for name, q in (("name", "q"), ("speciality", "speciality")):
        assert found(doctors, **{q: new[name]}) == [known]
    assert found(doctors, q=old["name"].split()[1]) == []
    assert found(doctors, speciality=old["speciality"]) == []


def test_doctors_come_in_pages_by_id_that_stay_while_others_are_added(
    doctors: DoctorService,
) -> None:
    speciality = word()
    known = [doctors.create(sent(speciality=speciality)) for _ in range(3)]
    first = doctors.find(speciality=speciality, limit=2)
    assert first == {"items": known[:2], "next": known[1]["id"]}
    known.append(doctors.create(sent(speciality=speciality)))
    rest = doctors.find(speciality=speciality, limit=2, after=first["next"])
    assert rest == {"items": known[2:], "next": None}
    # Without a filter, everybody comes: others share this database.
    everybody = doctors.find(limit=1, after=known[0]["id"] - 1)
    assert everybody == {"items": known[:1], "next": known[0]["id"]}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"q": "..."}, "q"),
        ({"q": ""}, "q"),
        ({"speciality": ""}, "speciality"),
        ({"speciality": "x" * 101}, "speciality"),
        ({"speciality": 7}, "speciality"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"after": -1}, "after"),
        ({"after": "1"}, "after"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    doctors: DoctorService, asked: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        doctors.find(**asked)
    assert list(refused.value.errors) == [field]


@pytest.mark.parametrize("database_urls", ["mariadb"], indirect=True)
def test_a_speciality_is_looked_up_in_its_index(doctors: DoctorService, engine: Engine) -> None:
    doctors.create(sent())
    with engine.connect() as connection:
        plan = connection.execute(text(
            "EXPLAIN SELECT * FROM doctor WHERE id > 0 AND speciality_key = 'x' "
            "ORDER BY id LIMIT 21"
        )).mappings().one()
    assert plan["key"] == "ix_doctor_speciality"
    assert "filesort" not in (plan["Extra"] or "")
