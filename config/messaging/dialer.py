"""The one connection of a process: made when first needed, and anew when it broke.

However many callers need it, one at a time tries to connect, and all who waited meanwhile share
what came of it: a broker that comes back is not met by a storm.
"""

import random
import threading
import time
from collections.abc import Callable

from config.messaging.client import LEAST_SECONDS, seconds_left
from config.messaging.connection import BROKEN
from config.messaging.line import Line

# One attempt; who has more time tries again. Who has less may be late by this little: what fails
# for want of time says nothing of the broker, and all who wait would share it.
ATTEMPT_SECONDS, LEAST_ATTEMPT_SECONDS = 3.0, 0.3
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
                return self._dial(deadline)
            return self._line
        finally:
            self._gate.release()

    def _dial(self, deadline: float) -> Line:
        rest = self._not_before - time.monotonic()
        time.sleep(min(max(rest, 0), seconds_left(deadline)))
        left = seconds_left(deadline)
        if left < LEAST_SECONDS:
            raise NotConnected("too late to try")
        try:
            line = self._connect(seconds=min(max(left, LEAST_ATTEMPT_SECONDS), ATTEMPT_SECONDS))
        except BROKEN:
            self._failures += 1
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            raise
        else:
            self._pause = SHORTEST_PAUSE
            return self._keep(line)
        finally:
            pause = random.uniform(SHORTEST_PAUSE, self._pause)  # nosec B311 # jitter, no secret
            self._not_before = time.monotonic() + pause

    def _keep(self, line: Line) -> Line:
        self._line = line
        # Looked at afterwards: whoever closed meanwhile has seen either this line or none.
        if self._closed:
            line.close()
            raise NotConnected("closed")
        return line

    def close(self) -> None:
        """For good: who still asks is told that there is no connection."""
        self._closed = True
        if self._line is not None:
            self._line.close()
