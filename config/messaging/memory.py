"""RabbitMQ's stand-in for the embedded mode: kombu's memory transport, made fit for Nameko."""

from typing import Any

from kombu import transport
from kombu.transport import memory


class Channel(memory.Channel):
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


class Transport(memory.Transport):
    Channel = Channel
    # On the class, because Nameko gives its transports no options. An idle process polls at this
    # rate; a call waits for it twice.
    polling_interval = 0.002


def install() -> None:
    """Make ``memory://`` mean this transport, in this process."""
    transport.TRANSPORT_ALIASES["memory"] = f"{__name__}:Transport"
