"""Waiting for what will happen, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

# What waits for something that comes gives up only then: it costs nothing while all is well, and
# on a machine that others use everything may stand still for seconds.
PATIENCE = 60.0


def wait_for(condition: Callable[[], Found], *, seconds: float = PATIENCE) -> Found:
    """What ``condition`` tells in the end, which is something."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found
