"""How much the queues hold, and for how long: policies of RabbitMQ, which can be changed without
making the queues anew."""

import re
from collections.abc import Collection, Iterable, Mapping

from config.messaging.topology import DEAD_LETTER_DAYS, DEAD_LETTERS, SURELY_MOVED_ON

# For callers that set no deadline, and for a service that is away: what is oldest goes first.
RPC_LIMITS = {
    "max-length": 10_000, "max-length-bytes": 100_000_000, "message-ttl": 60_000,
    "overflow": "drop-head",
}
# Of quorum queues. Looking at a dead letter counts as a delivery.
EVENT_DELIVERIES, LOOKS = 20, 1_000_000


def policies(
    queues: Collection[str], queue_type: str
) -> Mapping[str, tuple[str, Mapping[str, object]]]:
    """By name, which ones of ``queues`` are limited (a regular expression), and how."""
    quorum = queue_type == "quorum"
    letters = {"message-ttl": DEAD_LETTER_DAYS * 24 * 60 * 60 * 1000}
    limited: dict[str, tuple[str, Mapping[str, object]]] = {
        "clinic-rpc": (_any(each for each in queues if each.startswith("rpc-")), RPC_LIMITS),
        DEAD_LETTERS: (
            _any([DEAD_LETTERS]), letters | ({"delivery-limit": LOOKS} if quorum else {})
        ),
    }
    if quorum:
        # One that ends its process each time would come for ever.
        dead = {"delivery-limit": EVENT_DELIVERIES, "dead-letter-exchange": DEAD_LETTERS}
        events = _any(each for each in queues if each.startswith("evt-"))
        limited["clinic-events"] = (events, dead | SURELY_MOVED_ON)
    return limited


def _any(names: Iterable[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in names)})$"
