"""Who can sign in before anybody has made an account: the first administrator, and demo people."""

import logging
import textwrap
import time
from base64 import b32encode
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session as Transaction

from config.audit.chain import Entry
from config.audit.trail import NotRecorded
from config.clock import utc_now
from config.database import Transactions
from config.keys import KeyRing
from config.messaging.caller import SYSTEM
from config.settings import Settings, SettingsError
from gateway.accounts import Accounts
from gateway.office import Office, open_office
from gateway.passwords import check_password
from gateway.rpc import Rpc
from schemas.accounts import ADMIN, DOCTOR, PATIENT, STAFF, LoginSchema
from schemas.errors import EmailTaken, InvalidInput, NotFound, Unavailable
from schemas.loading import load

_log = logging.getLogger("gateway")

SECONDS = 10.0
PAUSE_SECONDS = 2.0

DEMO_DOCTOR = {
    "name": "Dr Elizabeth Garrett",
    "email": "elizabeth@clinic.example",
    "phone": "+44 20 7946 0321",
    "speciality": "General practice",
    "timezone": "Europe/London",
}
DEMO_PATIENT = {
    "name": "Ada Byron",
    "email": "ada@clinic.example",
    "phone": "+44 20 7946 0958",
    "dob": "1985-12-10",
    "address": "12 St James Square, London",
}


@dataclass(frozen=True)
class Login:
    role: str
    email: str
    password: str


def check_first_administrator(settings: Settings) -> None:
    """:raises SettingsError: when the administrator could not sign in with what is set."""
    if not settings.admin_email or not settings.admin_password:
        return
    login = {"email": settings.admin_email, "password": settings.admin_password}
    try:
        email = load(LoginSchema(), login)["email"]
        check_password(settings.admin_password, email=email)
    except InvalidInput as refused:
        (field, why), *_ = refused.errors.items()
        raise SettingsError(f"ADMIN_{field.upper()} cannot be taken. {why}") from refused


def make_first_administrator(office: Office) -> None:
    """In the background, until it is done: the database may come up later than the gateway."""
    email, password = office.settings.admin_email, office.settings.admin_password
    if not email or not password:
        office.settled.set()
        return

    def make() -> None:
        while True:
            try:
                _make_administrator(office, email, password)
                office.settled.set()
                return
            except EmailTaken:
                continue  # another process was quicker, so the next look finds theirs
            except (Unavailable, NotRecorded, SQLAlchemyError) as failure:
                # Not up yet, or not migrated.
                reason = {"error": type(failure).__name__}
                _log.warning("first administrator waits", extra=reason)
                time.sleep(PAUSE_SECONDS)

    Thread(target=make, name="first administrator", daemon=True).start()


def _make_administrator(office: Office, email: str, password: str) -> None:
    if _run(office, lambda transaction: Accounts(transaction).any_administrator()):
        return
    hashed = office.passwords.hash(password, seconds=SECONDS)

    def make(transaction: Transaction) -> int | None:
        accounts = Accounts(transaction)
        if accounts.any_administrator():
            return None
        if accounts.by_email(email) is not None:
            _log.error("ADMIN_EMAIL belongs to another login: choose another address")
            return None
        return accounts.open(
            {"password_hash": hashed, "role": ADMIN}, email=email, now=utc_now()
        ).id

    account_id = _run(office, make)
    if account_id is not None:
        _record(office, "first administrator", f"account/{account_id}")
        _log.info("first administrator made")


def demo_people(settings: Settings) -> list[Login]:
    """A login for each role, and the records behind two of them; made once, listed each time."""
    office = open_office(settings)
    records = {
        DOCTOR: lambda: _registered(office, DOCTOR, DEMO_DOCTOR),
        PATIENT: lambda: _registered(office, PATIENT, DEMO_PATIENT),
    }
    logins = _demo_logins(settings)
    made = [
        login for login in logins if _made(office, login, records.get(login.role, lambda: None))
    ]
    office.close()
    return made


def _demo_logins(settings: Settings) -> list[Login]:
    emails = {
        ADMIN: settings.admin_email or "admin@clinic.example",
        STAFF: "desk@clinic.example",
        DOCTOR: DEMO_DOCTOR["email"],
        PATIENT: DEMO_PATIENT["email"],
    }
    chosen = {ADMIN: settings.admin_password}
    return [
        Login(role, email, chosen.get(role) or _demo_password(settings.keys.index, role))
        for role, email in emails.items()
    ]


def _made(office: Office, login: Login, subject: Callable[[], int | None]) -> bool:
    """Whether one can sign in with it, now or since an earlier start."""
    if _run(office, lambda transaction: Accounts(transaction).by_email(login.email)) is not None:
        return True
    try:
        subject_id = subject()
    except (EmailTaken, NotFound):
        # Somebody else was registered with this address meanwhile, or this one was erased: there
        # is nobody for trying out.
        return False
    fields = {
        "password_hash": office.passwords.hash(login.password, seconds=SECONDS),
        "role": login.role,
        "subject_id": subject_id,
    }

    def make(transaction: Transaction) -> int:
        return Accounts(transaction).open(fields, email=login.email, now=utc_now()).id

    account_id = _run(office, make)
    _record(office, "demo login", f"account/{account_id}")
    return True


def _registered(office: Office, service: str, record: dict[str, Any]) -> int:
    """The record's id; the same when an earlier start was broken off after making it."""
    key = f"demo-{service}"
    rpc = Rpc(office.pools, caller=SYSTEM, ring=office.settings.keys.caller, correlation="demo")
    answer = rpc.ask(service, "create", record, key=key, deadline=time.time() + SECONDS)
    return int(answer.result()["id"])


def _demo_password(ring: KeyRing, role: str) -> str:
    """The same at each start, and another in each data folder: the ring of the index has one key,
    for good."""
    text = b32encode(ring.derive(f"demo/{role}", ring.ids[-1])).decode().lower()
    return "-".join(textwrap.wrap(text[:16], 4))


def _record(office: Office, action: str, resource: str) -> None:
    entry = Entry(
        actor_role=SYSTEM.role,
        action=action,
        resource=resource,
        subject=resource,
        outcome="ok",
        correlation_id="start",
    )
    office.trail.record(entry, seconds=SECONDS)


def _run(office: Office, work: Callable[[Transaction], Any]) -> Any:
    until = time.time() + SECONDS
    transactions = Transactions(office.sessions, deadline=lambda: until, unavailable=Unavailable)
    return transactions.run(work)
