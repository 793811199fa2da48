"""Connections to the broker on which nothing waits for ever."""

from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import OperationalError

from config.messaging.frames import mending_frame_handler
from config.tls import broker_options

# What a connection raises that breaks, or does not come up.
BROKEN = (OSError, AMQPError, OperationalError)
CLOSE_SECONDS = 0.1


def open_connection(
    uri: str, *, seconds: float, confirm: bool = False, ca_file: str | None = None
) -> Connection:
    """A connection that is up. Later waits of its own (a declaration, say) are bounded too.

    :param confirm: whether publishing waits until the broker has taken the message.
    :param ca_file: whom ``amqps://`` trusts, or the machine's own certificates.
    :raises OSError, AMQPError, OperationalError: when it is not up after ``seconds``.
    """
    connection = Connection(
        uri,
        connect_timeout=seconds,
        ssl=broker_options(uri, ca_file),
        transport_options={
            "confirm_publish": confirm, "frame_handler": mending_frame_handler
        },
    )
    # By itself kombu rests two seconds and tries again, whatever the caller's deadline.
    connection.ensure_connection(max_retries=0, timeout=seconds)
    bound_waits(connection, seconds=seconds)
    return connection


def let_go(connection: Connection) -> None:
    """Close it without waiting for a broker that may not answer."""
    connection.collect(socket_timeout=CLOSE_SECONDS)


def bound_waits(connection: Connection, *, seconds: float) -> None:
    """From now on, a frozen broker is given up after ``seconds``; py-amqp itself would wait."""
    # The memory transport of the embedded mode has no socket, and nothing to wait for.
    socket = getattr(connection.connection, "sock", None)
    if socket is not None:
        socket.settimeout(seconds)
