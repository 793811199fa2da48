"""A patient registers themselves: a record in the patient service, and a login here.

Two databases, so it can be broken off between them. The login comes first and waits for its
record; whoever sends the same again, with the same password, finishes what was begun.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session as Transaction

from config.clock import utc_now
from config.messaging.call import DeadlineExceeded
from config.messaging.client import Answer
from gateway.accounts import Accounts
from gateway.passwords import check_password
from gateway.visit import Visit
from schemas.accounts import PATIENT
from schemas.errors import (
    EmailTaken,
    IdempotencyKeyReused,
    RequestInFlight,
    SchedulingError,
    Unavailable,
)
from schemas.loading import load
from schemas.people import RegistrationSchema, email_key

# Whether the record was made is not known after one of these.
UNKNOWN_OUTCOME = (Unavailable, DeadlineExceeded, RequestInFlight, IdempotencyKeyReused)


@dataclass(frozen=True)
class Login:
    """``key`` is the idempotency key with which its record is made."""

    account_id: int
    password_hash: str
    key: str
    finished: bool


def register(visit: Visit, body: dict[str, Any]) -> Answer:
    """The patient service's answer.

    :raises InvalidInput, EmailTaken, TooManyAttempts: and neither record nor login is made.
    """
    if visit.signed_in is not None:
        # Whether an address is taken can be tried here, and who has signed in has a larger quota.
        visit.office.limits.own_record(account=visit.caller.identity)
    fields = load(RegistrationSchema(phone_region=visit.office.settings.phone_region), body)
    email, password = fields["email"], fields["password"]
    check_password(password, email=email)
    login = _reserve(visit, email=email, password=password)
    record = {name: value for name, value in body.items() if name != "password"}
    try:
        answer = visit.ask("patient", "create", record, key=login.key)
        patient_id = answer.result()["id"]
    except UNKNOWN_OUTCOME:
        raise
    except SchedulingError:
        visit.run(lambda transaction: _give_up(transaction, login))
        visit.sessions_changed(login.account_id)
        raise
    visit.run(lambda transaction: _finish(transaction, login, patient_id))
    # They may have signed in before it was finished.
    visit.sessions_changed(login.account_id)
    return answer


def _reserve(visit: Visit, *, email: str, password: str) -> Login:
    """The login that waits for its record: a new one, or the one that this request began before.

    :raises EmailTaken, RequestInFlight:
    """
    sent = f"{visit.request.idempotency_key()} {email_key(email)}"
    key = visit.office.vault.index("registration", sent)
    there = visit.run(lambda transaction: _existing(transaction, email))
    if there is None:
        hashed = visit.office.passwords.hash(password, seconds=visit.seconds_left)
        try:
            return visit.run(lambda transaction: _open(transaction, email, hashed, key))
        except EmailTaken:
            # Perhaps by this very request, sent twice at once.
            there = visit.run(lambda transaction: _existing(transaction, email))
            if there and there.key == key:
                raise RequestInFlight() from None
            raise
    theirs = visit.office.passwords.matches(
        there.password_hash, password, seconds=visit.seconds_left
    )
    if not theirs or (there.finished and there.key != key):
        raise EmailTaken()
    return there


def _existing(transaction: Transaction, email: str) -> Login | None:
    account = Accounts(transaction).by_email(email)
    if account is None:
        return None
    finished = account.role != PATIENT or account.subject_id is not None
    return Login(account.id, account.password_hash, account.registration_key or "", finished)


def _open(transaction: Transaction, email: str, password_hash: str, key: str) -> Login:
    fields = {"password_hash": password_hash, "role": PATIENT, "registration_key": key}
    account = Accounts(transaction).open(fields, email=email, now=utc_now())
    return Login(account.id, password_hash, key, finished=False)


def _finish(transaction: Transaction, login: Login, patient_id: int) -> None:
    account = Accounts(transaction).get_locked(login.account_id)
    account.subject_id = account.subject_id or patient_id


def _give_up(transaction: Transaction, login: Login) -> None:
    accounts = Accounts(transaction)
    account = accounts.get_locked(login.account_id)
    if account.subject_id is None:
        accounts.remove(account)
