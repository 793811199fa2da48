"""What travels with every call: deadline, correlation id, idempotency key."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nameko.exceptions import deserialize_to_instance

CORRELATION, DEADLINE, KEY = "correlation_id", "deadline", "idempotency_key"


@deserialize_to_instance
class DeadlineExceeded(Exception):
    """The caller has stopped waiting; nothing was done."""

    def __str__(self) -> str:
        return "The call came after its deadline; nothing was done."


@dataclass(frozen=True, kw_only=True)
class Call:
    """``deadline`` is in seconds since the epoch, so that it means the same on every machine.

    ``key`` is the same each time the broker delivers this call, and for each retry of the client.
    """

    correlation_id: str
    deadline: float
    key: str
    context: dict[str, Any]

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.time()

    def mark_replayed(self) -> None:
        """The answer is the one kept for this key; the reply's headers will say so."""
        self.context["replayed"] = True


def new_context(*, correlation: str, seconds: float, key: str) -> dict[str, Any]:
    """Context data of a call that begins here and may take ``seconds``."""
    return {CORRELATION: correlation, DEADLINE: time.time() + seconds, KEY: key}


def headers_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """The message headers in which Nameko carries context data."""
    return {f"nameko.{name}": context[name] for name in (CORRELATION, DEADLINE, KEY)}


def complete(context: dict[str, Any], *, seconds: float, message_id: str | None = None) -> None:
    """Give a call from a stock client (``nameko shell``) what it did not bring along.

    Its key is the message's own id, which stays the same when the broker delivers it again.
    """
    fresh = message_id or str(uuid.uuid4())
    context.setdefault(CORRELATION, fresh)
    context.setdefault(KEY, fresh)
    if not isinstance(context.get(DEADLINE), int | float):
        context[DEADLINE] = time.time() + seconds
