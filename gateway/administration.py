"""Logins that an administrator makes and changes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session as Transaction

from gateway.accounts import Accounts, Sessions
from gateway.models import Account
from gateway.passwords import check_password
from gateway.visit import Visit
from schemas.accounts import ADMIN, DOCTOR, PATIENT, ROLES_WITH_SUBJECT, AccountSchema
from schemas.errors import (
    Conflict,
    DoctorNotFound,
    InvalidInput,
    LastAdministrator,
    PatientNotFound,
    UnknownDoctor,
    UnknownPatient,
)

# A change of these ends what was begun with the former ones.
ENDS_SESSIONS = frozenset(("role", "subject_id", "password", "disabled"))


def open_account(visit: Visit, fields: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """:raises InvalidInput, EmailTaken, UnknownPatient, UnknownDoctor: and none is made."""
    email, password = fields["email"], fields["password"]
    role, subject_id = fields["role"], fields["subject_id"]

    def prepare() -> dict[str, Any]:
        check_password(password, email=email)
        _check_subject(visit, role, subject_id)
        hashed = visit.office.passwords.hash(password, seconds=visit.seconds_left)
        return {"password_hash": hashed, "role": role, "subject_id": subject_id}

    def open_(transaction: Transaction, kept: dict[str, Any]) -> dict[str, Any]:
        return _dump(Accounts(transaction).open(kept, email=email, now=now))

    return dict(visit.run_once(prepare, ("open account", dict(fields)), open_))


def change(
    visit: Visit, account_id: int, changes: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """:raises InvalidInput, AccountNotFound, Conflict, UnknownPatient, UnknownDoctor:"""
    before = visit.run(lambda transaction: _dump(Accounts(transaction).get(account_id)))
    role = changes.get("role", before["role"])
    same_role = role == before["role"]
    # Whoever becomes another's login says whose; nobody stays the patient that they were.
    subject = changes.get("subject_id", before["subjectId"] if same_role else None)
    # Nothing may stand in the way of disabling a login, or of a new password.
    if (role, subject) != (before["role"], before["subjectId"]):
        _check_subject(visit, role, subject)
    kept = {"role": role, "subject_id": subject, **_without_password(changes)}
    if "password" in changes:
        check_password(changes["password"], email=before["email"])
        kept["password_hash"] = visit.office.passwords.hash(
            changes["password"], seconds=visit.seconds_left
        )

    def apply(transaction: Transaction) -> dict[str, Any]:
        account = Accounts(transaction).get_locked(account_id)
        if (account.role, account.subject_id) != (before["role"], before["subjectId"]):
            # Another change came first; what was checked above is no longer so.
            raise Conflict()
        _apply(account, kept, now=now)
        _keep_an_administrator(transaction, before)
        if ENDS_SESSIONS & changes.keys():
            Sessions(transaction).end_all(account_id, now=now)
        return _dump(account)

    changed = visit.run(apply)
    if ENDS_SESSIONS & changes.keys():
        visit.sessions_changed(account_id)
    return changed


def _apply(account: Account, kept: Mapping[str, Any], *, now: datetime) -> None:
    for name, value in kept.items():
        setattr(account, name, value)
    account.updated_at = now


def _keep_an_administrator(transaction: Transaction, before: Mapping[str, Any]) -> None:
    """:raises LastAdministrator: when a change of one has left nobody to undo it."""
    transaction.flush()
    if before["role"] == ADMIN and not Accounts(transaction).administrators():
        raise LastAdministrator()


def _check_subject(visit: Visit, role: str, subject: int | None) -> None:
    if role not in ROLES_WITH_SUBJECT:
        if subject is not None:
            raise InvalidInput({"subjectId": "Is only for logins of patients and doctors."})
        return
    if subject is None:
        raise InvalidInput({"subjectId": "Is needed for logins of patients and doctors."})
    refusal = {PATIENT: UnknownPatient, DOCTOR: UnknownDoctor}[role]
    try:
        visit.ask(role, "get", subject).result()
    except (PatientNotFound, DoctorNotFound) as missing:
        raise refusal(subject) from missing


def _without_password(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if name != "password"}


def _dump(account: Account) -> dict[str, Any]:
    return AccountSchema().dump(account)
