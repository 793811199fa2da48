"""Messages of several callers that leave in one system call."""

import threading
from collections.abc import Callable
from typing import Any

from amqp.method_framing import frame_writer


class Convoy:
    """Of callers that are ready to write at once, the first one leads: it sends for all.

    :param driver: a connection of py-amqp, to which others may write as before.
    """

    def __init__(self, driver: Any) -> None:
        self._transport = driver.transport
        # Held for moments only, and never while something is sent.
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._led = False
        # While somebody joins: what is written then.
        self._joining: list[bytes] | None = None
        driver.frame_writer = frame_writer(driver, self)

    def write(self, frame: memoryview | bytes) -> None:
        """As a transport has it, for py-amqp."""
        if self._joining is None:
            self._transport.write(frame)
        else:
            # It writes its next frame into the same memory.
            self._joining.append(bytes(frame))

    def join(self, publish: Callable[..., object]) -> tuple[bytes, bool]:
        """What ``publish()`` writes, and whether this caller leads."""
        with self._lock:
            self._joining = []
            try:
                publish()
                frames = b"".join(self._joining)
            finally:
                self._joining = None
            self._waiting.append(frames)
            leads, self._led = not self._led, True
            return frames, leads

    def send(self, *, seconds: float) -> None:
        """All that waits now; for one caller at a time. Who joins meanwhile leads, and has a turn
        of its own: else this one might send for others without end."""
        if frames := self._taken():
            with self._transport.having_timeout(seconds):
                self._transport.write(frames)

    def _taken(self) -> bytes:
        with self._lock:
            frames, self._waiting, self._led = b"".join(self._waiting), [], False
            return frames

    def leave(self, frames: bytes) -> bool:
        """Whether they were waiting still, and go no more. Whoever sends next, or leads next,
        takes the others along."""
        with self._lock:
            self._led = False
            if frames not in self._waiting:
                return False
            self._waiting.remove(frames)
            return True
