"""The call that a service is working on, as a Nameko extension."""

import logging
import time
from typing import Any

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from nameko.rpc import Rpc

from config.logs import correlation_id
from config.messaging.call import CHECKED_CALLER, CORRELATION, DEADLINE, KEY, Call, complete
from config.messaging.caller import SYSTEM
from config.metrics import CALL_DURATION

_log = logging.getLogger("service")


def call_of(worker_ctx: WorkerContext) -> Call:
    """The call that a worker is working on; a timer's is made up."""
    context = worker_ctx.data
    if CHECKED_CALLER not in context:
        complete(context, seconds=worker_ctx.container.config["CALL_SECONDS"])
    return Call(
        correlation_id=str(context[CORRELATION]),
        deadline=context[DEADLINE],
        key=str(context[KEY]),
        context=context,
        # Nobody sent a timer.
        caller=context.get(CHECKED_CALLER, SYSTEM),
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
        method = f"{worker_ctx.service_name}.{worker_ctx.entrypoint.method_name}"
        seconds = time.monotonic() - worker_ctx.data["started"]
        CALL_DURATION.labels(method, outcome).observe(seconds)
        refusals = worker_ctx.entrypoint.expected_exceptions
        expected = exc_info is None or issubclass(exc_info[0], refusals)
        # A timer's round is of interest only when it fails.
        routine = logging.INFO if isinstance(worker_ctx.entrypoint, Rpc) else logging.DEBUG
        _log.log(
            routine if expected else logging.ERROR,
            "call",
            extra={
                "method": method,
                "outcome": outcome,
                "caller": call_of(worker_ctx).caller.identity,
                "ms": round(seconds * 1000, 1),
            },
            exc_info=None if expected else exc_info,
        )
