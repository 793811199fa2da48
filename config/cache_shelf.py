"""What Redis is for the cache, inside one process: where the whole system runs in it."""

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

MOST = 2000


class Shelf:
    """Copies and floors by key, as Redis would keep them; greenlets of one thread share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin()

    def look(self, epoch: str, tickets: str, *keys: str) -> tuple[bytes, int, list[bytes | None]]:
        """The epoch, a ticket, and what lies at ``keys``."""
        return self._epoch, self._next(), [self._at(key) for key in keys]

    def keep(self, key: str, value: bytes, seconds: float) -> bool:
        if len(self._kept) >= MOST:
            # Of floors, too: what was read before may count no more.
            self._begin()
        self._kept[key] = value, self._clock() + seconds
        return True

    def put_up(self, *floors: str) -> bool:
        number = str(self._next()).encode()
        for floor in floors:
            self._kept[floor] = number, float("inf")
        return True

    def _begin(self) -> None:
        # Its name begins with the number that it began at, as in Redis.
        self._epoch, self._number = bytes(8) + os.urandom(8), 0
        self._kept: dict[str, tuple[bytes, float]] = {}

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _at(self, key: str) -> bytes | None:
        value, until = self._kept.get(key, (None, 0.0))
        return value if self._clock() < until else None


@cache
def shelf_beside(folder: Path) -> Shelf:
    """The one of the system whose data is in ``folder``."""
    return Shelf()
