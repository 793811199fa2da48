"""How a process asks services: at most so many calls at once; a breaker watches each kind."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from kombu.exceptions import ContentDisallowed, DecodeError
from nameko.exceptions import deserialize

from config.breaker import Breakers, Permit
from config.messaging import plain_json
from config.messaging.client import (
    LEAST_SECONDS,
    Answer,
    NoAnswer,
    Outcome,
    Request,
    Undelivered,
    seconds_left,
)
from config.messaging.connection import BROKEN, let_go, open_connection
from config.messaging.dialer import Dialer
from config.messaging.line import Line
from config.messaging.places import Places
from config.metrics import CALLS_UNANSWERED

_log = logging.getLogger("rpc")

# Before each further try, at random up to so many seconds: what broke for all is not asked for by
# all at one moment.
PAUSES = (0.05, 0.2)

# Service and method.
Kind = tuple[str, str]


class Pool:
    """At most ``size`` calls at once over one connection to the broker at ``uri``.

    ``unavailable`` makes the error for a service that does not answer, whatever the reason.
    ``ca_file`` holds the certificates that an ``amqps://`` broker must answer to.
    """

    def __init__(
        self,
        uri: str,
        *,
        size: int,
        unavailable: Callable[[str], Exception],
        ca_file: str | None = None,
    ) -> None:
        plain_json.install()
        self.breakers = Breakers()
        self._open = partial(open_connection, uri, ca_file=ca_file)
        self._dialer = Dialer(partial(Line, uri, ca_file=ca_file))
        self._unavailable = unavailable
        self._places = Places(size)

    def ask(
        self, *requests: Request, headers: Mapping[str, Any], deadline: float
    ) -> list[Answer]:
        """The answers to ``requests``, asked side by side.

        :param deadline: seconds since the epoch; nothing waits past it.
        :raises Exception: what ``unavailable`` makes, when one of them did not answer.
        """
        outcomes = self._watched(requests, headers, deadline)
        for outcome in outcomes:
            if isinstance(outcome, NoAnswer):
                raise self._unavailable(outcome.service) from outcome
        return [outcome for outcome in outcomes if isinstance(outcome, Answer)]

    def _watched(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Answer | NoAnswer]:
        with ExitStack() as admitted:
            permits = {
                kind: admitted.enter_context(self._permit(kind, deadline))
                for kind in dict.fromkeys(map(_kind, requests))
            }
            admitted.enter_context(self._place(requests[0], deadline))
            came = zip(requests, self._outcomes(requests, headers, deadline), strict=True)
            outcomes = [_readable(request, outcome) for request, outcome in came]
            for request, outcome in zip(requests, outcomes, strict=True):
                _tell(permits[_kind(request)], request, outcome)
        return outcomes

    def _permit(self, kind: Kind, deadline: float) -> Permit:
        permit = self.breakers[kind].admit(seconds=seconds_left(deadline))
        if permit is None:
            service, _ = kind
            raise self._unavailable(service)
        return permit

    @contextmanager
    def _place(self, request: Request, deadline: float) -> Iterator[None]:
        # Being busy says nothing about the service, so no breaker hears of it.
        if not self._places.take(seconds=seconds_left(deadline)):
            raise self._unavailable(request.service)
        try:
            yield
        finally:
            self._places.give_back()

    def _outcomes(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Outcome]:
        """Asks again what did not get through.

        Asking twice is safe: reads change nothing, and changes carry their key in the headers.
        """
        outcomes = self._once(requests, headers, deadline)
        for longest in PAUSES:
            again = [at for at, each in enumerate(outcomes) if isinstance(each, Undelivered)]
            pause = random.uniform(0, longest)  # nosec B311 # jitter, no secret
            if not again or time.time() + pause >= deadline:
                break
            time.sleep(pause)
            fresh = self._once([requests[at] for at in again], headers, deadline)
            for at, outcome in zip(again, fresh, strict=True):
                outcomes[at] = outcome
        return outcomes

    def _once(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Outcome]:
        try:
            line = self._dialer.line(deadline)
        except BROKEN as broken:
            _log.debug("not connected", extra={"error": type(broken).__name__})
            return [Undelivered(request.service) for request in requests]
        if seconds_left(deadline) < LEAST_SECONDS:
            return [Undelivered(request.service) for request in requests]
        return line.ask(requests, headers, deadline)

    def probe(self, *, seconds: float) -> None:
        """:raises OSError, AMQPError: when the broker takes no new connection."""
        let_go(self._open(seconds=seconds))

    def close(self) -> None:
        """End all calls, and the connection."""
        self._dialer.close()


def _kind(request: Request) -> Kind:
    return request.service, request.method


def _tell(permit: Permit, request: Request, outcome: Answer | NoAnswer) -> None:
    if isinstance(outcome, Answer):
        permit.succeeded()
        return
    CALLS_UNANSWERED.labels(*_kind(request)).inc()
    # What did not get through says nothing of the service, which may be asked as soon as it does.
    if not isinstance(outcome, Undelivered):
        permit.failed(outcome)


def _readable(request: Request, outcome: Outcome) -> Answer | NoAnswer:
    if isinstance(outcome, NoAnswer):
        return outcome
    try:
        body = outcome.payload
        error = deserialize(body["error"]) if body.get("error") else None
        return Answer(body["result"], error, bool(outcome.headers.get("replayed")))
    except (ContentDisallowed, DecodeError, LookupError, TypeError, AttributeError) as unreadable:
        _log.error("answer refused", extra={"reason": type(unreadable).__name__})
        return NoAnswer(request.service)
