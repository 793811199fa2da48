"""Queues that an event has to reach: it is kept back while one of them is missing."""

import time
from collections.abc import Collection, Mapping

from config.messaging.publisher import Publisher

LOOK_SECONDS = 60.0
# While one is missing.
AGAIN_SECONDS = 1.0


class AwaitedQueues:
    """The broker confirms an event when any queue has it, so it is looked whether each is there.

    Not seen: one that is there and not bound (`clinic topology` binds all of them, and each program
    its own at its start), and for up to ``LOOK_SECONDS`` one that has gone.

    :param by_event: the names of events, and of the queues of programs that react to them.
    """

    def __init__(self, by_event: Mapping[str, Collection[str]]) -> None:
        self._by_event = by_event
        self._missing: frozenset[str] = frozenset()
        self._next_look = 0.0

    def look(self, publisher: Publisher) -> bool:
        """If it is time to; whether one is there now that was missing.

        :raises OSError, AMQPError: when the connection has gone.
        """
        if time.monotonic() < self._next_look:
            return False
        names = {name for queues in self._by_event.values() for name in queues}
        before, self._missing = self._missing, frozenset(
            name for name in names if not publisher.finds(name)
        )
        pause = AGAIN_SECONDS if self._missing else LOOK_SECONDS
        self._next_look = time.monotonic() + pause
        return bool(before - self._missing)

    def doubt(self) -> None:
        """Look the very next time: the broker may be another, or an event came back."""
        self._next_look = 0.0

    def await_event(self, name: str) -> bool:
        return name in self._by_event

    def lack_one_for(self, event: str) -> bool:
        return not self._missing.isdisjoint(self._by_event.get(event, ()))
