"""The first administrator: made once, by whichever process comes first."""

import time
from dataclasses import replace

import pytest

from config.settings import SettingsError
from gateway import first_people, sign_in
from gateway.first_people import check_first_administrator, make_first_administrator
from schemas.accounts import ADMIN
from tests.unit.gateway.fakes import accounts_in, new_account, office_on, visit_to

EMAIL, PASSWORD = "admin@example.org", "quiet heron 31"


@pytest.fixture
def office(settings):
    return office_on(replace(settings, admin_email=EMAIL, admin_password=PASSWORD))


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


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
