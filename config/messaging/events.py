"""Reacting to another service's events: again and again, until the effect is committed.

Nameko by itself acknowledges an event whose handler failed, and it is lost; or gives it back at
once, and the same failure comes round a thousand times a second.
"""

import logging
from typing import Any

import eventlet
from kombu import Message
from nameko.containers import WorkerContext
from nameko.events import EventHandler as StockEventHandler
from nameko.exceptions import ContainerBeingKilled

from config.messaging.call import CORRELATION, complete
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
        self, message: Message, worker: WorkerContext, result: Any = None, exc_info: Any = None
    ) -> tuple[Any, Any]:
        if exc_info is None:
            self.queue_consumer.ack_message(message)
        elif issubclass(exc_info[0], self.expected_exceptions):
            _log.error("event refused", extra={"event": self.event_type})
            message.reject()
        else:
            eventlet.sleep(PAUSE_SECONDS)
            self.queue_consumer.requeue_message(message)
        return result, exc_info


event_handler = EventHandler.decorator
