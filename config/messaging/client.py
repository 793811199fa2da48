"""RPC clients that never wait past a deadline, and the pool that lends them out.

Speaks Nameko's RPC protocol over kombu: Nameko's own clients wait for ever for a service that
does not answer (`RpcProxy`), or bound only the wait for the reply (the standalone one).
"""

import logging
import queue
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AMQPError
from kombu import Connection, Consumer, Exchange, Message, Producer, Queue
from kombu.exceptions import KombuError
from nameko.exceptions import deserialize
from pybreaker import CircuitBreakerError

from config.breaker import Breakers

_log = logging.getLogger("rpc")

RPC_EXCHANGE = Exchange("nameko-rpc", type="topic", durable=True)
# A reply queue whose client died without a word is removed by the broker after this long.
ORPHAN_SECONDS = 60
BROKEN = (OSError, AMQPError, KombuError)


@dataclass(frozen=True)
class Request:
    """A call of ``service.method(*args)``."""

    service: str
    method: str
    args: Sequence[Any] = ()


@dataclass(frozen=True)
class Answer:
    """What came back; ``replayed`` when it is the answer kept for an idempotency key."""

    value: Any = None
    error: Exception | None = None
    replayed: bool = False

    def result(self) -> Any:
        """The value, or raise the error that the service raised."""
        if self.error is not None:
            raise self.error
        return self.value


class NoAnswer(Exception):
    """``service`` did not answer: nobody listens, the connection broke, or time ran out."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.service = service


class Client:
    """One connection and one reply queue, for one greenlet at a time; thrown away when it fails."""

    def __init__(self, uri: str, *, seconds: float) -> None:
        self._replies: dict[str, Message] = {}
        self._unroutable: set[str] = set()
        self._reply_to = uuid.uuid4().hex
        self._connection = Connection(uri, connect_timeout=seconds)
        try:
            self._channel = self._connection.channel()
            self._producer = Producer(self._channel, on_return=self._on_return)
            self._consume(self._reply_to)
        except Exception:
            self.close()
            raise

    def _consume(self, name: str) -> None:
        replies = Queue(
            f"rpc.reply-{name}",
            RPC_EXCHANGE,
            routing_key=name,
            exclusive=True,
            auto_delete=True,
            durable=False,
            expires=ORPHAN_SECONDS,
        )
        # Without acks: a reply that is lost is asked for again with the same key.
        self._consumer = Consumer(
            self._channel, [replies], on_message=self._on_reply, no_ack=True, accept=["json"]
        )
        self._consumer.consume()

    def _on_reply(self, message: Message) -> None:
        self._replies[message.properties["correlation_id"]] = message

    def _on_return(self, *returned: Any) -> None:
        message = returned[-1]
        self._unroutable.add(message.properties["correlation_id"])

    def ask(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Message]:
        """Send all ``requests``, then wait for all replies: side by side, in the order asked.

        :raises NoAnswer: naming the first service that nobody serves or that was too late.
        :raises OSError, amqp.AMQPError: when the connection breaks.
        """
        ids = [self._send(request, headers, deadline) for request in requests]
        sent = zip(ids, requests, strict=True)
        return [self._wait(number, request, deadline) for number, request in sent]

    def _send(self, request: Request, headers: Mapping[str, Any], deadline: float) -> str:
        sent, seconds = uuid.uuid4().hex, _left(deadline, request)
        self._producer.publish(
            {"args": list(request.args), "kwargs": {}},
            exchange=RPC_EXCHANGE,
            routing_key=f"{request.service}.{request.method}",
            serializer="json",
            # Comes straight back, during the wait below, when no queue takes it. No confirm:
            # the deadline covers what is lost on the way.
            mandatory=True,
            delivery_mode="transient",
            reply_to=self._reply_to,
            correlation_id=sent,
            expiration=seconds,
            headers=dict(headers),
            timeout=seconds,
        )
        return sent

    def _wait(self, sent: str, request: Request, deadline: float) -> Message:
        while sent not in self._replies:
            if sent in self._unroutable:
                raise NoAnswer(request.service)
            try:
                self._connection.drain_events(timeout=_left(deadline, request))
            except TimeoutError as late:
                raise NoAnswer(request.service) from late
        return self._replies.pop(sent)

    def close(self) -> None:
        """Let go of the connection without waiting for a broker that may not answer."""
        try:
            if self._connection.transport.driver_type == "memory":
                # Here no broker removes the queue together with its connection.
                self._channel.queue_delete(f"rpc.reply-{self._reply_to}")
            self._connection.collect(socket_timeout=0.1)
        except Exception as failure:  # the connection is being given up; nothing depends on it
            _log.debug("close failed", extra={"error": type(failure).__name__})


class Pool:
    """At most ``size`` clients of the broker at ``uri``, connected when first needed.

    ``unavailable`` makes the error for a service that does not answer, whatever the reason.
    """

    def __init__(self, uri: str, *, size: int, unavailable: Callable[[str], Exception]) -> None:
        self.breakers = Breakers()
        self._uri = uri
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
        try:
            messages = self._ask_guarded(requests, headers, deadline)
        except NoAnswer as silent:
            raise self._unavailable(silent.service) from silent
        except CircuitBreakerError as open_breaker:
            raise self._unavailable(requests[0].service) from open_breaker
        return [_answer(message) for message in messages]

    def _ask_guarded(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Message]:
        with ExitStack() as guards:
            for service in dict.fromkeys(request.service for request in requests):
                guards.enter_context(self.breakers[service].calling())
            return self._ask_again_if_broken(requests, headers, deadline)

    def _ask_again_if_broken(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Message]:
        """A pooled connection may have died unnoticed, so its failure says nothing of the service.

        Asking twice is safe: reads change nothing, and changes carry their key in the headers.
        """
        try:
            with self._client(requests[0], deadline, fresh=False) as client:
                return client.ask(requests, headers, deadline)
        except BROKEN as broken:
            _log.warning("connection lost, asking again", extra={"error": type(broken).__name__})
        try:
            with self._client(requests[0], deadline, fresh=True) as client:
                return client.ask(requests, headers, deadline)
        except BROKEN as broken:
            raise NoAnswer(requests[0].service) from broken

    @contextmanager
    def _client(self, request: Request, deadline: float, *, fresh: bool) -> Iterator[Client]:
        try:
            client = self._slots.get(timeout=_left(deadline, request))
        except queue.Empty as busy:
            raise NoAnswer(request.service) from busy
        try:
            if fresh and client:
                client.close()
                client = None
            client = client or Client(self._uri, seconds=_left(deadline, request))
            yield client
        except BaseException:
            # Whatever went wrong, a late reply or half a frame must not meet the next borrower.
            if client:
                client.close()
                client = None
            raise
        finally:
            self._slots.put(client)

    def probe(self, *, seconds: float) -> None:
        """:raises OSError, AMQPError: when the broker takes no new connection."""
        Client(self._uri, seconds=seconds).close()

    def close(self) -> None:
        """Close the clients that are not lent out."""
        while not self._slots.empty():
            client = self._slots.get_nowait()
            if client:
                client.close()


def _left(deadline: float, request: Request) -> float:
    seconds = deadline - time.time()
    if seconds <= 0:
        raise NoAnswer(request.service)
    return seconds


def _answer(message: Message) -> Answer:
    body, replayed = message.payload, bool(message.headers.get("replayed"))
    error = deserialize(body["error"]) if body.get("error") else None
    return Answer(body["result"], error, replayed)
