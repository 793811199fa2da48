"""Messages whose envelope cannot be read, mended so that they can be refused like any other.

py-amqp raises whatever its decoder raises, kombu lets that through, and the process ends; the
broker then gives the message to the next instance, which ends as well. Header tables nested ten
thousand deep do it, dates beyond the year 9999, and text that is not UTF-8.
"""

from collections.abc import Callable
from struct import error as StructError
from struct import pack
from typing import Any

from amqp import spec
from amqp.exceptions import AMQPError
from amqp.method_framing import frame_handler
from amqp.serialization import decode_properties_basic

from config.messaging.frame_reader import Frame

# The content type of a message whose own properties are not to be read.
UNREADABLE = "application/x-unreadable"
METHOD, HEADER = 1, 2
_DELIVER = pack(">HH", *spec.Basic.Deliver)
# Class and size of the content; then come the properties.
_FIXED_BYTES = 12
_SIZE, _NOTHING = slice(4, _FIXED_BYTES), bytes(8)
_ONLY_CONTENT_TYPE = pack(">HB", 0x8000, len(UNREADABLE)) + UNREADABLE.encode()
_UNDECODABLE = (
    AMQPError, ArithmeticError, LookupError, OSError, RecursionError, StructError, TypeError,
    ValueError,
)


def mending_frame_handler(connection: Any, callback: Callable[..., Any]) -> Callable[[Frame], bool]:
    """py-amqp's own, which gets to see only what it can decode; a connection's option."""
    on_frame = frame_handler(connection, callback)

    def on_header(channel: int, payload: bytes) -> bool:
        if payload[_SIZE] == _NOTHING or b"compression" in payload:
            return bool(on_frame((HEADER, channel, with_readable_properties(payload))))
        try:
            # Where a body follows, nobody is called yet: then it need not be decoded twice.
            return bool(on_frame((HEADER, channel, payload)))
        except _UNDECODABLE:
            return bool(on_frame((HEADER, channel, with_readable_properties(payload))))

    def on_mended_frame(frame: Frame) -> bool:
        kind, channel, payload = frame
        if kind == HEADER:
            return on_header(channel, payload)
        if kind == METHOD and payload[:4] == _DELIVER:
            payload = with_readable_key(payload)
        return bool(on_frame((kind, channel, payload)))

    return on_mended_frame


def with_readable_properties(payload: bytes) -> bytes:
    """``payload``, or one that says no more than that it was unreadable, and its size."""
    try:
        properties, _ = decode_properties_basic(payload, _FIXED_BYTES)
        # kombu would unpack it, before anybody can say how large it may become.
        if "compression" not in (properties.get("application_headers") or ()):
            return payload
    except _UNDECODABLE:
        pass
    return payload[:_FIXED_BYTES] + _ONLY_CONTENT_TYPE


def with_readable_key(payload: bytes) -> bytes:
    """The delivery with a routing key in ASCII, as all of ours are."""
    # Short strings, each after its length: consumer tag, exchange, routing key. After the first
    # come a number of eight bytes and a flag.
    exchange = 4 + 1 + payload[4] + 9
    key = exchange + 1 + payload[exchange] + 1
    if payload[key:].isascii():
        return payload
    return payload[:key] + bytes(each if each < 128 else ord("?") for each in payload[key:])
