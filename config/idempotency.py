"""Changes that happen once, however often they are asked for.

RPC is at least once: a killed worker or a broker restart runs a call again, and clients send
again what timed out. So a change commits its idempotency key and its answer together with its
effect. Refusals are kept too, without their effect: a client that was told no stays told no,
even when the call is delivered again after the reason has gone.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nameko.exceptions import deserialize, serialize
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from config.answers import enter, fingerprint_of, key_of, open_answer, seal_answer, settle
from config.clock import utc_now
from config.database import (
    LOCK_WAIT_TIMEOUT,
    Contended,
    Result,
    Transactions,
    error_number,
)
from config.encryption import Vault
from config.messaging.call import Call, DeadlineExceeded
from config.messaging.inbox import entered

Decide = Callable[[Session], Any]


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
    """One call's way to the database: ``transact`` runs work, ``read`` what only reads, ``change``
    runs it once per key, and ``once`` runs it once per event.

    :param reading: for ``read``, where each statement is a transaction. READ COMMITTED shows each
        what was committed by then anyway.
    :param subject: the member of a change's result that says whose data it is.
    :param inbox: the table of handled events, where there are any.
    :param handler: who handles them here, ``<service>.<method>``.
    """

    def __init__(
        self,
        transactions: Transactions,
        *,
        call: Callable[[], Call],
        answers: Any,
        errors: Errors,
        vault: Vault,
        reading: Transactions | None = None,
        subject: str | None = None,
        inbox: Any = None,
        handler: str = "",
    ) -> None:
        self.transact = transactions.run
        self.read = (reading or transactions).run
        self.answers = answers
        self.inbox = inbox
        self.vault = vault
        self._handler = handler
        self._call = call
        self._errors = errors
        self._subject = subject

    def change(self, request: Sequence[Any], decide: Decide) -> Any:
        """What ``decide(session)`` returned, now or when this key came first.

        :param request: method and arguments; the same key with another request is refused.
        :raises IdempotencyKeyReused, RequestInFlight, Unavailable, DeadlineExceeded: and what
            ``decide`` raises.
        """
        if self._call().seconds_left <= 0:
            # What was asked on the way here has used up the time; nobody waits for this any more.
            raise DeadlineExceeded()
        fingerprint = fingerprint_of(request, self.vault)

        def in_time(session: Session) -> dict[str, Any]:
            outcome = self._once(session, fingerprint, decide)
            if self._call().seconds_left <= 0:
                # It waited for a lock: what nobody will be told of is taken back.
                raise DeadlineExceeded()
            return outcome

        return self._open(self.transact(in_time))

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
        fingerprint = fingerprint_of(request, self.vault)
        kept = self.transact(lambda session: self._kept(session, fingerprint))
        if kept is not None:
            return self._open(kept)
        prepared = prepare()
        return self.change(request, lambda session: decide(session, prepared))

    def once(self, work: Callable[[Session], object]) -> None:
        """Run ``work(session)``, unless this handler has done so for this event before."""

        def unless_done(session: Session) -> None:
            call, now = self._call(), utc_now()
            if entered(session, self.inbox, event_id=call.key, handler=self._handler, now=now):
                work(session)
            else:
                call.mark_replayed()

        self.transact(unless_done)

    def _once(self, session: Session, fingerprint: str, decide: Decide) -> dict[str, Any]:
        key = self._key()
        if not self._enter(session, key, fingerprint):
            return self._replay(session, fingerprint)
        try:
            outcome = {"result": decide(session)}
            session.flush()
        except self._errors.SchedulingError as refusal:
            outcome = {"refused": serialize(refusal)}
            # Not to a savepoint: that would cost all those who are not refused two more turns to
            # the server. Who takes the key before it is back has decided for both.
            session.rollback()
            if not self._enter(session, key, fingerprint):
                return self._replay(session, fingerprint)
        sealed = seal_answer(self.vault, self.answers, key, outcome)
        settle(session, self.answers, key, answer=sealed, subject=self._subject_of(outcome))
        return outcome

    def _enter(self, session: Session, key: str, fingerprint: str) -> bool:
        """Have the key, without an answer yet, unless it is there already."""
        try:
            enter(session, self.answers, key, fingerprint=fingerprint, now=utc_now())
        except IntegrityError:
            session.rollback()
            return False
        except OperationalError as blocked:
            # The first request with this key holds its row until it commits.
            if error_number(blocked) == LOCK_WAIT_TIMEOUT:
                raise self._errors.RequestInFlight() from blocked
            raise
        return True

    def _subject_of(self, outcome: dict[str, Any]) -> int | None:
        result = outcome.get("result")
        return result.get(self._subject) if isinstance(result, dict) else None

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
        return open_answer(self.vault, row)

    def _open(self, outcome: dict[str, Any]) -> Any:
        if "refused" in outcome:
            raise deserialize(outcome["refused"])
        return outcome["result"]

    def _key(self) -> str:
        # Two callers may choose the same key; neither learns of the other's request.
        call = self._call()
        return key_of([call.caller.identity, call.key], self.vault)
