"""What travels with every call: deadline, correlation id, idempotency key."""

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nameko.containers import WorkerContext
from nameko.exceptions import deserialize_to_instance
from nameko.extensions import DependencyProvider

from config.logs import correlation_id

_log = logging.getLogger("service")

CORRELATION, DEADLINE, KEY = "correlation_id", "deadline", "idempotency_key"


@deserialize_to_instance
class DeadlineExceeded(Exception):
    """The caller has stopped waiting; nothing was done."""


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


def call_of(worker_ctx: WorkerContext) -> Call:
    """The call that a worker is working on; a timer's is made up."""
    context = worker_ctx.data
    complete(context, seconds=worker_ctx.container.config["CALL_SECONDS"])
    return Call(
        correlation_id=str(context[CORRELATION]),
        deadline=context[DEADLINE],
        key=str(context[KEY]),
        context=context,
    )


class CurrentCall(DependencyProvider):
    """Gives a service its :class:`Call`, and logs one line for each: method, outcome, duration."""

    def get_dependency(self, worker_ctx: WorkerContext) -> Call:
        return call_of(worker_ctx)

    def worker_setup(self, worker_ctx: WorkerContext) -> None:
        correlation_id.set(str(worker_ctx.data[CORRELATION]))
        worker_ctx.data["started"] = time.monotonic()

    def worker_result(
        self, worker_ctx: WorkerContext, result: object = None, exc_info: Any = None
    ) -> None:
        outcome = "ok" if exc_info is None else exc_info[0].__name__
        refusals = worker_ctx.entrypoint.expected_exceptions
        expected = exc_info is None or issubclass(exc_info[0], refusals)
        _log.log(
            logging.INFO if expected else logging.ERROR,
            "call",
            extra={
                "method": f"{worker_ctx.service_name}.{worker_ctx.entrypoint.method_name}",
                "outcome": outcome,
                "ms": round((time.monotonic() - worker_ctx.data["started"]) * 1000, 1),
            },
            exc_info=None if expected else exc_info,
        )
