"""Subjects whose next event the broker would not take, and when to try it again."""

import random
import time
from dataclasses import dataclass
from typing import NamedTuple

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class Reason(NamedTuple):
    """Why an event of this name waits: no queue was there for it, or a full one refused it."""

    event: str
    unroutable: bool


@dataclass
class Hold:
    pause: float
    until: float
    reason: Reason


class HeldSubjects:
    """Later events of such a subject wait, to keep their order; those of others do not."""

    def __init__(self) -> None:
        self._holds: dict[str, Hold] = {}

    @property
    def waiting(self) -> list[str]:
        """Those whose time has not come yet."""
        now = time.monotonic()
        return [subject for subject, hold in self._holds.items() if hold.until > now]

    @property
    def unroutable(self) -> int:
        return sum(hold.reason.unroutable for hold in self._holds.values())

    def hold(self, subject: str, reason: Reason) -> bool:
        """For longer each time; whether nothing has been held for this reason yet."""
        new = all(hold.reason != reason for hold in self._holds.values())
        known = self._holds.get(subject)
        pause = min(known.pause * 2, LONGEST_PAUSE) if known else FIRST_PAUSE
        # Not all at once, when the same thing was in the way of all.
        rest = pause * random.uniform(0.8, 1)  # nosec B311 # not a secret
        self._holds[subject] = Hold(pause, time.monotonic() + rest, reason)
        return new

    def release(self, subject: str) -> None:
        self._holds.pop(subject, None)

    def clear(self) -> None:
        """Another relay has the turn, and sees for itself."""
        self._holds.clear()
