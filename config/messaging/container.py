"""Nameko's container of a service, named to it by SERVICE_CONTAINER_CLS."""

import sys
from collections.abc import Callable
from typing import Any

from nameko.containers import ServiceContainer, WorkerContext

Outcome = tuple[Any, Any]


class Container(ServiceContainer):
    """Logs nothing of its own: for each call Nameko's makes a new call id and eight lines, which
    nobody gets to see, because they hold the call's arguments."""

    def _run_worker(
        self, worker_ctx: WorkerContext, handle_result: Callable[..., Outcome] | None
    ) -> None:
        self._inject_dependencies(worker_ctx)
        self._worker_setup(worker_ctx)
        result, exc_info = _outcome(worker_ctx)
        if handle_result is not None:
            result, exc_info = handle_result(worker_ctx, result, exc_info)
        self._worker_result(worker_ctx, result, exc_info)
        # It refers to this frame; with it, all of this would wait for the garbage collection.
        del exc_info
        self._worker_teardown(worker_ctx)


def _outcome(worker_ctx: WorkerContext) -> Outcome:
    method = getattr(worker_ctx.service, worker_ctx.entrypoint.method_name)
    try:
        return method(*worker_ctx.args, **worker_ctx.kwargs), None
    except Exception:
        return None, sys.exc_info()
