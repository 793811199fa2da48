"""Green threads that work on one thing after the other.

A new one for each call takes memory for its stack from the system, and gives it back.
"""

from collections.abc import Callable
from contextvars import Context
from typing import Any

import eventlet
from eventlet.greenpool import GreenPool
from eventlet.hubs import get_hub

Task = tuple[Callable[..., None], tuple[Any, ...]]


class Workers(GreenPool):
    # Sent when none is at work, nor waits to be.
    no_coros_running: Any

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._resting: list[Any] = []

    def begin(self, work: Callable[..., None], *arguments: Any) -> Any:
        """Have ``work(*arguments)`` done, as ``spawn`` does: when one of them is free.

        :return: its thread, to be killed while it is at it.
        """
        self.sem.acquire()
        # Not whenever none is at work: while there are some to come, all are still waited for.
        if self.no_coros_running.ready():
            self.no_coros_running = eventlet.Event()
        if self._resting:
            worker = self._resting.pop()
            get_hub().schedule_call_global(0, worker.switch, (work, arguments))
        else:
            # Handed over, not passed: what a thread is begun with is kept until it ends.
            worker = eventlet.spawn(self._work, [(work, arguments)])
            worker.link(self._ended)
        self.coroutines_running.add(worker)
        return worker

    def _work(self, first: list[Task]) -> None:
        me, (work, arguments) = eventlet.getcurrent(), first.pop()
        while True:
            # What one call sets, the next is not to find.
            Context().run(work, *arguments)
            self._spawn_done(me)
            self._resting.append(me)
            del work, arguments
            work, arguments = get_hub().switch()

    def _ended(self, worker: Any) -> None:
        """It was killed: at its work, before its turn to begin came, or while it rested."""
        if worker in self.coroutines_running:
            self._spawn_done(worker)
        if worker in self._resting:
            self._resting.remove(worker)

    def waitall(self) -> None:
        super().waitall()
        while self._resting:
            self._resting.pop().kill()
