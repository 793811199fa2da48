"""An RPC client that never waits past its deadline.

Speaks Nameko's RPC protocol over kombu: Nameko's own clients wait for ever for a service that
does not answer (`RpcProxy`), or bound only the wait for the reply (the standalone one).
"""

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kombu import Consumer, Exchange, Message, Producer, Queue

from config.messaging.connection import bound_waits, open_connection

_log = logging.getLogger("rpc")

RPC_EXCHANGE = Exchange("nameko-rpc", type="topic", durable=True)
# A reply queue whose client died without a word is removed by the broker after this long.
ORPHAN_SECONDS = 60


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


Outcome = Message | NoAnswer


class Client:
    """One connection and one reply queue, for one greenlet at a time; thrown away when it fails."""

    def __init__(self, uri: str, *, seconds: float, ca_file: str | None = None) -> None:
        self._replies: dict[str, Message] = {}
        self._unroutable: set[str] = set()
        self._reply_to = uuid.uuid4().hex
        self._connection = open_connection(uri, seconds=seconds, ca_file=ca_file)
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
        self._replies[str(message.properties.get("correlation_id"))] = message

    def _on_return(self, *returned: Any) -> None:
        message = returned[-1]
        self._unroutable.add(message.properties["correlation_id"])

    def ask(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Outcome]:
        """Send all ``requests``, then wait for all replies: side by side, in the order asked.

        :raises OSError, amqp.AMQPError: when the connection breaks.
        """
        bound_waits(self._connection, seconds=seconds_left(deadline))
        ids = [self._send(request, headers, deadline) for request in requests]
        sent = zip(ids, requests, strict=True)
        return [self._outcome(number, request, deadline) for number, request in sent]

    def _send(self, request: Request, headers: Mapping[str, Any], deadline: float) -> str:
        sent, seconds = uuid.uuid4().hex, seconds_left(deadline)
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

    def _outcome(self, sent: str, request: Request, deadline: float) -> Outcome:
        while sent not in self._replies:
            if sent in self._unroutable:
                return NoAnswer(request.service)
            try:
                self._connection.drain_events(timeout=seconds_left(deadline))
            except TimeoutError:
                return NoAnswer(request.service)
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


def seconds_left(deadline: float) -> float:
    """Seconds until ``deadline``; a little, when it has passed, so that the wait itself ends it."""
    return max(deadline - time.time(), 0.001)
