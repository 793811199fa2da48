"""An envelope that cannot be read becomes one that can, and that says so."""

from datetime import datetime
from struct import pack

import pytest
from amqp import Message
from amqp.serialization import decode_properties_basic, dumps, loads

from config.messaging.frames import UNREADABLE, with_readable_key, with_readable_properties

SIZE = 41
FIXED = pack(">HHQ", 60, 0, SIZE)


def header(**properties):
    return FIXED + Message(b"", **properties)._serialize_properties()


def with_header(kind, value):
    """One whose headers hold ``value``, which py-amqp would not write like this."""
    table = b"\x01a" + kind + value
    return FIXED + pack(">H", 0x2000) + pack(">I", len(table)) + table


@pytest.mark.parametrize(
    "payload",
    [
        header(),
        header(content_type="application/json", reply_to="me", correlation_id="c"),
        header(application_headers={"a": {"b": [1, None]}, "at": datetime(2031, 1, 1)}),
    ],
    ids=["nothing", "texts", "headers"],
)
def test_what_can_be_read_stays_as_it_is(payload):
    assert with_readable_properties(payload) == payload


@pytest.mark.parametrize(
    "payload",
    [
        with_header(b"T", pack(">Q", 2**63)),
        with_header(b"T", pack(">Q", 2**64 - 1)),
        with_header(b"?", b""),
        with_header(b"I", b""),
        with_header(b"F" + pack(">I", 10), b"\x01"),
        header(correlation_id=b"\xff"),
        header(application_headers={"compression": "application/x-gzip"}),
        FIXED,
    ],
    ids=[
        "a date beyond all years", "a date beyond all numbers", "an unknown kind",
        "a number cut off", "a table cut off", "no text", "packed", "nothing at all",
    ],
)
def test_what_cannot_be_read_says_no_more_than_that_and_its_size(payload):
    mended = with_readable_properties(payload)
    assert mended[:12] == FIXED
    properties, _ = decode_properties_basic(mended, 12)
    assert properties == {"content_type": UNREADABLE}


def delivery(key):
    return pack(">HH", 60, 60) + dumps("sLbss", ("tag", 2**40, False, "nameko-rpc", key))


def test_a_key_of_ours_stays_as_it_is():
    assert with_readable_key(delivery("a.get")) == delivery("a.get")


@pytest.mark.parametrize("key", [b"a.\xff\xfe", b"\xff" * 255, "a.gët".encode()])
def test_a_key_of_odd_bytes_is_one_that_fits_nothing(key):
    *rest, mended = loads("sLbss", with_readable_key(delivery(key)), 4)[0]
    assert rest == ["tag", 2**40, False, "nameko-rpc"]
    assert mended.isascii() and "?" in mended and len(mended) == len(key)
