"""Publishing over Nameko's pooled connections, where nothing waits for ever or is sent twice.

Nameko has kombu publish again after any error of the connection, a confirm that is late among them,
on a connection whose first waits have no bound.
"""

from typing import Any

from kombu import Connection
from nameko.amqp.publish import Publisher, get_producer

from config.messaging.connection import BROKEN, bound_waits, let_go

# For each thing that is waited for: the connection, its channel, that a message is written, and
# that it is confirmed.
WAIT_SECONDS = 5.0


class PooledPublisher(Publisher):
    """Publishes once."""

    def publish(self, payload: Any, **kwargs: Any) -> None:
        """:raises OSError, AMQPError, OperationalError: the broker may have it, or not."""
        options = {
            "delivery_mode": self.delivery_mode,
            "mandatory": self.mandatory,
            "timeout": WAIT_SECONDS,
            "confirm_timeout": WAIT_SECONDS,
        }
        with get_producer(self.amqp_uri, self.use_confirms, self.ssl) as producer:
            connection = producer.connection
            try:
                make_ready(connection)
                producer.publish(payload, **{**options, **self.publish_kwargs, **kwargs})
            except BaseException:
                # What is still to come on it would be taken for the next one's.
                let_go(connection)
                raise


def make_ready(connection: Connection) -> None:
    """Have it up, found alive, and bounded. Later it is too late to tell: what is written to a
    connection that died unnoticed may have arrived."""
    if connection.connected and not _lives(connection):
        let_go(connection)
    connection.ensure_connection(max_retries=0, timeout=WAIT_SECONDS)
    bound_waits(connection, seconds=WAIT_SECONDS)


def _lives(connection: Connection) -> bool:
    # The memory transport of the embedded mode has no socket, and nothing that could die.
    if getattr(connection.connection, "sock", None) is None:
        return True
    try:
        while True:
            connection.drain_events(timeout=0)
    except TimeoutError:
        return True
    except BROKEN:
        return False
