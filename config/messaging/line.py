"""One connection to the broker for all calls of a process, told apart by their correlation ids.

Speaks Nameko's RPC protocol over kombu: Nameko's own clients wait for ever for a service that
does not answer (`RpcProxy`), or bound only the wait for the reply (the standalone one), and each
is for one caller at a time.

Nobody reads in the background: of those who wait, one reads for all, and leaves the reading to
another when its own answers are there. So there is no thread to start, to lose or to fork.
"""

import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kombu import Consumer, Message, Producer, Queue
from kombu.entity import TRANSIENT_DELIVERY_MODE

from config.messaging.client import Asked, NoAnswer, Outcome, Request, Undelivered, seconds_left
from config.messaging.connection import BROKEN, let_go, open_connection
from config.messaging.topology import RPC, found, rpc_exchange
from config.messaging.wire import Wire

_log = logging.getLogger("rpc")

# A reply queue that nobody takes from any more goes after this long, if it did not go with its
# connection. Of a host that vanished without a word only TCP tells the broker.
ORPHAN_SECONDS = 60


class Line:
    """A connection with one reply queue, for any number of callers at once, until it breaks.

    :raises OSError, AMQPError, OperationalError: when it does not come up.
    """

    def __init__(self, uri: str, *, seconds: float, ca_file: str | None = None) -> None:
        # Guards what follows; held for moments only, and never while the wire is used.
        self._lock = threading.Lock()
        self._calls: dict[str, Asked] = {}
        self._callers: dict[Asked, None] = {}
        self._reader: Asked | None = None
        self.broken = False
        # A name of its own, so that what was asked on another connection cannot be answered here.
        self._reply_to = uuid.uuid4().hex
        connection = open_connection(uri, seconds=seconds, ca_file=ca_file)
        try:
            self._wire = Wire(connection, on_end=self._break)
            # It publishes nothing itself: that takes it longer than all the rest of a call.
            Producer(self._wire.channel, on_return=self._on_return)
            self._consume(self._reply_to)
        except BaseException:
            let_go(connection)
            raise

    def _consume(self, name: str) -> None:
        replies = Queue(
            f"rpc.reply-{name}",
            found(rpc_exchange()),
            routing_key=name,
            exclusive=True,
            auto_delete=True,
            durable=False,
            expires=ORPHAN_SECONDS,
        )
        # Without acks: a reply that is lost is asked for again with the same key.
        self._consumer = Consumer(
            self._wire.channel, [replies], on_message=self._on_reply, no_ack=True, accept=["json"]
        )
        self._consumer.on_decode_error = lambda message, _: self._on_reply(message)
        self._consumer.consume()

    def ask(
        self, requests: Sequence[Request], headers: Mapping[str, Any], deadline: float
    ) -> list[Outcome]:
        """Send all ``requests``, then wait for all replies: side by side, in the order asked."""
        asked = Asked(requests)
        if self._enter(asked):
            try:
                self._send(asked, headers, deadline)
                self._wait(asked, deadline)
            except BROKEN:
                pass  # told to all who wait, and to this caller below
            finally:
                self._leave(asked)
        lost = NoAnswer if asked.sent and not self.broken else Undelivered
        return [
            asked.outcomes.get(id_) or lost(request.service)
            for id_, request in asked.requests.items()
        ]

    def _enter(self, asked: Asked) -> bool:
        with self._lock:
            if not self.broken:
                self._callers[asked] = None
                self._calls.update(dict.fromkeys(asked.requests, asked))
            return not self.broken

    def _leave(self, asked: Asked) -> None:
        """Answers that are still to come are nobody's now; somebody else reads on."""
        with self._lock:
            del self._callers[asked]
            for id_ in asked.requests:
                self._calls.pop(id_, None)
            if self._reader is asked:
                self._reader = None
            if self._reader is None:
                self._call_a_reader()
            last = self.broken and not self._callers
        if last:
            self._end()

    def _call_a_reader(self) -> None:
        # Who came last stays longest, so that the reading changes hands seldom. Who still sends
        # looks by itself afterwards, whether anybody reads.
        waiting = (asked for asked in reversed(self._callers) if asked.sent and asked.waits)
        if latest := next(waiting, None):
            latest.news.set()

    def _send(self, asked: Asked, headers: Mapping[str, Any], deadline: float) -> None:
        publish = partial(self._publish, asked, headers, deadline)
        asked.sent = self._wire.write(publish, seconds=seconds_left(deadline))

    def _publish(self, asked: Asked, headers: Mapping[str, Any], deadline: float) -> None:
        channel = self._wire.channel
        for id_, request in asked.requests.items():
            message = channel.prepare_message(
                asked.bodies[id_],
                content_type="application/json",
                content_encoding="utf-8",
                headers=dict(headers),
                properties={
                    "delivery_mode": TRANSIENT_DELIVERY_MODE,
                    "reply_to": self._reply_to,
                    "correlation_id": id_,
                    # Milliseconds, as a text.
                    "expiration": str(int(seconds_left(deadline) * 1000)),
                },
            )
            # Comes straight back when no queue takes it. No confirm: the deadline covers what is
            # lost on the way.
            channel.basic_publish(
                message,
                exchange=RPC,
                routing_key=f"{request.service}.{request.method}",
                mandatory=True,
            )

    def _wait(self, asked: Asked, deadline: float) -> None:
        while asked.waits and not self.broken and not _over(deadline):
            asked.news.clear()
            if self._reads(asked):
                self._wire.read(seconds=seconds_left(deadline))
            elif asked.waits and not self.broken:  # else told before it listened
                asked.news.wait(seconds_left(deadline))
        if asked.waits and not self.broken and self._wire.silent:
            # Nobody shall wait on this connection again.
            self._break(TimeoutError())

    def _reads(self, asked: Asked) -> bool:
        with self._lock:
            self._reader = self._reader or asked
            return self._reader is asked

    def _on_reply(self, message: Message) -> None:
        self._settle(str(message.properties.get("correlation_id")), message)

    def _on_return(self, *returned: Any) -> None:
        self._settle(str(returned[-1].properties["correlation_id"]), None)

    def _settle(self, id_: str, message: Message | None) -> None:
        with self._lock:
            asked = self._calls.pop(id_, None)
            # What comes too late is for nobody.
            if asked is not None:
                asked.outcomes[id_] = message or Undelivered(asked.requests[id_].service)
                if not asked.waits:
                    asked.news.set()

    def _break(self, cause: BaseException) -> None:
        with self._lock:
            first, self.broken = not self.broken, True
            for asked in self._callers:
                asked.news.set()
        if first:
            _log.warning("connection lost", extra={"error": type(cause).__name__})
            self._wire.shut()

    def close(self) -> None:
        """Those who wait are told; the last of them lets go of the connection."""
        with self._lock:
            first, self.broken = not self.broken, True
            nobody = not self._callers
            for asked in self._callers:
                asked.news.set()
        self._wire.shut()
        if first and nobody:
            self._end()

    def _end(self) -> None:
        if self._wire.in_memory:
            # Here no broker removes the queue together with its connection.
            self._wire.channel.queue_delete(f"rpc.reply-{self._reply_to}")
        self._wire.close()


def _over(deadline: float) -> bool:
    return time.time() >= deadline
