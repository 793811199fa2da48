"""What travels with every call: deadline, correlation id, idempotency key, caller."""

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nameko.exceptions import MalformedRequest, deserialize_to_instance

from config.keys import KeyRing
from config.messaging.caller import OPERATOR, Caller, ForgedCaller, verified

CORRELATION, DEADLINE, KEY, CALLER = "correlation_id", "deadline", "idempotency_key", "caller"
TRAVELS = (CORRELATION, DEADLINE, KEY, CALLER)
# Never sent: the caller once the signature has been checked.
CHECKED_CALLER = "checked_caller"
# Seconds since the epoch beyond which floats no longer count them one by one.
LATEST = 2**53

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


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
    caller: Caller = OPERATOR

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.time()

    @property
    def replayed(self) -> bool:
        return bool(self.context.get("replayed"))

    def mark_replayed(self) -> None:
        """The answer is the one kept for this key; the reply's headers will say so."""
        self.context["replayed"] = True


def new_context(*, correlation: str, seconds: float, key: str, caller: str = "") -> dict[str, Any]:
    """Context data of a call that begins here and may take ``seconds``.

    :param caller: who calls, signed; without it the other side takes us for an operator.
    """
    context = {CORRELATION: correlation, DEADLINE: time.time() + seconds, KEY: key}
    return context | {CALLER: caller} if caller else context


def headers_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """The message headers in which Nameko carries context data."""
    return {f"nameko.{name}": context[name] for name in TRAVELS if name in context}


def receive(sent: Mapping[str, Any], *, seconds: float, ring: KeyRing, message_id: str | None) -> (
    dict[str, Any]
):
    """The context of a call that came in, whoever sent it.

    Only what we know is kept, and only in its proper form. A call from a stock client (``nameko
    shell``) is given what it did not bring: its key is then the message's own id, which stays
    the same when the broker delivers it again.

    :raises MalformedRequest: when the caller's signature is not good.
    """
    context = {name: sent[name] for name in TRAVELS if name in sent}
    complete(context, seconds=seconds, message_id=message_id)
    context[CHECKED_CALLER] = OPERATOR
    if CALLER in context:
        try:
            context[CHECKED_CALLER] = verified(
                context[CALLER], correlation=context[CORRELATION], key=context[KEY], ring=ring
            )
        except ForgedCaller as forged:
            raise MalformedRequest("the caller is not signed") from forged
    return context


def complete(context: dict[str, Any], *, seconds: float, message_id: str | None = None) -> None:
    """Give ``context`` what is missing or has no proper form."""
    context[CORRELATION] = _first(_CORRELATION_ID, context.get(CORRELATION), message_id)
    context[KEY] = _first(_KEY, context.get(KEY), message_id)
    if not _is_time(context.get(DEADLINE)):
        context[DEADLINE] = time.time() + seconds


def _first(form: re.Pattern[str], *values: object) -> str:
    """A new one, if none has that form."""
    for each in values:
        if isinstance(each, str) and form.fullmatch(each):
            return each
    return str(uuid.uuid4())


def _is_time(value: object) -> bool:
    """Not so for NaN, which is neither below nor above anything, and for True, which is 1."""
    return type(value) in (int, float) and -LATEST < value < LATEST  # type: ignore[operator]
