"""The relay's connection to the broker: events go out on it, and what wakes the relay comes in."""

import logging
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from enum import Enum, auto
from functools import partial
from typing import Any

from amqp.exceptions import AccessRefused, ChannelError, NotFound
from kombu import Consumer, Message, Queue
from kombu.entity import PERSISTENT_DELIVERY_MODE

from config.messaging.connection import let_go, open_connection, read_by_itself, socket_of
from config.messaging.convoy import Convoy
from config.messaging.topology import events_of, outbox_wake

_log = logging.getLogger("outbox")

CONFIRM_SECONDS = 5.0
NOT_FOUND = NotFound.code
# How soon an order to stop is seen.
SLICE_SECONDS = 0.2
# Of embedded mode's broker, for which waiting is looking again and again.
MEMORY_LOOKS_SECONDS = 0.02


class Fate(Enum):
    """What became of a published event; refused is what a full queue does not take."""

    TAKEN = auto()
    REFUSED = auto()
    UNROUTABLE = auto()


class Publisher:
    """Publishes on the exchange of ``source``; for one thread or greenlet.

    Several events may be under way at once: the broker confirms them in its own time.
    """

    def __init__(self, uri: str, *, source: str, ca_file: str | None = None) -> None:
        """:raises OSError, AMQPError, OperationalError: unless the broker lets us in."""
        self._fates: dict[str, Fate] = {}
        self._unsettled: dict[int, str] = {}
        self._sent = 0
        self._woken = False
        self._exchange = events_of(source)
        self._connection = open_connection(uri, seconds=CONFIRM_SECONDS, ca_file=ca_file)
        # The memory transport of the embedded mode confirms nothing, and has no socket.
        self._confirms = socket_of(self._connection) is not None
        try:
            self._prepare_to_publish()
            self._listen(source)
        except Exception:
            self.close()
            raise

    def _prepare_to_publish(self) -> None:
        channel = self._connection.channel()
        self._exchange(channel).declare()
        self._channel = channel
        if not self._confirms:
            self._connection.transport.polling_interval = MEMORY_LOOKS_SECONDS
            return
        # Not by kombu's `confirm_publish`, which waits for each event before the next.
        channel.confirm_select()
        read_by_itself(self._connection)
        self._convoy = Convoy(self._connection.connection)
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def _listen(self, source: str) -> None:
        """Without a way to be woken, the relay looks by itself: later, but all the same."""
        queue = Queue(f"outbox-wake-{uuid.uuid4().hex}", exclusive=True, auto_delete=True,
                      durable=False, queue_arguments={"x-max-length": 1})
        # Of its own: a refusal closes it.
        channel = self._connection.channel()
        try:
            self._bind(queue(channel), source)
        except (NotFound, AccessRefused) as refused:
            extra = {"source": source, "error": type(refused).__name__}
            _log.warning("nothing wakes the relay; run `clinic topology`", extra=extra)
            return
        self._wakes = Consumer(channel, [queue], no_ack=True, auto_declare=False,
                               on_message=self._on_wake)
        self._wakes.consume()

    def _bind(self, queue: Queue, source: str) -> None:
        queue.declare()
        queue.bind_to(outbox_wake().name, routing_key=source)

    def finds(self, queue: str) -> bool:
        """Whether there is a queue of this name, as far as we may know; to look takes no right."""
        # A channel of its own: the refusal closes it.
        with self._connection.channel() as channel:
            try:
                channel.queue_declare(queue, passive=True)
            except ChannelError as refused:
                # By its number, which is all that the memory transport has for it.
                return int(refused.reply_code) != NOT_FOUND
        return True

    def send(self, row: Any) -> None:
        """Publish the event in ``row``, together with others; what becomes of it, ``settle`` tells.
        """
        if self._confirms:
            self._convoy.join(partial(self._publish, row))
            self._sent += 1
            self._unsettled[self._sent] = row.id
        else:
            self._publish(row)
            self._fates[row.id] = Fate.TAKEN

    def _publish(self, row: Any) -> None:
        message = self._channel.prepare_message(
            row.body,
            content_type="application/json",
            content_encoding="utf-8",
            properties={"delivery_mode": PERSISTENT_DELIVERY_MODE, "message_id": row.id},
        )
        self._channel.basic_publish(
            message, exchange=self._exchange.name, routing_key=row.name, mandatory=True
        )

    def settle(self) -> dict[str, Fate]:
        """What became of each event sent since the last time, by its id.

        :raises TimeoutError: when the broker does not say; the connection is of no more use.
        """
        ends = time.monotonic() + CONFIRM_SECONDS
        if self._unsettled:
            self._convoy.send(seconds=CONFIRM_SECONDS)
        while self._unsettled:
            self._connection.drain_events(timeout=max(ends - time.monotonic(), 0.001))
        fates, self._fates = self._fates, {}
        return fates

    def rest(self, seconds: float, *, until: Callable[[], bool]) -> None:
        """Wait to be woken, at most so long.

        :raises OSError, AMQPError: when the connection has gone meanwhile.
        """
        ends = time.monotonic() + seconds
        while not (self._woken or until()) and (left := ends - time.monotonic()) > 0:
            with suppress(TimeoutError):
                self._connection.drain_events(timeout=min(left, SLICE_SECONDS))
        self._woken = False

    def close(self) -> None:
        let_go(self._connection)

    def _on_wake(self, message: Message) -> None:
        self._woken = True

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._settled(tag, multiple, Fate.TAKEN)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._settled(tag, multiple, Fate.REFUSED)

    def _settled(self, tag: int, multiple: bool, fate: Fate) -> None:
        tags: Collection[int] = [each for each in self._unsettled if each <= tag]
        for each in tags if multiple else (tag,):
            # What was returned is confirmed too, afterwards.
            self._fates.setdefault(self._unsettled.pop(each), fate)

    def _on_return(self, failure: Exception, exchange: str, key: str, message: Any) -> None:
        self._fates[message.properties["message_id"]] = Fate.UNROUTABLE
