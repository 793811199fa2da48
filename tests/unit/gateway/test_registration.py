"""A patient registers themselves, over two databases, whatever breaks between them."""

import pytest

from config.answers import KEPT_FOR
from config.clock import utc_now
from config.messaging.call import DeadlineExceeded
from config.messaging.client import Answer
from gateway import sign_in
from gateway.accounts import Accounts
from gateway.models import Account
from gateway.registration import register
from schemas.accounts import PATIENT, STAFF
from schemas.errors import (
    AccountNotFound,
    BadCredentials,
    EmailTaken,
    IdempotencyKeyReused,
    InvalidInput,
    RequestInFlight,
    Unauthenticated,
    Unavailable,
)
from tests.unit.gateway.fakes import (
    ADA,
    ADAS_PASSWORD,
    FakePool,
    Patients,
    accounts_in,
    new_account,
    office_on,
    visit_to,
)

PASSWORD, OTHER = ADAS_PASSWORD, "jumpy otter 58"


@pytest.fixture
def patients():
    return Patients()


@pytest.fixture
def office(settings, patients):
    return office_on(settings, FakePool(patient_create=patients))


def send(office, *, key=None, **changes):
    return register(visit_to(office, key=key), {**ADA, **changes})


def enter(office, *, email=ADA["email"], password=PASSWORD):
    return sign_in.sign_in(visit_to(office), email=email, password=password)


def test_who_registers_has_a_record_and_a_login(office, patients):
    answer = send(office)
    assert answer.value["id"] == 7 and list(patients.records) == ["ada@example.org"]
    assert (enter(office)["role"], enter(office)["subjectId"]) == (PATIENT, 7)


def test_the_password_stays_here(office):
    send(office)
    assert PASSWORD not in repr(office.pools.calls.asked) + repr(office.pools.calls.headers)


def test_the_same_request_again_gets_the_same_answer(office, patients):
    first, again = send(office, key="k"), send(office, key="k")
    assert (first.value, first.replayed) == (again.value, False)
    assert again.replayed and len(patients.records) == accounts_in(office) == 1


@pytest.mark.parametrize("email", ["ada@example.org", "ADA@example.ORG"])
@pytest.mark.parametrize(("key", "password"), [("other", PASSWORD), (None, PASSWORD), ("k", OTHER)])
def test_an_address_that_is_registered_is_taken(office, patients, email, key, password):
    send(office, key="k")
    with pytest.raises(EmailTaken):
        send(office, key=key, email=email, password=password)
    assert len(patients.records) == accounts_in(office) == 1
    assert enter(office)["subjectId"] == 7


@pytest.mark.parametrize("role", [STAFF, PATIENT])
def test_an_address_that_an_administrator_gave_a_login_is_taken(office, patients, role):
    hashed = office.passwords.hash(PASSWORD, seconds=10)
    subject = 3 if role == PATIENT else None
    new_account(office, role, subject=subject, email=ADA["email"], password_hash=hashed)
    with pytest.raises(EmailTaken):
        send(office)
    assert patients.records == {}


# Refusals leave nothing behind


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "eleven char"}, "password"),
        ({"password": "password1234"}, "password"),
        ({"password": ""}, "password"),
        ({"password": 123456789012}, "password"),
        ({"password": "\ud800" * 12}, "password"),
        ({"email": None}, "email"),
        ({"email": "ada"}, "email"),
        ({"name": " "}, "name"),
        ({"role": "admin"}, "role"),
        ({"id": 1}, "id"),
    ],
)
def test_what_is_invalid_makes_neither_record_nor_login(office, patients, change, field):
    with pytest.raises(InvalidInput) as refused:
        send(office, **change)
    assert list(refused.value.errors) == [field]
    assert patients.answers == {} and accounts_in(office) == 0


def test_an_address_is_needed_to_register_oneself(office):
    with pytest.raises(InvalidInput):
        register(visit_to(office), {name: ADA[name] for name in ADA if name != "email"})


