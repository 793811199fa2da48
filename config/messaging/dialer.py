"""The one connection of a process: made when first needed, and anew when it broke.

However many callers need it, one at a time tries to connect, and all who waited meanwhile share
what came of it: a broker that comes back is not met by a storm.
"""

import random
import threading
import time
from collections.abc import Callable

from config.messaging.client import seconds_left
from config.messaging.connection import BROKEN
from config.messaging.line import Line

# One attempt; who has more time tries again.
ATTEMPT_SECONDS = 3.0
# Between one attempt and the next, growing; never more than a caller has left.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.5


class NotConnected(OSError):
    """The broker cannot be reached, or not in time."""


class Dialer:
    """:param connect: makes a connection, given ``seconds=``."""

    def __init__(self, connect: Callable[..., Line]) -> None:
        self._connect = connect
        self._gate = threading.Lock()
        self._line: Line | None = None
        self._failures = 0
        self._not_before = 0.0
        self._pause = SHORTEST_PAUSE
        self._closed = False

    def line(self, deadline: float) -> Line:
        """The connection that all use.

        :raises OSError, AMQPError, OperationalError: when there is none; ask again.
        """
        line, seen = self._line, self._failures
        if line is not None and not line.broken:
            return line
        if not self._gate.acquire(timeout=seconds_left(deadline)):
            raise NotConnected("somebody else is still trying")
        try:
            if self._line is None or self._line.broken:
                if self._closed or self._failures != seen:
                    raise NotConnected("closed, or somebody else tried just now")
                self._line = self._dial(deadline)
            return self._line
        finally:
            self._gate.release()

    def _dial(self, deadline: float) -> Line:
        rest = self._not_before - time.monotonic()
        time.sleep(min(max(rest, 0), seconds_left(deadline)))
        try:
            line = self._connect(seconds=min(seconds_left(deadline), ATTEMPT_SECONDS))
        except BROKEN:
            self._failures += 1
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            raise
        else:
            self._pause = SHORTEST_PAUSE
            return line
        finally:
            pause = random.uniform(SHORTEST_PAUSE, self._pause)  # nosec B311 # jitter, no secret
            self._not_before = time.monotonic() + pause

    def close(self) -> None:
        """For good: who still asks is told that there is no connection."""
        self._closed = True
        if self._line is not None:
            self._line.close()
