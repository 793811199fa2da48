"""The clients of one process, lent out one call at a time; a breaker watches each service."""

import logging
import queue
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kombu import Message
from nameko.exceptions import deserialize

from config.breaker import Breakers
from config.messaging import plain_json
from config.messaging.client import Answer, Client, NoAnswer, Outcome, Request, seconds_left
from config.messaging.connection import BROKEN

_log = logging.getLogger("rpc")


class Pool:
    """At most ``size`` clients of the broker at ``uri``, connected when first needed.

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
        self._connect = partial(Client, uri, ca_file=ca_file)
        self._unavailable = unavailable
        self._slots: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)

    def ask(
        self, *requests: Request, headers: Mapping[str, Any], deadline: float
    ) -> list[Answer]:
        """The answers to ``requests``, asked side by side.

        :param deadline: seconds since the epoch; nothing waits past it.
        :raises Exception: what ``unavailable`` makes, when one of them did not answer.
        """
        for request in requests:
            if self.breakers[request.service].refuses:
                raise self._unavailable(request.service)
        outcomes = self._ask_again_if_broken(requests, headers, deadline)
        self._tell_breakers(requests, outcomes)
        for outcome in outcomes:
            if isinstance(outcome, NoAnswer):
                raise self._unavailable(outcome.service) from outcome
        return [_answer(outcome) for outcome in outcomes if not isinstance(outcome, NoAnswer)]

    def _tell_breakers(self, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
        for request, outcome in zip(requests, outcomes, strict=True):
            breaker = self.breakers[request.service]
            if isinstance(outcome, NoAnswer):
                breaker.failed(outcome)
            else:
                breaker.succeeded()

    def _ask_again_if_broken(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Outcome]:
        """A pooled connection may have died unnoticed, so its failure says nothing of the service.

        Asking twice is safe: reads change nothing, and changes carry their key in the headers.
        """
        try:
            return self._ask_once(requests, headers, deadline, fresh=False)
        except BROKEN as broken:
            _log.warning("connection lost, asking again", extra={"error": type(broken).__name__})
        try:
            return self._ask_once(requests, headers, deadline, fresh=True)
        except BROKEN:
            return [NoAnswer(request.service) for request in requests]

    def _ask_once(
        self,
        requests: Sequence[Request],
        headers: Mapping[str, Any],
        deadline: float,
        *,
        fresh: bool,
    ) -> list[Outcome]:
        client, keep = self._borrow(requests[0], deadline), False
        try:
            if client and fresh:
                client.close()
                client = None
            client = client or self._connect(seconds=seconds_left(deadline))
            outcomes = client.ask(requests, headers, deadline)
            # A reply that comes too late, or half a frame, must not meet the next borrower.
            keep = not any(isinstance(outcome, NoAnswer) for outcome in outcomes)
            return outcomes
        finally:
            if client and not keep:
                client.close()
            self._slots.put(client if keep else None)

    def _borrow(self, request: Request, deadline: float) -> Client | None:
        try:
            return self._slots.get(timeout=seconds_left(deadline))
        except queue.Empty as busy:
            # All clients are out: this says nothing about the service, so no breaker hears of it.
            raise self._unavailable(request.service) from busy

    def probe(self, *, seconds: float) -> None:
        """:raises OSError, AMQPError: when the broker takes no new connection."""
        self._connect(seconds=seconds).close()

    def close(self) -> None:
        """Close the clients that are not lent out."""
        while not self._slots.empty():
            client = self._slots.get_nowait()
            if client:
                client.close()


def _answer(message: Message) -> Answer:
    body, replayed = message.payload, bool(message.headers.get("replayed"))
    error = deserialize(body["error"]) if body.get("error") else None
    return Answer(body["result"], error, replayed)
