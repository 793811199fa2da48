"""Connections to Redis for several commands at once: sent together, answered together.

redis-py's own pipelines ask a connection whether it is clean before each use, and wrap each
command and each trip several times: half of what a trip costs. Here a connection that did not end
well is thrown away, so the others are clean.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisLost
from redis.exceptions import ResponseError

Command = Sequence[str | bytes | int]


class RedisLines:
    """Those of one client; one for each trip that is under way."""

    def __init__(self, redis: Redis) -> None:
        pool = redis.connection_pool
        # Not by the pool: it counts those that it has made, and never takes one back that broke.
        self._new = partial(pool.connection_class, **pool.connection_kwargs)
        self._idle: list[Any] = []

    def send(self, commands: Sequence[Command]) -> list[Any]:
        """What each was answered with; what Redis refuses is among the answers, as an exception.

        :raises redis.RedisError, OSError: when Redis does not answer.
        """
        while self._idle:
            try:
                return self._exchange(self._idle.pop(), commands)
            except RedisLost:
                # It died unnoticed, and perhaps the others with it.
                continue
        return self._exchange(self._new(), commands)

    def _exchange(self, connection: Any, commands: Sequence[Command]) -> list[Any]:
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            answers = [_answer(connection) for _ in commands]
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return answers


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as refusal:
        return refusal
