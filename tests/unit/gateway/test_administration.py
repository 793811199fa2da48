"""Logins that administrators make and change."""

import pytest

from config.clock import utc_now
from config.messaging.client import Answer, Request
from gateway import sign_in
from gateway.accounts import Accounts
from gateway.administration import change, open_account
from schemas.accounts import ADMIN, DOCTOR, PATIENT, STAFF
from schemas.errors import (
    AccountNotFound,
    Conflict,
    DoctorNotFound,
    EmailTaken,
    InvalidInput,
    LastAdministrator,
    PatientNotFound,
    Unavailable,
    UnknownDoctor,
    UnknownPatient,
)
from tests.unit.gateway.fakes import FakePool, accounts_in, new_account, office_on, visit_to

PASSWORD = "quiet heron 31"


@pytest.fixture
def pool():
    return FakePool(patient_get=Answer({"id": 7}), doctor_get=Answer({"id": 3}))


@pytest.fixture
def office(settings, pool):
    return office_on(settings, pool)


def opened(office, *, role=STAFF, subject=None, email="desk@example.org", password=PASSWORD):
    fields = {"email": email, "password": password, "role": role, "subject_id": subject}
    return open_account(visit_to(office), fields, now=utc_now())


def changed(office, account_id, **changes):
    return change(visit_to(office), account_id, changes, now=utc_now())


def account(office, account_id):
    return visit_to(office).run(lambda transaction: Accounts(transaction).get(account_id))


# New ones


@pytest.mark.parametrize(
    ("role", "subject"), [(STAFF, None), (ADMIN, None), (PATIENT, 7), (DOCTOR, 3)]
)
def test_a_login_is_made_and_can_sign_in(office, role, subject):
    made = opened(office, role=role, subject=subject, email="Desk@example.org")
    assert (made["email"], made["role"], made["subjectId"]) == ("Desk@example.org", role, subject)
    assert made["disabled"] is False and made["createdAt"].endswith("Z")
    answer = sign_in.sign_in(visit_to(office), email="desk@example.org", password=PASSWORD)
    assert (answer["role"], answer["subjectId"]) == (role, subject)


def test_what_is_told_of_a_login_holds_no_secret(office):
    made = opened(office)
    assert set(made) == {
        "id", "email", "role", "subjectId", "disabled", "createdAt", "updatedAt"
    }


@pytest.mark.parametrize("email", ["desk@example.org", "DESK@example.org"])
def test_an_address_has_one_login(office, email):
    opened(office)
    with pytest.raises(EmailTaken):
        opened(office, email=email)
    assert accounts_in(office) == 1


@pytest.mark.parametrize(
    ("role", "subject", "field"),
    [(STAFF, 7, "subjectId"), (ADMIN, 7, "subjectId"), (PATIENT, None, "subjectId"),
     (DOCTOR, None, "subjectId")],
)
def test_a_login_is_somebodys_when_its_role_says_so_and_only_then(office, role, subject, field):
    with pytest.raises(InvalidInput) as refused:
        opened(office, role=role, subject=subject)
    assert list(refused.value.errors) == [field] and accounts_in(office) == 0


@pytest.mark.parametrize(
    ("role", "missing", "refusal"),
    [
        (PATIENT, PatientNotFound(7), UnknownPatient),
        (DOCTOR, DoctorNotFound(7), UnknownDoctor),
        (PATIENT, Unavailable("patient"), Unavailable),
    ],
)
def test_a_login_is_for_somebody_who_is_known_to_be_there(office, pool, role, missing, refusal):
    pool.answers[f"{role}.get"] = Answer(error=missing)
    with pytest.raises(refusal):
        opened(office, role=role, subject=7)
    assert accounts_in(office) == 0 and pool.asked == [Request(role, "get", (7,))]


@pytest.mark.parametrize("password", ["short", "password1234", "desk@example.org"])
def test_a_login_has_a_password_that_is_taken(office, password):
    with pytest.raises(InvalidInput):
        opened(office, password=password)
    assert accounts_in(office) == 0


# Changes


def test_what_is_left_out_stays(office):
    made = opened(office, role=PATIENT, subject=7)
    after = changed(office, made["id"], disabled=True)
    assert {**after, "updatedAt": ""} == {**made, "disabled": True, "updatedAt": ""}
    assert after["updatedAt"] > made["updatedAt"]


def test_a_login_that_is_not_there_cannot_be_changed(office):
    with pytest.raises(AccountNotFound):
        changed(office, 99, disabled=True)


@pytest.mark.parametrize(
    ("changes", "subject"),
    [({"role": STAFF}, None), ({"role": DOCTOR, "subject_id": 3}, 3), ({"subject_id": 8}, 8)],
)
def test_another_role_is_another_person(office, changes, subject):
    made = opened(office, role=PATIENT, subject=7)
    assert changed(office, made["id"], **changes)["subjectId"] == subject


