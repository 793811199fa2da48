"""Logins as clients write them and as they are told of them."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from schemas.accounts import (
    LONGEST_PASSWORD,
    LONGEST_TOKEN,
    ROLES,
    AccountChangeSchema,
    AccountSchema,
    LoginSchema,
    MeSchema,
    PasswordChangeSchema,
    RefreshSchema,
)
from schemas.errors import InvalidInput
from schemas.fields import MAX_ID
from schemas.loading import load
from schemas.people import RegistrationSchema

LOGIN = {"email": "ada@example.org", "password": "quiet heron 31"}
ACCOUNT = {**LOGIN, "role": "patient", "subjectId": 7}


def complaints(schema, payload):
    with pytest.raises(InvalidInput) as refused:
        load(schema, payload)
    return list(refused.value.errors)


def test_a_login_loads():
    assert load(LoginSchema(), LOGIN) == LOGIN


@pytest.mark.parametrize("password", [" x ", "\t", "x" * LONGEST_PASSWORD, "Zoë\u0308", "\x00"])
def test_a_password_is_taken_as_it_is(password):
    assert load(LoginSchema(), {**LOGIN, "password": password})["password"] == password


@pytest.mark.parametrize(
    "password", ["", "x" * (LONGEST_PASSWORD + 1), "\ud800", None, 12, True, ["x"], {}]
)
def test_what_is_no_text_of_some_length_is_no_password(password):
    assert complaints(LoginSchema(), {**LOGIN, "password": password}) == ["password"]
    assert complaints(AccountChangeSchema(), {"password": password}) == ["password"]


def test_a_complaint_does_not_quote_a_secret():
    with pytest.raises(InvalidInput) as refused:
        load(RefreshSchema(), {"refreshToken": "jumpy" * LONGEST_TOKEN})
    assert "jumpy" not in str(refused.value.errors)


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        (LoginSchema(), LOGIN),
        (RefreshSchema(), {"refreshToken": "a.b.c"}),
        (PasswordChangeSchema(), {"currentPassword": "a", "newPassword": "b"}),
        (AccountSchema(), {name: ACCOUNT[name] for name in ("email", "password", "role")}),
    ],
    ids=["login", "refresh", "password", "account"],
)
def test_every_field_is_needed_and_no_other_is_known(schema, payload):
    assert load(schema, payload)
    for missing in payload:
        rest = {name: value for name, value in payload.items() if name != missing}
        assert complaints(schema, rest) == [missing]
    assert complaints(schema, {**payload, "admin": True}) == ["admin"]


def test_a_change_of_password_loads_by_attribute_names():
    sent = {"currentPassword": " a", "newPassword": "b "}
    assert load(PasswordChangeSchema(), sent) == {"current": " a", "new": "b "}


# Accounts


@pytest.mark.parametrize("role", ROLES)
def test_an_account_has_a_role(role):
    assert load(AccountSchema(), {**ACCOUNT, "role": role})["role"] == role


@pytest.mark.parametrize("role", ["", "Admin", "nobody", "operator", "system", "anyone", None, 1])
def test_any_other_role_is_refused(role):
    assert complaints(AccountSchema(), {**ACCOUNT, "role": role}) == ["role"]
    assert complaints(AccountChangeSchema(), {"role": role}) == ["role"]


@pytest.mark.parametrize("subject", [1, MAX_ID])
def test_an_account_may_belong_to_a_record(subject):
    assert load(AccountSchema(), {**ACCOUNT, "subjectId": subject})["subject_id"] == subject


def test_without_a_record_it_belongs_to_nobody():
    without = {name: value for name, value in ACCOUNT.items() if name != "subjectId"}
    assert load(AccountSchema(), without)["subject_id"] is None


@pytest.mark.parametrize("subject", [0, -1, MAX_ID + 1, "7", 7.0, True, [7]])
def test_what_is_no_id_is_no_record(subject):
    assert complaints(AccountSchema(), {**ACCOUNT, "subjectId": subject}) == ["subjectId"]
    assert complaints(AccountChangeSchema(), {"subjectId": subject}) == ["subjectId"]


@pytest.mark.parametrize("name", ["id", "disabled", "createdAt", "updatedAt"])
def test_a_new_account_does_not_say_what_we_say(name):
    assert complaints(AccountSchema(), {**ACCOUNT, name: 1}) == [name]


def test_an_account_is_told_without_its_password():
    moment = datetime(2027, 3, 1, 9, tzinfo=UTC)
    kept = SimpleNamespace(
        id=1, email="ada@example.org", role="patient", subject_id=7, disabled=False,
        created_at=moment, updated_at=moment, password="hidden", password_hash="hidden",
    )
    assert AccountSchema().dump(kept) == {
        "id": 1, "email": "ada@example.org", "role": "patient", "subjectId": 7,
        "disabled": False, "createdAt": "2027-03-01T09:00:00Z", "updatedAt": "2027-03-01T09:00:00Z",
    }


# Changes


def test_a_change_holds_what_was_sent_and_no_more():
    assert load(AccountChangeSchema(), {}) == {}
    assert load(AccountChangeSchema(), {"disabled": True}) == {"disabled": True}
    assert load(AccountChangeSchema(), {"subjectId": None}) == {"subject_id": None}


@pytest.mark.parametrize("name", ["email", "id", "createdAt", "registrationKey"])
def test_what_stays_cannot_be_changed(name):
    assert complaints(AccountChangeSchema(), {name: "x"}) == [name]


@pytest.mark.parametrize("value", ["true", "false", "yes", "", None, "on", 2, []])
def test_a_truth_value_is_no_text_or_number(value):
    assert complaints(AccountChangeSchema(), {"disabled": value}) == ["disabled"]


def test_me_is_told_by_public_names():
    known = {"account_id": 1, "role": "staff", "subject_id": None, "email": "desk@example.org"}
    assert MeSchema().dump(known) == {
        "accountId": 1, "role": "staff", "subjectId": None, "email": "desk@example.org"
    }


def test_who_registers_needs_an_address_and_a_password():
    person = {
        "name": "Ada", "phone": "+44 20 7946 0958", "dob": "1985-12-10", "address": "London",
        **LOGIN,
    }
    assert load(RegistrationSchema(), person)["password"] == LOGIN["password"]
    for needed in LOGIN:
        rest = {name: value for name, value in person.items() if name != needed}
        assert complaints(RegistrationSchema(), rest) == [needed]
    assert complaints(RegistrationSchema(), {**person, "email": None}) == ["email"]
