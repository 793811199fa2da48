"""What is measured, as it is called in tables and pictures; and what must be reached."""

from collections.abc import Mapping
from dataclasses import dataclass

EMPTY = "an empty route of the same gunicorn"
CACHED = "GET a cached patient"
UNCACHED = "GET an uncached patient"
STOCK_READ = "stock Nameko: GET a patient"
PEER_READ = "the peer: GET a patient"

RAW_CALL = "a raw AMQP round trip"
CALL = "RPC round trip"
QUERY_CALL = "RPC with a query: does a patient exist"
STOCK_CALL = "stock Nameko: RPC round trip"

INSERT = "a raw insert, with fsync"
BOOKING = "POST an appointment"
STOCK_BOOKING = "stock Nameko: check, then insert"
PEER_BOOKING = "the peer: POST an appointment"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "reads": (EMPTY, CACHED, UNCACHED, STOCK_READ, PEER_READ),
    "calls": (RAW_CALL, CALL, QUERY_CALL, STOCK_CALL),
    "bookings": (INSERT, BOOKING, STOCK_BOOKING, PEER_BOOKING),
}
OURS = (CACHED, UNCACHED, CALL, QUERY_CALL, BOOKING)
# Also looked at while they are asked half as much as they can take.
HALF_LOADED = (CACHED, UNCACHED, BOOKING)


@dataclass(frozen=True)
class Target:
    """``name`` does at least ``least`` times as many in a second as ``floor``."""

    name: str
    floor: str
    least: float


TARGETS = (
    Target(CACHED, EMPTY, 0.4),
    Target(CACHED, PEER_READ, 2.5),
    Target(UNCACHED, STOCK_READ, 1.5),
    Target(UNCACHED, PEER_READ, 0.7),
    Target(CALL, RAW_CALL, 0.6),
    Target(BOOKING, STOCK_BOOKING, 1.5),
    Target(BOOKING, PEER_BOOKING, 0.7),
)
# Of the latest hundredth, against the median.
MOST_LATE = 5.0
MOST_MEGABYTES = 130.0
# Of the process that grows most, over three fifths of the time that it is watched.
MOST_GROWN = 1.05
# With many appointments stored, against a thousand.
MOST_SLOWER = 1.5
