"""Reacting to another service's events: again and again, until the effect is committed.

Nameko by itself acknowledges an event whose handler failed, and it is lost; or gives it back at
once, and the same failure comes round a thousand times a second.
"""

import logging
from collections.abc import Callable
from typing import Any

import eventlet
from kombu import Message
from nameko.containers import WorkerContext
from nameko.events import EventHandler as StockEventHandler
from nameko.exceptions import ContainerBeingKilled

from config.messaging.call import CORRELATION, complete
from config.messaging.connection import BROKEN
from config.messaging.rpc import QueueConsumer

_log = logging.getLogger("events")

# A failed event is given back after this long, and its place in the queue's window is free again.
PAUSE_SECONDS = 1.0


class EventHandler(StockEventHandler):
    """Delivers an event until its method returns or refuses it, so the method must be repeatable.

    ``expected_exceptions`` are refusals: of such an event nothing will ever come, so it is dropped.
    """

    queue_consumer = QueueConsumer()

    def handle_message(self, body: Any, message: Message) -> None:
        # Nothing that the headers say about a caller counts: the relay sends none.
        context: dict[str, Any] = {}
        if isinstance(body, dict):
            context[CORRELATION] = body.get("correlationid")
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

    def _settle(
        self, message: Message, worker: WorkerContext, result: Any, exc_info: Any
    ) -> tuple[Any, Any]:
        settle = self._answer(message, exc_info)
        try:
            # What came over a connection that is gone, the broker gives to somebody again.
            if message.channel.connection:
                settle()
        except BROKEN as broken:
            # Raised on, it would end the whole service, as Nameko has it.
            _log.warning("event not settled", extra={"error": type(broken).__name__})
        return result, exc_info

    def _answer(self, message: Message, exc_info: Any) -> Callable[[], None]:
        """What to tell the broker, when it is time to."""
        if exc_info is None:
            return message.ack
        if issubclass(exc_info[0], self.expected_exceptions):
            _log.error("event refused", extra={"event": self.event_type})
            return message.reject
        eventlet.sleep(PAUSE_SECONDS)
        return message.requeue


event_handler = EventHandler.decorator
