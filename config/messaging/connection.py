"""Connections to the broker on which nothing waits for ever."""

import logging
import os
import socket
from typing import Any

from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import OperationalError

from config.messaging.frame_reader import FrameReader, read_ahead
from config.messaging.frames import mending_frame_handler
from config.tls import broker_options

_log = logging.getLogger("rpc")

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
    if (opened := socket_of(connection)) is not None:
        opened.settimeout(seconds)


def socket_of(connection: Connection) -> Any:
    """None: the memory transport of the embedded mode has no socket, and nothing to wait for."""
    return getattr(connection.connection, "sock", None)


def read_by_itself(connection: Connection) -> FrameReader:
    """Have only its reader read from it, as much at once as is there."""
    driver = connection.connection
    # Else each publishing begins with a read, which spins while half a frame is here.
    driver.client_properties = {}
    return read_ahead(driver.transport, frame_max=driver.frame_max)


def shut(opened: Any) -> None:
    """End what others read or write on a socket; the descriptor stays theirs until they have left.
    """
    try:
        # Not the socket's own method: TLS would forget what a reader needs just now.
        with socket.socket(fileno=os.dup(opened.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
    except OSError as ended:
        _log.debug("ended already", extra={"error": type(ended).__name__})
