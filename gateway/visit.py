"""One request, from its arrival to its answer."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from config.audit import reader
from config.cache import Copy, Look
from config.database import Transactions
from config.health import database_answers
from config.idempotency import Store
from config.messaging import client
from config.messaging.call import Call
from config.messaging.caller import NOBODY, Caller
from gateway.accounts import SignedIn
from gateway.cache import ACCOUNT as ACCOUNT_FLOOR
from gateway.cache import CHANGES, TIMETABLES, floors
from gateway.models import Answer
from gateway.office import DatabaseSessions, Office
from gateway.rates import Rate
from gateway.request import ApiRequest, network_of
from gateway.rpc import HEALTH_SECONDS, Rpc
from schemas import errors
from schemas.accounts import DOCTOR, PATIENT, ROLES_WITH_SUBJECT
from schemas.errors import Unavailable

Result = TypeVar("Result")

_log = logging.getLogger("gateway")

ACCOUNT = "account"
# Who changes a timetable waits so long for bookings to know of it.
TOLD_SECONDS = 1.0


@dataclass(kw_only=True)
class Visit:
    """``concerns`` says whose personal data it is about, such as ``patient/12``."""

    request: ApiRequest
    office: Office
    correlation: str
    deadline: float
    signed_in: SignedIn | None = None
    concerns: list[str] = field(default_factory=list)
    replayed: bool = False
    # Whether they had a request left.
    heard: bool = False
    # What is left of the caller's requests.
    rate: Rate | None = None
    # What Redis knew when the request came, by place.
    looks: dict[str, Look] = field(default_factory=dict)
    # Shown because its owner could not be asked.
    outdated: Copy | None = None
    _known: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)

    @property
    def caller(self) -> Caller:
        if self.signed_in is None:
            return NOBODY
        return Caller(self.signed_in.role, self.signed_in.account_id, self.signed_in.subject_id)

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.time()

    @property
    def address(self) -> str:
        """Where the request came from, in a form that tells only whether it is the same again."""
        return self.office.vault.index("address", network_of(self.request.remote_addr or ""))

    def concern(self, kind: str, record_id: int) -> None:
        """Say that it is about this one's data (too)."""
        subject = f"{kind}/{record_id}"
        if subject not in self.concerns:
            self.concerns.append(subject)

    def concern_login(self, account_id: int, role: str, subject_id: int | None) -> None:
        """Say that it is about a login, and so about the person whose it is."""
        self.concern(ACCOUNT, account_id)
        if role in ROLES_WITH_SUBJECT and subject_id is not None:
            self.concern(role, subject_id)

    def run(self, work: Callable[[Session], Result]) -> Result:
        """What ``work`` returns, in a transaction on the gateway's own database."""
        return self._transactions(self.office.sessions).run(work)

    def run_once(
        self,
        prepare: Callable[[], Result],
        request: Sequence[Any],
        work: Callable[[Session, Result], Any],
    ) -> Any:
        """As ``run`` of ``work(session, prepare())``, but once for the client's idempotency key.

        :param request: what was asked for; the same key with another request is refused.
        """
        call = Call(
            correlation_id=self.correlation,
            deadline=self.deadline,
            key=self.request.idempotency_key(),
            context={},
            caller=self.caller,
        )
        store = Store(
            self._transactions(self.office.sessions),
            call=lambda: call,
            answers=Answer,
            errors=errors,
            vault=self.office.vault,
            subject="id",
        )
        result = store.change_after(prepare, request, work)
        self.replayed = call.replayed
        return result

    def read_trail(self, work: Callable[[Session], Result]) -> Result:
        """As ``run``, on the audit database, where only reading is allowed."""
        return self._transactions(self.office.audit_sessions).run(work)

    def _transactions(
        self, sessions: DatabaseSessions, *, deadline: float | None = None
    ) -> Transactions:
        until = self.deadline if deadline is None else deadline
        return Transactions(sessions, deadline=lambda: until, unavailable=Unavailable)

    def appointment(self, appointment_id: int) -> dict[str, Any]:
        """The record; whatever comes of it, the request is about its patient.

        :raises AppointmentNotFound, Unavailable:
        """
        record = self.known("appointment", "get", appointment_id)
        self.concern(PATIENT, record["patientId"])
        return record

    def databases_answer(self) -> dict[str, str]:
        """``ok`` or ``failing``, for the gateway's own database and for the audit trail.

        The former is not ready before the first administrator can sign in.
        """
        soon = min(self.deadline, time.time() + HEALTH_SECONDS)
        own = self._transactions(self.office.sessions, deadline=soon)
        trail = self._transactions(self.office.audit_sessions, deadline=soon)
        gateway = _verdict(lambda: own.run(database_answers))
        return {
            "gateway": gateway if self.office.settled.is_set() else "failing",
            "audit": _verdict(lambda: trail.run(reader.trail_answers)),
        }

    def ask(self, service: str, method: str, *args: Any, key: str | None = None) -> client.Answer:
        """A service's answer.

        :param key: the idempotency key, when it is not the client's.
        :raises Unavailable: when ``service`` does not answer in time.
        """
        chosen = key or self.request.idempotency_key()
        answer = self.rpc().ask(service, method, *args, key=chosen, deadline=self.deadline)
        self.replayed = answer.replayed
        self._outdate(service, method, args)
        if service == DOCTOR and method in TIMETABLES and answer.error is None:
            self._renew_timetable(args[0])
        return answer

    def _outdate(self, service: str, method: str, args: Sequence[Any]) -> None:
        raised = floors(CHANGES, service, method, *args)
        if raised:
            self.office.cache.changed(*raised)

    def _renew_timetable(self, doctor_id: int) -> None:
        """The appointment service keeps the one it knows; the event that tells it of another comes
        a moment later than the answer to who has changed it."""
        soon = min(self.deadline, time.time() + TOLD_SECONDS)
        try:
            self.rpc().ask("appointment", "renew", doctor_id, key=self.correlation, deadline=soon)
        except Unavailable:
            _log.warning("timetable not renewed; its event follows")

    def sessions_changed(self, *accounts: int) -> None:
        """From now on nobody believes what was known of the sessions of ``accounts``."""
        if accounts:
            self.office.cache.changed(*map(ACCOUNT_FLOOR.format, accounts))

    def rpc(self) -> Rpc:
        return Rpc(
            self.office.pools,
            caller=self.caller,
            ring=self.office.settings.keys.caller,
            correlation=self.correlation,
        )

    def known(self, service: str, method: str, record_id: int) -> dict[str, Any]:
        """As the result of ``ask``; asked once, however often it is needed."""
        question = (service, method, record_id)
        if question not in self._known:
            self._known[question] = self.ask(*question).result()
        return self._known[question]


def _verdict(check: Callable[[], str]) -> str:
    try:
        return check()
    except (Unavailable, SQLAlchemyError):
        return "failing"
