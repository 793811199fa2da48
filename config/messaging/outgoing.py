"""What a service tells the broker, and when it leaves: gathered for one turn of the loop.

An answer and its acknowledgement, and those of all calls that end in the same turn, are one system
call then. They were several each, and those are what a call costs most.
"""

import logging
import time
from typing import Any

import eventlet
from amqp.method_framing import frame_writer
from amqp.transport import TCPTransport
from eventlet.hubs import get_hub

from config.messaging.connection import BROKEN, shut

_log = logging.getLogger("service")

# Calls that compute for long keep what is gathered waiting no longer than this; then the next of
# them sends it.
LONGEST_SECONDS = 0.002


class Outgoing:
    """Stands before ``transport``, for everything that is written to it.

    Who writes cannot be told that it failed. The connection is ended then: whoever reads from it
    notices, and the broker gives what was not acknowledged to somebody again.
    """

    def __init__(self, transport: Any, *, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._frames: list[bytes] = []
        self._since = 0.0
        self._leaving = False

    def write(self, frame: memoryview | bytes) -> None:
        # py-amqp writes its next frame into the same memory.
        self._frames.append(bytes(frame))
        if len(self._frames) == 1:
            self._since = time.monotonic()
            get_hub().schedule_call_global(0, self._leave_now)
        elif time.monotonic() - self._since > LONGEST_SECONDS:
            self.send()

    def _leave_now(self) -> None:
        """At the end of the turn, in the hub itself, where nothing may wait: a thread for each turn
        costs more than the sending. What is not taken at once, a thread sends."""
        try:
            # TLS may have to read before it can write.
            if isinstance(self._transport, TCPTransport) and not self._leaving:
                self._send_at_once(self._transport)
        finally:
            if self._frames:
                eventlet.spawn_n(self.send)

    def _send_at_once(self, transport: Any) -> None:
        if not self._frames or transport.sock is None:
            return
        frames = b"".join(self._frames)
        try:
            with transport.having_timeout(0):
                taken = transport.sock.send(frames)
                self._frames = [frames[taken:]] if taken < len(frames) else []
        except BROKEN as broken:
            _log.debug("not taken at once", extra={"error": type(broken).__name__})

    def send(self) -> None:
        # One after the other: half a frame of one between two of another is the end, too.
        if self._leaving:
            return
        self._leaving = True
        # Whoever reads may let go of it while this one waits.
        opened = self._transport.sock
        try:
            while self._frames and self._transport.sock is not None:
                self._frames = [b"".join(self._frames)]
                with self._transport.having_timeout(self._seconds):
                    self._transport.write(self._frames[0])
                # Not before: they leave, or nothing does any more.
                del self._frames[0]
        except BaseException as ended:
            self._end(opened, ended)
            # Who writes is to end when it is killed, and for nothing else that goes wrong here.
            if not isinstance(ended, Exception):
                raise
        finally:
            self._leaving = False

    def _end(self, opened: Any, ended: BaseException) -> None:
        """After half a frame, nothing that follows would make sense."""
        self._frames.clear()
        if opened is not None:
            shut(opened)
        if isinstance(ended, BROKEN):
            _log.warning("broker takes nothing", extra={"error": type(ended).__name__})
        elif isinstance(ended, Exception):
            _log.error("not sent", exc_info=ended)


def gather(driver: Any, *, seconds: float) -> None:
    """From now on, what is written to ``driver``, a connection of py-amqp, leaves together.

    :param seconds: how long the broker may take none of it.
    """
    driver.frame_writer = frame_writer(driver, Outgoing(driver.transport, seconds=seconds))
