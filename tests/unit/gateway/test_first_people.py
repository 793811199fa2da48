"""The first administrator: made once, by whichever process comes first."""

from dataclasses import replace

import pytest

from config.messaging.client import Answer
from config.settings import SettingsError
from gateway import first_people, sign_in
from gateway.first_people import check_first_administrator, make_first_administrator
from schemas.accounts import ADMIN, DOCTOR, PATIENT, STAFF
from schemas.errors import EmailTaken, PatientNotFound, Unavailable
from tests.unit.gateway.fakes import (
    FakePool,
    Patients,
    accounts_in,
    new_account,
    office_on,
    visit_to,
)
from tests.waiting import wait_for

EMAIL, PASSWORD = "admin@example.org", "quiet heron 31"


@pytest.fixture
def office(settings):
    return office_on(replace(settings, admin_email=EMAIL, admin_password=PASSWORD))


def test_the_administrator_that_is_named_can_sign_in(office):
    make_first_administrator(office)
    wait_for(lambda: accounts_in(office) == 1)
    assert sign_in.sign_in(visit_to(office), email=EMAIL, password=PASSWORD)["role"] == ADMIN


def test_where_there_is_an_administrator_no_other_is_made(office):
    new_account(office, ADMIN)
    first_people._make_administrator(office, EMAIL, PASSWORD)
    assert accounts_in(office) == 1


def test_without_a_name_none_is_made(settings):
    make_first_administrator(office_on(settings))


@pytest.mark.parametrize("password", ["password1234", "short", EMAIL, "x" * 129])
def test_a_password_that_nobody_could_choose_stops_the_start(settings, password):
    with pytest.raises(SettingsError, match="ADMIN_PASSWORD cannot be taken") as refused:
        check_first_administrator(replace(settings, admin_email=EMAIL, admin_password=password))
    assert password not in str(refused.value)


@pytest.mark.parametrize("email", ["not an address", "admin@clinic.local", "admin@localhost"])
def test_an_address_that_nobody_could_sign_in_with_stops_the_start(settings, email):
    with pytest.raises(SettingsError, match="ADMIN_EMAIL cannot be taken") as refused:
        check_first_administrator(replace(settings, admin_email=email, admin_password=PASSWORD))
    assert email not in str(refused.value)


def test_the_first_administrator_is_on_record(office):
    first_people._make_administrator(office, EMAIL, PASSWORD)
    (entry,) = office.trail.entries
    assert (entry.actor_role, entry.action) == ("system", "first administrator")
    assert entry.resource == "account/1"


# Demo people


@pytest.fixture
def demo(settings, monkeypatch):
    """Starts the demo as embedded mode does; each time in an office of its own."""
    patients, doctors = Patients(), Patients()

    def start():
        pool = FakePool(patient_create=patients, doctor_create=doctors)
        monkeypatch.setattr(first_people, "open_office", lambda settings: office_on(settings, pool))
        return first_people.demo_people(settings)

    start.patients = patients
    return start


def roles(logins):
    return [login.role for login in logins]


def test_there_is_somebody_of_each_role_to_try_it_as(demo):
    assert roles(demo()) == [ADMIN, STAFF, DOCTOR, PATIENT]


def test_the_next_start_has_the_same_people_with_the_same_passwords(demo):
    assert demo() == demo()


def test_a_start_that_was_broken_off_is_finished_by_the_next(demo, settings):
    demo.patients.breaks = [(Unavailable("patient"), True)]
    with pytest.raises(Unavailable):
        demo()
    assert roles(demo()) == [ADMIN, STAFF, DOCTOR, PATIENT]


@pytest.mark.parametrize("refusal", [EmailTaken(), PatientNotFound(1)])
def test_who_is_no_longer_there_is_left_out(demo, refusal):
    demo.patients.breaks = [(Answer(error=refusal), False)]
    assert roles(demo()) == [ADMIN, STAFF, DOCTOR]
