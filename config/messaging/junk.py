"""Messages that no program of ours would send: told apart before anything is made of them."""

import hashlib
import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from kombu import Message

from config.clock import utc_now
from config.messaging.dead_letters import DIED_AT, LETTER, NOT_TAKEN, REASON, bury
from config.messaging.frames import UNREADABLE
from config.metrics import MESSAGES_REFUSED

_log = logging.getLogger("service")

JSON = "application/json"
ENCODINGS = ("utf-8", "utf8", "us-ascii", "ascii")
# The largest request that the gateway takes is smaller; the largest list of ours is, too.
LARGEST_BYTES = 1024 * 1024


class Junk(Exception):
    """``reason`` is one of our words, fit for logs, labels and the sender; nothing that was sent.

    :param told: what the sender is answered, if there is somebody to answer.
    """

    def __init__(self, reason: str, told: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.told = told


def decoded(message: Message) -> Any:
    """What the body says, if it is what all of ours are: JSON of no unusual size.

    :raises Junk:
    """
    if message.content_type == UNREADABLE:
        raise Junk("unreadable properties")
    if len(message.body) > LARGEST_BYTES:
        raise Junk("too large")
    if message.content_type != JSON:
        raise Junk("content type")
    if (message.content_encoding or ENCODINGS[0]).lower() not in ENCODINGS:
        raise Junk("content encoding")
    try:
        return json.loads(message.body)
    # The latter: brackets within brackets, thousands deep.
    except (ValueError, RecursionError):
        raise Junk("unreadable") from None


def bury_description(
    config: Mapping[str, Any], message: Message, *, queue: str, reason: str
) -> None:
    """Keep of ``message`` that it came and what it was like; its body may hold anything about
    anybody. Where even that cannot be kept, the log has it.
    """
    about, letter = described(message), uuid.uuid4().hex
    MESSAGES_REFUSED.labels(queue, reason).inc()
    told = {"queue": queue, "reason": reason, "letter": letter, **about}
    _log.error("message refused", extra=told)
    key = message.delivery_info.get("routing_key")
    try:
        bury(
            config,
            json.dumps({"reason": reason, **about, "routing_key": key}),
            queue=queue,
            headers={LETTER: letter, REASON: reason, DIED_AT: utc_now().isoformat()},
            content_type=JSON,
            content_encoding="utf-8",
        )
    except NOT_TAKEN as failure:
        _log.error("dead letter not kept", extra={"error": type(failure).__name__})


def described(message: Message) -> dict[str, Any]:
    """By what it can be found again where it came from."""
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
