"""A gateway's office whose services and audit trail are replaced by what can be read here."""

import time
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock

from argon2 import PasswordHasher
from werkzeug.test import EnvironBuilder

from config.audit.trail import NotRecorded
from config.breaker import Breakers
from config.clock import utc_now
from config.keys import fresh
from config.messaging.client import Answer
from config.migration import upgrade
from config.programs import catalogue
from config.settings import KEYS, embedded_settings, with_keys
from gateway.accounts import Accounts, Sessions
from gateway.models import Account
from gateway.office import (
    AUDIT,
    CONNECTIONS,
    DATABASE,
    DatabaseSessions,
    gateway_cache,
    open_office,
)
from gateway.passwords import Passwords
from gateway.rates import Rates
from gateway.request import ApiRequest
from gateway.rpc import Pools
from gateway.throttle import AttemptLimits
from gateway.visit import Visit
from schemas.errors import EmailTaken, IdempotencyKeyReused

RINGS = fresh(KEYS)
ADAS_PASSWORD = "quiet heron 31"
ADA = {
    "name": "Ada Byron",
    "email": "ada@example.org",
    "phone": "+44 20 7946 0958",
    "dob": "1985-12-10",
    "address": "12 St James Square",
    "password": ADAS_PASSWORD,
}
_numbers = count(1)


class FakePool:
    """In the place of the pool of connections: answers by ``service.method``, keeps what was asked.

    An answer that is an exception is raised, as it is by a pool that gets no answer; one that is a
    function is called with the request and its headers. ``renewed`` are the doctors whose timetable
    bookings were told to ask for again.
    """

    def __init__(self, **answers):
        self.answers = {name.replace("_", ".", 1): answer for name, answer in answers.items()}
        self.asked = []
        self.renewed = []
        self.headers = []
        self.deadlines = []
        self.broker_failure = None
        self.breakers = Breakers()

    def ask(self, *requests, headers, deadline):
        if requests[0].method == "renew":
            self.renewed += requests[0].args
            if isinstance(self.answers.get("appointment.renew"), Exception):
                raise self.answers["appointment.renew"]
            return [Answer(None)]
        self.asked += requests
        self.headers.append(headers)
        self.deadlines.append(deadline)
        return [self._answer(request, headers) for request in requests]

    def _answer(self, request, headers):
        answer = self.answers[f"{request.service}.{request.method}"]
        if callable(answer):
            answer = answer(request, headers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def probe(self, *, seconds):
        if self.broker_failure is not None:
            raise self.broker_failure

    def close(self):
        pass


class Patients:
    """The patient service: one record for each key and each e-mail address, answers kept by key.

    ``breaks`` says how the next calls end instead: before anything was done, or after it.
    """

    def __init__(self):
        self.records = {}
        self.answers = {}
        self.breaks = []
        self._one_at_a_time = Lock()

    def __call__(self, request, headers):
        (record,), key = request.args, headers["nameko.idempotency_key"]
        with self._one_at_a_time:
            broken, done = self.breaks.pop(0) if self.breaks else (None, True)
            answer = self._create(record, key) if done else None
        return broken or answer

    def _create(self, record, key):
        if key not in self.answers:
            self.answers[key] = (record, self._new(record))
            return self.answers[key][1]
        sent, answer = self.answers[key]
        if sent != record:
            return Answer(error=IdempotencyKeyReused())
        return Answer(answer.value, answer.error, replayed=True)

    def _new(self, record):
        if record["email"].lower() in self.records:
            return Answer(error=EmailTaken())
        assert "password" not in record
        self.records[record["email"].lower()] = {**record, "id": 7 + len(self.records)}
        return Answer(self.records[record["email"].lower()])


class FakeTrail:
    """Keeps what is recorded, or refuses to."""

    def __init__(self):
        self.entries = []
        self.refuses = False

    def record(self, *entries, seconds):
        assert seconds > 0
        if self.refuses:
            raise NotRecorded()
        self.entries += entries

    def close(self):
        pass


def embedded_in(folder, **changes):
    """Settings of an embedded gateway, with keys, whose files are in ``folder``."""
    settings = replace(embedded_settings(), data_dir=folder, call_seconds=60.0)
    return replace(with_keys(settings, RINGS), **changes)


def migrate(settings):
    for name in ("gateway", "audit"):
        upgrade(scripts=catalogue().databases[name], url=settings.database(name))


class QuickPasswords(Passwords):
    """Hashes with argon2id too, and with so little work that a test can do it often."""

    def __init__(self):
        super().__init__()
        self._argon2id = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self._nobodys = self._argon2id.hash("nobody has this password")


@cache
def _first_office():
    """Opened once: the hash that it begins with takes its time. Nothing connects."""
    return replace(open_office(embedded_in(Path("nowhere"))), passwords=QuickPasswords())


def office_on(settings, pool=None):
    """An office on the migrated databases of ``settings``."""
    pool, first = pool or FakePool(), _first_office()
    url, audit = (
        settings.database(name).render_as_string(hide_password=False) for name in (DATABASE, AUDIT)
    )
    return replace(
        first,
        settings=settings,
        pools=Pools(calls=pool, probes=pool),
        sessions=DatabaseSessions(url, size=CONNECTIONS, vault=first.vault),
        audit_sessions=DatabaseSessions(audit, size=1),
        limits=AttemptLimits(None, per_minute=settings.auth_rate_limit_per_minute),
        rates=Rates(settings),
        cache=gateway_cache(settings, first.trips),
        trail=FakeTrail(),
    )


def visit_to(office, *, token=None, address="10.0.0.1", key=None, signed_in=None):
    """A request on its way through the gateway; with a token, of who has signed in."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if key:
        headers["Idempotency-Key"] = key
    environ = EnvironBuilder(method="POST", headers=headers).get_environ()
    visit = Visit(
        request=ApiRequest({**environ, "REMOTE_ADDR": address}),
        office=office,
        correlation="abc",
        deadline=time.time() + 20,
        signed_in=signed_in,
    )
    if token:
        session = office.tokens.claims_of_access(token).session_id
        visit.signed_in = visit.run(
            lambda transaction: Sessions(transaction).signed_in(session, now=utc_now())
        )
    return visit


def new_account(office, role, *, subject=None, email=None, password_hash="no hash"):
    """The id of a new account, whose password nobody knows unless its hash is given."""
    fields = {"password_hash": password_hash, "role": role, "subject_id": subject}
    address = email or f"{role}-{next(_numbers)}@example.org"
    return visit_to(office).run(
        lambda transaction: Accounts(transaction).open(fields, email=address, now=utc_now()).id
    )


def token_of(office, account_id):
    """An access token of a session begun for the account."""

    def begin(transaction):
        account = Accounts(transaction).get(account_id)
        lasting = office.tokens._refresh_age
        return Sessions(transaction).begin(account, now=utc_now(), lasting=lasting).id

    session = visit_to(office).run(begin)
    return office.tokens.issue(session, account_id=account_id, refreshes=0).access


def as_role(office, role, *, subject=None):
    """Headers of somebody who has this role."""
    token = token_of(office, new_account(office, role, subject=subject))
    return {"Authorization": f"Bearer {token}"}


def accounts_in(office):
    """How many accounts there are."""
    return visit_to(office).run(lambda transaction: transaction.query(Account).count())
