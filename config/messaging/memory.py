"""RabbitMQ's stand-in for the embedded mode: kombu's memory transport, made fit for Nameko."""

from threading import Timer
from typing import Any, ClassVar

from kombu import transport
from kombu.transport import memory


class Channel(memory.Channel):
    # By the name of a queue: how many seconds messages rest in it, and where they go then.
    resting: ClassVar[dict[str, tuple[float, str]]] = {}

    def prepare_message(  # the parent's signature
        self,
        body: Any,
        priority: int | None = None,
        content_type: str | None = None,
        content_encoding: str | None = None,
        headers: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
    ) -> Any:
        # Nameko answers in the encoding of the request and looks for it among the properties,
        # where a real broker puts it and kombu's virtual transports do not.
        properties = (properties or {}) | {
            "content_type": content_type, "content_encoding": content_encoding
        }
        return super().prepare_message(
            body, priority, content_type, content_encoding, headers, properties
        )

    def close(self) -> None:
        # The parent class forgets every queue of the process when one channel closes.
        queues = self.queues
        super().close()
        self.queues = queues

    def _new_queue(self, queue: str, **options: Any) -> None:
        super()._new_queue(queue, **options)
        arguments = options.get("arguments") or {}
        if "x-message-ttl" in arguments and "x-dead-letter-exchange" in arguments:
            seconds = arguments["x-message-ttl"] / 1000
            self.resting[queue] = (seconds, arguments["x-dead-letter-exchange"])

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        """kombu's virtual transports pass over a queue's arguments; nobody takes from such ones."""
        if queue not in self.resting:
            super()._put(queue, message, **options)
            return
        seconds, exchange = self.resting[queue]
        timer = Timer(seconds, self._move_on, (message, exchange))
        timer.daemon = True
        timer.start()

    def _move_on(self, message: dict[str, Any], exchange: str) -> None:
        key = message["properties"]["delivery_info"]["routing_key"]
        for queue in self._lookup(exchange, key):
            super()._put(queue, message)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        """With the name of its queue, by which it finds back there."""
        message = super()._get(queue, timeout)
        properties = message["properties"]
        info = properties["delivery_info"] | {"queue": queue}
        return {**message, "properties": {**properties, "delivery_info": info}}

    def _restore(self, message: Any) -> None:
        # The parent class would give it to every queue that it once came to.
        self._put(message.delivery_info["queue"], message.serializable() | {"redelivered": True})


class Transport(memory.Transport):
    Channel = Channel
    # On the class, because Nameko gives its transports no options. An idle process polls at this
    # rate; a call waits for it twice.
    polling_interval = 0.002


def install() -> None:
    """Make ``memory://`` mean this transport, in this process."""
    transport.TRANSPORT_ALIASES["memory"] = f"{__name__}:Transport"
