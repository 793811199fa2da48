"""How many may be at something at once.

The standard library's semaphore gives way to other greenlets, under gevent, each time it is
released, and keeps its lock meanwhile: callers that could go together then go one by one.
"""

import threading
from collections import deque


class Places:
    def __init__(self, size: int) -> None:
        # Held for moments only.
        self._lock = threading.Lock()
        self._free = size
        self._waiting: deque[threading.Event] = deque()

    def take(self, *, seconds: float) -> bool:
        """Whether one came free in time; who came first is first."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            given = threading.Event()
            self._waiting.append(given)
        try:
            given.wait(seconds)
        except BaseException:
            if not self._withdrawn(given):
                self.give_back()
            raise
        return not self._withdrawn(given)

    def _withdrawn(self, given: threading.Event) -> bool:
        """False: it was given a place."""
        with self._lock:
            if not given.is_set():
                self._waiting.remove(given)
            return not given.is_set()

    def give_back(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