@pytest.mark.parametrize(
    "changes", [{"role": DOCTOR}, {"subject_id": None}, {"role": STAFF, "subject_id": 7}]
)
def test_nobody_becomes_a_doctor_with_a_patients_number(office, changes):
    made = opened(office, role=PATIENT, subject=7)
    with pytest.raises(InvalidInput):
        changed(office, made["id"], **changes)
    assert account(office, made["id"]).role == PATIENT


def test_a_login_can_be_disabled_while_its_service_is_down(office, pool):
    made = opened(office, role=PATIENT, subject=7)
    pool.answers["patient.get"] = Unavailable("patient")
    assert changed(office, made["id"], disabled=True)["disabled"] is True
    assert changed(office, made["id"], password="another heron 32")["subjectId"] == 7


def test_a_new_password_is_checked_against_its_own_address(office):
    made = opened(office, email="front.desk@example.org")
    with pytest.raises(InvalidInput):
        changed(office, made["id"], password="Front.desk@Example.org")


def overtaken_by(office, pool, account_id, **others):
    """While the change below asks the patient service, an administrator makes this one."""

    def ask(request, headers):
        pool.answers["patient.get"] = Answer({"id": 7})
        changed(office, account_id, **others)
        return Answer({"id": 8})

    pool.answers["patient.get"] = ask


def test_a_change_does_not_undo_one_that_came_in_between(office, pool):
    made = opened(office, role=PATIENT, subject=7)
    overtaken_by(office, pool, made["id"], role=STAFF)
    with pytest.raises(Conflict):
        changed(office, made["id"], subject_id=8)
    kept = account(office, made["id"])
    assert (kept.role, kept.subject_id) == (STAFF, None)


# The last administrator


def test_the_last_administrator_stays(office):
    only = new_account(office, ADMIN)
    for changes in ({"disabled": True}, {"role": STAFF}, {"role": PATIENT, "subject_id": 7}):
        with pytest.raises(LastAdministrator):
            changed(office, only, **changes)
    assert (account(office, only).role, account(office, only).disabled) == (ADMIN, False)


def test_a_disabled_administrator_does_not_count(office):
    one, other = new_account(office, ADMIN), new_account(office, ADMIN)
    changed(office, one, disabled=True)
    with pytest.raises(LastAdministrator):
        changed(office, other, disabled=True)
    changed(office, one, disabled=False)
    assert changed(office, other, disabled=True)["disabled"] is True


def test_the_last_administrator_may_change_their_password(office):
    only = new_account(office, ADMIN)
    assert changed(office, only, password="another heron 32")["role"] == ADMIN


def test_others_are_changed_whoever_administers(office):
    desk = new_account(office, STAFF)
    assert changed(office, desk, disabled=True)["disabled"] is True


# The same request again

NEW = {"email": "desk@example.org", "password": PASSWORD, "role": STAFF}


def test_the_same_request_again_makes_no_second_login_and_says_so(serve, office):
    client, headers = serve(), {"Idempotency-Key": "k"}
    first = client.post("/accounts", json=NEW, headers=headers)
    again = client.post("/accounts", json=NEW, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("other", [{"password": "jumpy otter 58"}, {"role": ADMIN}])
def test_the_key_of_another_login_is_refused(serve, other):
    client, headers = serve(), {"Idempotency-Key": "k"}
    client.post("/accounts", json=NEW, headers=headers)
    refused = client.post("/accounts", json={**NEW, **other}, headers=headers)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "idempotency_key_reused")


def test_another_administrator_may_choose_the_same_key(serve):
    headers = {"Idempotency-Key": "k"}
    assert serve().post("/accounts", json=NEW, headers=headers).status_code == 201
    taken = serve().post("/accounts", json=NEW, headers=headers)
    assert (taken.status_code, taken.get_json()["code"]) == (409, "email_taken")


def test_nothing_kept_about_a_login_is_told_after_it_was_erased(serve, office, pool):
    client, headers = serve(pool), {"Idempotency-Key": "k"}
    body = {**NEW, "email": "ada@example.org", "role": PATIENT, "subjectId": 7}
    assert client.post("/accounts", json=body, headers=headers).status_code == 201
    visit_to(office).run(lambda transaction: Accounts(transaction).close_for(PATIENT, 7))
    again = client.post("/accounts", json=body, headers=headers)
    assert again.status_code == 404 and body["email"] not in again.get_data(as_text=True)
    assert not visit_to(office).run(lambda transaction: Accounts(transaction).of(PATIENT, 7))
