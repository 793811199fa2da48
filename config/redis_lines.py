"""One connection to Redis for all who ask at the same time: sent together, answered together.

redis-py's own pipelines ask a connection whether it is clean before each use, and wrap each
command and each trip several times: half of what a trip costs. Here a connection that did not end
well is thrown away, so the one that is kept is clean.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisLost
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisSilent

Command = Sequence[str | bytes | int]


@dataclass(slots=True, eq=False)
class _Asked:
    """What one caller sends, and what becomes of it."""

    packed: list[bytes]
    expected: int
    leads: bool = False
    answers: list[Any] | None = None
    failure: Exception | None = None
    # Held until there is something to be told; an event takes longer to make. Looked up when it
    # is made: under gevent it is another one than when this module was read.
    told: threading.Lock = field(default_factory=lambda: threading.Lock())


class RedisLines:
    """Of the callers that wait, the first one leads: it sends for all, and reads for all. Who comes
    while it is on its way waits for the next trip: all of them together."""

    def __init__(self, redis: Redis) -> None:
        pool = redis.connection_pool
        # Not by the pool: it counts those that it has made, and never takes one back that broke.
        self._new = partial(pool.connection_class, **pool.connection_kwargs)
        # Never connected: it knows how commands are written.
        self._writer = self._new()
        self._kept: Any = None
        # Held for moments only, and never while something is sent.
        self._lock = threading.Lock()
        self._waiting: list[_Asked] = []
        self._led = False

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """What each was answered with; what Redis refuses is among the answers, as an exception.

        :raises redis.RedisError, OSError: when Redis does not answer.
        """
        asked = _Asked(self._writer.pack_commands(commands), len(commands))
        asked.told.acquire()
        self._join(asked)
        if not asked.leads:
            self._wait(asked)
        if asked.leads:
            self._lead(asked)
        if asked.failure is not None:
            # One of its own for each: raising grows a failure by who raised it.
            raise type(asked.failure)(*asked.failure.args)
        return asked.answers or []

    def _join(self, asked: _Asked) -> None:
        with self._lock:
            self._waiting.append(asked)
            asked.leads, self._led = not self._led, True

    def _wait(self, asked: _Asked) -> None:
        try:
            asked.told.acquire()
        except BaseException:
            # Ended while it waited, perhaps just when it was to lead. Nor is it put back if it is
            # on its way: it would be made the one that leads, and all others wait for it for ever.
            asked.answers = []
            self._pass_on(asked)
            raise

    def _lead(self, asked: _Asked) -> None:
        together: list[_Asked] = []
        failure: Exception = RedisLost("who asked for all was ended")
        try:
            # One turn of the loop: whoever is as ready comes along.
            time.sleep(0)
            together = self._taken()
            self._travel(together)
        except (RedisError, OSError) as lost:
            failure = lost
            # Nobody waits twice for a Redis that does not answer.
            together += self._taken()
        except BaseException:
            # Ended itself: the others may be asked again, by who leads next.
            together = self._put_back(asked, together)
            raise
        finally:
            _tell(together, failure)
            self._pass_on(asked)

    def _taken(self) -> list[_Asked]:
        with self._lock:
            taken, self._waiting = self._waiting, []
            return taken

    def _put_back(self, asked: _Asked, together: Sequence[_Asked]) -> list[_Asked]:
        """Before those who came meanwhile; the others of them are told."""
        again = [each for each in together if each.answers is None and each is not asked]
        with self._lock:
            self._waiting[:0] = again
        return [each for each in together if each not in again]

    def _pass_on(self, asked: _Asked) -> None:
        """It is done, or was ended; if it led, one of those who came meanwhile leads now."""
        with self._lock:
            if asked in self._waiting:
                self._waiting.remove(asked)
            if asked.leads:
                self._led = bool(self._waiting)
                for following in self._waiting[:1]:
                    following.leads = True
                    following.told.release()

    def _travel(self, together: Sequence[_Asked]) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                return self._exchange(kept, together)
            except RedisLost:
                # It died unnoticed.
                pass
        self._exchange(self._new(), [each for each in together if each.answers is None])

    def _exchange(self, connection: Any, together: Sequence[_Asked]) -> None:
        try:
            pieces = [piece for asked in together for piece in asked.packed]
            connection.send_packed_command([b"".join(pieces)])
            for asked in together:
                asked.answers = [_answer(connection) for _ in range(asked.expected)]
        except BaseException:
            connection.disconnect()
            raise
        self._kept = connection


def _tell(together: Sequence[_Asked], failure: Exception) -> None:
    for asked in together:
        if asked.answers is None:
            asked.failure = failure
        asked.told.release()


def _answer(connection: Any) -> Any:
    try:
        return _read(connection)
    except ResponseError as refusal:
        return refusal


def _read(connection: Any) -> Any:
    """What does not end well is disconnected by who sent it."""
    try:
        return connection.read_response(disconnect_on_error=False)
    except RedisSilent:
        # Unless it was this process that came late: then the answer is there by now. Counted as
        # silence, a busy minute would have each process count alone, just when it matters.
        if not connection.can_read():
            raise
        return connection.read_response(disconnect_on_error=False)