@pytest.mark.parametrize("refusal", [EmailTaken(), InvalidInput({"dob": "Must be in the past."})])
def test_a_refusal_of_the_patient_service_leaves_no_login_behind(office, patients, refusal):
    patients.breaks = [(Answer(error=refusal), False)]
    with pytest.raises(type(refusal)):
        send(office, key="k")
    assert accounts_in(office) == 0
    with pytest.raises(BadCredentials):
        enter(office)
    assert send(office, key="another").value["id"] == 7


# Broken off in between

BROKEN = [
    pytest.param((Unavailable("patient"), False), id="before the record"),
    pytest.param((Unavailable("patient"), True), id="after the record"),
    pytest.param((Answer(error=Unavailable("database")), True), id="told after the record"),
    pytest.param((Answer(error=DeadlineExceeded()), False), id="too late"),
    pytest.param((Answer(error=RequestInFlight()), True), id="in flight"),
    pytest.param((RuntimeError("unexpected"), True), id="a fault after the record"),
]


@pytest.fixture(params=BROKEN)
def broken(request, office, patients):
    """A registration with the key ``k`` that was broken off."""
    patients.breaks = [request.param]
    with pytest.raises((Unavailable, DeadlineExceeded, RequestInFlight, RuntimeError)):
        send(office, key="k")
    assert accounts_in(office) == 1


def finished(office, patients, answer):
    assert answer.value["id"] == enter(office)["subjectId"] == 7
    assert len(patients.records) == accounts_in(office) == 1
    return True


def test_it_is_finished_by_the_same_request(office, patients, broken):
    assert finished(office, patients, send(office, key="k"))


@pytest.mark.parametrize("key", ["another", None])
def test_it_is_finished_with_another_key_and_the_same_password(office, patients, broken, key):
    assert finished(office, patients, send(office, key=key))


@pytest.mark.parametrize("key", ["k", "another"])
def test_nobody_else_finishes_it(office, patients, broken, key):
    with pytest.raises(EmailTaken):
        send(office, key=key, password=OTHER)
    assert finished(office, patients, send(office, key="k"))


def test_after_it_was_finished_the_address_is_taken(office, broken):
    send(office, key="k")
    with pytest.raises(EmailTaken):
        send(office, key="another")


def test_another_body_does_not_take_the_login_from_a_record_that_was_made(office, patients):
    patients.breaks = [(Unavailable("patient"), True)]
    with pytest.raises(Unavailable):
        send(office, key="k")
    with pytest.raises(IdempotencyKeyReused):
        send(office, key="k", name="Ada Lovelace")
    assert finished(office, patients, send(office, key="another"))


def test_until_it_is_finished_the_login_reaches_no_record(office, broken):
    assert enter(office)["subjectId"] is None


def test_a_refusal_after_signing_in_meanwhile_leaves_no_login_either(office, patients):
    patients.breaks = [(Unavailable("patient"), False)]
    with pytest.raises(Unavailable):
        send(office, key="k")
    pair = enter(office)
    patients.breaks = [(Answer(error=EmailTaken()), False)]
    with pytest.raises(EmailTaken):
        send(office, key="k")
    assert accounts_in(office) == 0
    with pytest.raises(Unauthenticated):
        visit_to(office, token=pair["accessToken"])


def test_a_login_that_was_removed_meanwhile_is_not_made_again(office, patients):
    def removed(request, headers):
        visit_to(office).run(lambda transaction: transaction.query(Account).delete())
        return patients(request, headers)

    office.pools.calls.answers["patient.create"] = removed
    with pytest.raises(AccountNotFound):
        send(office)
    assert accounts_in(office) == 0


def forget_unfinished(office, *, after):
    """What the gateway's background service does, so long after now."""
    visit_to(office).run(
        lambda transaction: Accounts(transaction).forget_unfinished(before=utc_now() + after)
    )


def test_a_registration_that_nobody_finished_is_forgotten(office, patients):
    patients.breaks = [(Unavailable("patient"), False)]
    with pytest.raises(Unavailable):
        send(office)
    forget_unfinished(office, after=-KEPT_FOR)
    assert accounts_in(office) == 1
    forget_unfinished(office, after=KEPT_FOR)
    assert accounts_in(office) == 0


def test_finished_registrations_are_not_forgotten(office):
    send(office)
    forget_unfinished(office, after=KEPT_FOR)
    assert accounts_in(office) == 1
