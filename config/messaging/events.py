"""Reacting to another service's events: until the effect is committed, or an operator is asked.

Nameko by itself acknowledges an event whose handler failed, and it is lost; or gives it back at
once, and the same failure comes round a thousand times a second. Here it rests in queues of
delayed events, longer each time, while others are handled; after the last of them it is kept as a
dead letter. What the handler does to its database goes through ``Store.once``.
"""

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import eventlet
from kombu import Message
from nameko.containers import WorkerContext
from nameko.events import EventHandler as StockEventHandler
from nameko.exceptions import ContainerBeingKilled

from config.clock import utc_now
from config.messaging.call import CORRELATION, KEY, complete
from config.messaging.connection import BROKEN
from config.messaging.consumer import QueueConsumer
from config.messaging.dead_letters import (
    ATTEMPT,
    ATTEMPTS,
    DIED_AT,
    ERROR,
    LETTER,
    NOT_TAKEN,
    REASON,
    bury,
    properties,
    put_off,
    raw,
)
from config.messaging.inbox import LONGEST_EVENT_ID
from config.messaging.junk import Junk
from config.messaging.topology import found, queue_arguments
from config.metrics import EVENTS_HANDLED

_log = logging.getLogger("events")

# What the broker does not take is given back after this long.
PAUSE_SECONDS = 1.0
# As much as the inbox holds.
_ID = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_EVENT_ID}}}")
# Besides its id, an event of CloudEvents 1.0 has all of these.
_REQUIRED = ("specversion", "source", "type")


class EventHandler(StockEventHandler):
    """Delivers an event until its method returns or refuses it, so the method must be repeatable.

    ``expected_exceptions`` are refusals: of such an event nothing will ever come, so it is a dead
    letter at once.
    """

    queue_consumer = QueueConsumer()

    def setup(self) -> None:
        super().setup()
        config = self.container.config
        self.queue.queue_arguments = queue_arguments(config["QUEUE_TYPE"])
        self.queue.exchange = found(self.queue.exchange)
        self.retries: tuple[int, ...] = config["EVENT_RETRY_SECONDS"]

    def handle_message(self, body: Any, message: Message) -> None:
        if not _is_event(body):
            self.refuse(message, Junk("no event"))
            return
        # Nothing that the headers say about a caller counts: the relay sends none.
        context: dict[str, Any] = {KEY: body["id"], CORRELATION: body.get("correlationid")}
        complete(context, seconds=self.container.config["CALL_SECONDS"])
        try:
            self.container.spawn_worker(
                self,
                (body,),
                {},
                context_data=context,
                handle_result=lambda *outcome: self._settle(message, *outcome),
            )
        except ContainerBeingKilled:
            self.queue_consumer.requeue_message(message)

    def refuse(self, message: Message, junk: Junk) -> None:
        """Put a description aside: only events are known to tell nothing about anybody."""
        self.queue_consumer.refuse(self.queue.name, message, junk)

    def _settle(
        self, message: Message, worker: WorkerContext, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        if exc_info is None:
            self._finish(message, "seen" if worker.data.get("replayed") else "done")
        elif issubclass(exc_info[0], self.expected_exceptions):
            self._finish(message, "dead", partial(self._bury, message, "refused", exc_info[0]))
        elif (failed := self._failed(message)) < len(self.retries):
            self._finish(message, "retried", partial(self._put_off, message, failed))
        else:
            self._finish(message, "dead", partial(self._bury, message, "failed", exc_info[0]))
        return result, exc_info

    def _finish(
        self, message: Message, outcome: str, put_aside: Callable[[], None] = lambda: None
    ) -> None:
        """Acknowledge it, once it is put aside.

        What is raised here would end the whole service, as Nameko has it.
        """
        try:
            # What came over a connection that is gone, the broker gives to somebody again.
            if message.channel.connection and self._taken(put_aside):
                message.ack()
                EVENTS_HANDLED.labels(self._name, outcome).inc()
            elif message.channel.connection:
                message.requeue()
        except BROKEN as broken:
            _log.warning("event not settled", extra={"error": type(broken).__name__})

    def _taken(self, put_aside: Callable[[], None]) -> bool:
        try:
            put_aside()
        except NOT_TAKEN as failure:
            _log.warning("event not put aside", extra={"error": type(failure).__name__})
            eventlet.sleep(PAUSE_SECONDS)
            return False
        return True

    def _put_off(self, message: Message, failed: int) -> None:
        seconds = self.retries[failed]
        _log.warning("event failed", extra={"handler": self._name, "again_in": seconds})
        headers = _letter(message) | {ATTEMPT: failed + 1}
        put_off(
            self.container.config, raw(message), queue=self.queue.name, seconds=seconds,
            headers=headers, **properties(message),
        )

    def _bury(
        self, message: Message, reason: str, error: type[BaseException] | None = None
    ) -> None:
        headers = _letter(message) | {
            REASON: reason, DIED_AT: utc_now().isoformat(), ATTEMPTS: self._failed(message) + 1
        }
        if error:
            headers[ERROR] = error.__name__
        letter = bury(
            self.container.config, raw(message), queue=self.queue.name, headers=headers,
            **properties(message),
        )
        extra = {"handler": self._name, "reason": reason, "letter": letter}
        _log.error("event is a dead letter", extra=extra)

    def _failed(self, message: Message) -> int:
        """How often before; it is only believed what we could have written."""
        told = (message.headers or {}).get(ATTEMPT)
        return told if type(told) is int and 0 <= told <= len(self.retries) else 0

    @property
    def _name(self) -> str:
        return f"{self.container.service_name}.{self.method_name}"


def _is_event(body: Any) -> bool:
    """Whether it has the form; what it says, its handler judges."""
    if not isinstance(body, dict) or any(not isinstance(body.get(name), str) for name in _REQUIRED):
        return False
    number = body.get("id")
    return isinstance(number, str) and _ID.fullmatch(number) is not None


def _letter(message: Message) -> dict[str, Any]:
    """Its id, if it was a dead letter before and is sent again."""
    told = (message.headers or {}).get(LETTER)
    return {LETTER: told} if isinstance(told, str) and _ID.fullmatch(told) else {}


event_handler = EventHandler.decorator
