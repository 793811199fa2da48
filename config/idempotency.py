"""Changes that happen once, however often they are asked for.

RPC is at least once: a killed worker or a broker restart runs a call again, and clients send
again what timed out. So a change commits its idempotency key and its answer together with its
effect. Refusals are kept too, without their effect: a client that was told no stays told no,
even when the call is delivered again after the reason has gone.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import nameko_sqlalchemy
from nameko.containers import WorkerContext
from nameko.exceptions import deserialize, serialize
from sqlalchemy import CHAR, Engine, Text, delete, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from config.clock import utc_now
from config.database import (
    LOCK_WAIT_TIMEOUT,
    Contended,
    Result,
    Transactions,
    UtcDateTime,
    connect,
    error_number,
    uri_of,
)
from config.messaging.call import Call, DeadlineExceeded
from config.messaging.current_call import call_of

KEPT_FOR = timedelta(hours=24)
BATCH = 1000

Decide = Callable[[Session], Any]


class AnswerColumns:
    """Columns of a service's table of kept answers; ``key`` is the hash of the call's key."""

    key: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(CHAR(64))
    answer: Mapped[str] = mapped_column(Text)
    answered_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Errors(Protocol):
    """The errors this module raises, given by the service: a module with these names."""

    @property
    def SchedulingError(self) -> type[Exception]: ...  # noqa: N802, E704

    @property
    def Unavailable(self) -> type[Exception]: ...  # noqa: N802, E704

    @property
    def IdempotencyKeyReused(self) -> type[Exception]: ...  # noqa: N802, E704

    @property
    def RequestInFlight(self) -> type[Exception]: ...  # noqa: N802, E704


class Store:
    """One call's way to the database: ``transact`` runs work, ``change`` runs it once per key."""

    def __init__(
        self, transactions: Transactions, *, call: Callable[[], Call], answers: Any, errors: Errors
    ) -> None:
        self.transact = transactions.run
        self.answers = answers
        self._call = call
        self._errors = errors

    def change(self, request: Sequence[Any], decide: Decide) -> Any:
        """What ``decide(session)`` returned, now or when this key came first.

        :param request: method and arguments; the same key with another request is refused.
        :raises IdempotencyKeyReused, RequestInFlight, Unavailable, DeadlineExceeded: and what
            ``decide`` raises.
        """
        if self._call().seconds_left <= 0:
            # What was asked on the way here has used up the time; nobody waits for this any more.
            raise DeadlineExceeded()
        fingerprint = _hash(request)
        return self._open(self.transact(lambda session: self._once(session, fingerprint, decide)))

    def change_after(
        self,
        prepare: Callable[[], Result],
        request: Sequence[Any],
        decide: Callable[[Session, Result], Any],
    ) -> Any:
        """As ``change``, with ``decide(session, prepare())``.

        ``prepare`` runs outside the transaction, where other services may be asked; not at all
        when the answer is known already.
        """
        fingerprint = _hash(request)
        kept = self.transact(lambda session: self._kept(session, fingerprint))
        if kept is not None:
            return self._open(kept)
        prepared = prepare()
        return self.change(request, lambda session: decide(session, prepared))

    def _once(self, session: Session, fingerprint: str, decide: Decide) -> dict[str, Any]:
        row = self.answers(
            key=self._key(), fingerprint=fingerprint, answer="", answered_at=utc_now()
        )
        try:
            session.add(row)
            session.flush()
        except IntegrityError:
            session.rollback()
            return self._replay(session, fingerprint)
        except OperationalError as blocked:
            # The first request with this key holds its row until it commits.
            if error_number(blocked) == LOCK_WAIT_TIMEOUT:
                raise self._errors.RequestInFlight() from blocked
            raise
        outcome = self._decide(session, decide)
        row.answer = json.dumps(outcome)
        return outcome

    def _decide(self, session: Session, decide: Decide) -> dict[str, Any]:
        try:
            with session.begin_nested():
                return {"result": decide(session)}
        except self._errors.SchedulingError as refusal:
            return {"refused": serialize(refusal)}

    def _replay(self, session: Session, fingerprint: str) -> dict[str, Any]:
        kept = self._kept(session, fingerprint)
        if kept is None:
            raise Contended("the first request with this key was rolled back")
        return kept

    def _kept(self, session: Session, fingerprint: str) -> dict[str, Any] | None:
        row = session.get(self.answers, self._key())
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise self._errors.IdempotencyKeyReused()
        self._call().mark_replayed()
        return dict(json.loads(row.answer))

    def _open(self, outcome: dict[str, Any]) -> Any:
        if "refused" in outcome:
            raise deserialize(outcome["refused"])
        return outcome["result"]

    def _key(self) -> str:
        return _hash(self._call().key)


class Database(nameko_sqlalchemy.Database):
    """Gives a service its :class:`Store`: nameko-sqlalchemy's sessions, our transactions."""

    def __init__(self, base: type[DeclarativeBase], *, answers: Any, errors: Errors) -> None:
        super().__init__(base)
        self.answers = answers
        self.errors = errors

    engine: Engine

    def setup(self) -> None:
        super().setup()
        # Its engine takes no options from the configuration, so it gives way to ours.
        self.engine.dispose()
        self.engine = connect(
            uri_of(self.container.config, self.container.service_name, self.declarative_base),
            pool_size=self.container.max_workers,
        )
        self.Session.configure(bind=self.engine)

    def get_dependency(self, worker_ctx: WorkerContext) -> Store:
        def call() -> Call:
            return call_of(worker_ctx)

        transactions = Transactions(
            super().get_dependency(worker_ctx),
            deadline=lambda: call().deadline,
            unavailable=self.errors.Unavailable,
        )
        return Store(transactions, call=call, answers=self.answers, errors=self.errors)


def forget_some_answers(session: Session, answers: Any, *, now: datetime) -> int:
    """Delete up to ``BATCH`` answers that no client may ask for any more; how many they were."""
    old = select(answers.key).where(answers.answered_at < now - KEPT_FOR).limit(BATCH)
    keys = session.scalars(old).all()
    session.execute(delete(answers).where(answers.key.in_(keys)))
    return len(keys)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
