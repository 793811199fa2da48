"""How many requests one process works on at once."""

from collections.abc import Iterator
from contextlib import contextmanager


class Admission:
    """Greenlets of one thread share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    @contextmanager
    def entering(self) -> Iterator[bool]:
        """Whether there is room; who comes in without may only say so."""
        admitted = self._inside < self._most
        self._inside += admitted
        try:
            yield admitted
        finally:
            self._inside -= admitted
