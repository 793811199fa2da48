"""A connection that many use at once, though py-amqp's own are made for one.

Whoever reads from the socket or writes to it holds the lock; who waits for something to read does
not, so that others write meanwhile. Threads, and the greenlets of gevent and eventlet, are the
same to it: all that blocks here is the standard library's, which those patch.
"""

import logging
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from amqp import spec
from kombu import Connection

from config.messaging.connection import (
    BROKEN,
    CLOSE_SECONDS,
    let_go,
    read_by_itself,
    shut,
    socket_of,
)
from config.messaging.convoy import Convoy

_log = logging.getLogger("rpc")

# What began to arrive goes on arriving; if not, others may write before one looks again.
REST_SECONDS = 0.02
# Who has less time left may still write: half a message would cost all others their connection.
WRITE_SECONDS = 0.3
# After so much silence a sign of life is asked for, so that a quiet broker and a frozen one differ.
QUIET_SECONDS = 0.25
# A broker that was asked for one, and listened to for so long without a word, is given up.
SILENT_SECONDS = 1.0


class Wire:
    """Reads and writes of ``connection``, one at a time. An error of BROKEN means its end.

    :param on_end: told what stopped somebody in mid-frame: nobody can read or write any more.
    """

    def __init__(
        self, connection: Connection, *, on_end: Callable[[BaseException], None]
    ) -> None:
        self._on_end = on_end
        self._connection = connection
        # kombu's would connect again by itself when asked for after the end.
        self._driver = connection.connection
        self._channel = connection.channel()
        # The memory transport of the embedded mode has none, and nothing that could break.
        self._socket: Any = socket_of(connection)
        self._lock = threading.Lock()
        self._asked_for_life = False
        # How long it was listened to since then. Not by the clock: the answer may have come while
        # nobody looked.
        self._silence = 0.0
        if self._socket is not None:
            self._reader = read_by_itself(connection)
            self._convoy = Convoy(self._driver)
            self._poll = _poll(self._socket)

    @property
    def channel(self) -> Any:
        return self._channel

    @property
    def in_memory(self) -> bool:
        return self._socket is None

    @property
    def silent(self) -> bool:
        """Whether the broker does not answer anybody; that one call has no answer is no sign."""
        return self._silence >= SILENT_SECONDS

    def write(self, publish: Callable[..., object], *, seconds: float) -> bool:
        """Send what ``publish()`` writes, together with what others write in this turn of the loop;
        False: it was not begun with in time, and never will be."""
        if self._socket is None:
            publish()
            return True
        frames, leads = self._join(publish)
        if not leads:
            return True
        mine = False
        try:
            mine = self._lead(seconds)
        finally:
            # If it is killed while it waits for its turn, too: the next one leads the others then.
            left = not mine and self._convoy.leave(frames)
        return not left

    def _join(self, publish: Callable[..., object]) -> tuple[bytes, bool]:
        try:
            return self._convoy.join(publish)
        except BROKEN as ended:
            # Nothing has been sent: what cannot be written is no business of the others, unless
            # nobody can write.
            if not self._channel.connection:
                self._on_end(ended)
            raise

    def _lead(self, seconds: float) -> bool:
        try:
            time.sleep(0)
        finally:
            # Even if it is killed there: others rely on it.
            with self._turn(seconds) as mine:
                pass
        return mine

    @contextmanager
    def _turn(self, seconds: float) -> Iterator[bool]:
        """Whether it came in time. Whoever had it sends what waits to be sent, in the time that the
        waiting has left."""
        until = time.monotonic() + seconds
        mine = self._lock.acquire(timeout=max(seconds, 0))
        try:
            yield mine
            if mine:
                self._convoy.send(seconds=max(until - time.monotonic(), WRITE_SECONDS))
        except BaseException as ended:
            self._on_end(ended)
            raise
        finally:
            if mine:
                self._lock.release()

    def read(self, *, seconds: float) -> None:
        """Wait for a message, at most ``seconds``, not for long at a time, and have it consumed."""
        look = min(seconds, QUIET_SECONDS)
        if self._socket is None:
            self._drain(look)
        elif self._readable(look):
            self._take(seconds)
        else:
            self._ask_for_life(look)

    def _take(self, seconds: float) -> None:
        with self._turn(seconds) as mine:
            if mine:
                self._asked_for_life, self._silence = False, 0.0
                self._drain(REST_SECONDS)
                while self._reader.ahead:
                    self._drain(REST_SECONDS)

    def _drain(self, seconds: float) -> None:
        try:
            self._connection.transport.drain_events(self._driver, timeout=seconds)
        except TimeoutError:
            pass  # py-amqp keeps the part that is here

    def _readable(self, seconds: float) -> bool:
        # What has been read already, and what TLS has decrypted, no system call tells of.
        if self._reader.ahead:
            return True
        if pending := getattr(self._socket, "pending", None):
            if pending():
                return True
        return bool(self._poll(seconds))

    def _ask_for_life(self, silence: float) -> None:
        """Something that any broker answers, that needs no right and changes nothing."""
        if self._asked_for_life:
            self._silence += silence
            return
        with self._turn(0) as mine:
            if mine:
                self._asked_for_life = True
                ask = partial(self._channel.send_method, spec.Basic.Qos, "lBb", (0, 0, False))
                # With all else: written at once, it could go where another's message is put.
                self._convoy.join(ask)

    def shut(self) -> None:
        """End what others read or write; the descriptor stays theirs until they have left."""
        if self._socket is not None:
            shut(self._socket)

    def close(self) -> None:
        """Let go of the connection without waiting for a broker that may not answer."""
        try:
            if self._socket is not None:
                self._socket.settimeout(CLOSE_SECONDS)
            let_go(self._connection)
        except BROKEN as broken:  # it is being given up; nothing depends on it
            _log.debug("close failed", extra={"error": type(broken).__name__})


def _poll(readable: Any) -> Callable[[float], Any]:
    """What waits so many seconds until there is something to read; for one waiter at a time."""
    if not hasattr(select, "poll"):  # under eventlet
        return lambda seconds: select.select([readable], [], [], seconds)[0]
    poll = select.poll()
    poll.register(readable, select.POLLIN)
    return lambda seconds: poll.poll(seconds * 1000)
