"""Nameko's container of a service, named to it by SERVICE_CONTAINER_CLS."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nameko.containers import ServiceContainer, WorkerContext
from nameko.exceptions import ContainerBeingKilled

from config.messaging.workers import Workers

_log = logging.getLogger("service")

Outcome = tuple[Any, Any]
Answer = Callable[..., Outcome]


class Container(ServiceContainer):
    """Its workers are used again, and log nothing: for each call Nameko's makes a new thread, a
    call id and eight lines, which nobody gets to see, because they hold the call's arguments."""

    def __init__(self, service_cls: type, config: dict[str, Any]) -> None:
        super().__init__(service_cls, config)
        self._worker_pool = Workers(self.max_workers)

    def spawn_worker(
        self,
        entrypoint: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        context_data: dict[str, Any] | None = None,
        handle_result: Answer | None = None,
    ) -> WorkerContext:
        if self._being_killed:
            raise ContainerBeingKilled()
        worker_ctx = WorkerContext(
            self, self.service_cls(), entrypoint, args, kwargs, data=context_data
        )
        self._worker_threads[worker_ctx] = self._worker_pool.begin(
            self._work_on, worker_ctx, handle_result
        )
        return worker_ctx

    def _work_on(self, worker_ctx: WorkerContext, handle_result: Answer | None) -> None:
        try:
            self._run_worker(worker_ctx, handle_result)
        except Exception:
            # As Nameko has it: what goes wrong outside of a method is the end of the service.
            _log.critical("worker failed", exc_info=True)
            # Not by itself.
            del self._worker_threads[worker_ctx]
            self.kill(sys.exc_info())
        finally:
            self._worker_threads.pop(worker_ctx, None)

    def _run_worker(self, worker_ctx: WorkerContext, handle_result: Answer | None) -> None:
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
