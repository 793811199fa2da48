"""All that a request wants of Redis, in one trip there and back.

What is asked for may be asked again, or answered by this process alone: a Redis that does not
answer, was flushed, or holds what none of us wrote, costs a request nothing but a little time.
"""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from redis.exceptions import NoScriptError, RedisError

from config.redis_lines import Command, RedisLines

_log = logging.getLogger("redis")

Told = TypeVar("Told")

# So long is a Redis that did not answer left alone, so that not every request waits for it.
REST_SECONDS = 5.0
# Who did not try for longer cannot tell that it was away all the time.
UNTRIED_SECONDS = 0.5


@dataclass(frozen=True)
class Script:
    """Lua that Redis runs; it is known there by the hash of its text."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False)
        object.__setattr__(self, "sha", digest.hexdigest())


@dataclass(frozen=True, kw_only=True)
class Question(Generic[Told]):
    """``script`` on ``keys``, which are all that it may touch.

    :param read: makes sense of the answer; ValueError, TypeError: it is none of ours.
    :param alone: what this process knows by itself.
    :param lasts: what a Redis that was started anew has saved of it is as good as ever.
    """

    script: Script
    keys: tuple[str, ...]
    args: tuple[str | bytes | int, ...] = ()
    lasts: bool = False
    read: Callable[[Any], Told]
    alone: Callable[[], Told]


class Trips:
    """To ``redis``; without one, this process is always alone."""

    def __init__(
        self, redis: RedisLines | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._lost_at: float | None = None
        self._tried_at = self._failed_at = 0.0

    def ask(self, *questions: Question[Any], insist: bool = False) -> list[Any]:
        """What each was answered with, or what this process knows by itself.

        :param insist: try it even while Redis is left alone.
        """
        if self._redis is None or (self._rests() and not insist):
            return [each.alone() for each in questions]
        # Of those who come meanwhile, nobody waits for a Redis that was silent so far.
        began = self._tried_at = self._clock()
        try:
            answers = self._answers(self._redis, questions)
        except (RedisError, OSError) as failure:
            self._lose(failure, began)
            return [each.alone() for each in questions]
        self._lost_at = None
        return [
            self._told(self._redis, each, answer)
            for each, answer in zip(questions, answers, strict=True)
        ]

    def lost_seconds(self) -> float:
        """How long it was tried in vain without a pause; 0 while Redis is reached or not asked."""
        if self._redis is None:
            return math.inf
        return 0.0 if self._lost_at is None else self._clock() - self._lost_at

    def _rests(self) -> bool:
        return self._lost_at is not None and self._clock() < self._tried_at + REST_SECONDS

    def _lose(self, failure: Exception, began: float) -> None:
        if self._lost_at is None:
            _log.warning("going on alone", extra={"error": type(failure).__name__})
        if self._lost_at is None or began > self._failed_at + UNTRIED_SECONDS:
            self._lost_at = began
        self._tried_at = self._failed_at = self._clock()

    def _answers(self, redis: RedisLines, questions: Sequence[Question[Any]]) -> list[Any]:
        answers = redis.send(_commands(questions, lambda script: ("EVALSHA", script.sha)))
        unknown = [
            each for each, answer in zip(questions, answers, strict=True)
            if isinstance(answer, NoScriptError)
        ]
        if not unknown:
            return answers
        # A Redis that was started anew. What it has saved may be older than what it told.
        doubtful = [key for each in unknown if not each.lasts for key in each.keys]
        forgetting: list[Command] = [("DEL", *doubtful)] if doubtful else []
        running = _commands(unknown, lambda script: ("EVAL", script.text))
        again = iter(redis.send([*forgetting, *running])[len(forgetting):])
        return [next(again) if isinstance(each, NoScriptError) else each for each in answers]

    def _told(self, redis: RedisLines, question: Question[Told], answer: Any) -> Told:
        try:
            if isinstance(answer, Exception):
                raise answer
            return question.read(answer)
        except (RedisError, ValueError, TypeError) as odd:
            _log.warning("nothing of ours", extra={"error": type(odd).__name__})
            self._forget(redis, question.keys)
            return question.alone()

    def _forget(self, redis: RedisLines, keys: Sequence[str]) -> None:
        """So that the next one is told something better."""
        try:
            redis.send([("DEL", *keys)])
        except (RedisError, OSError) as failure:
            _log.warning("not forgotten", extra={"error": type(failure).__name__})


def _commands(
    questions: Sequence[Question[Any]], how: Callable[[Script], tuple[str, str]]
) -> list[Command]:
    return [(*how(each.script), len(each.keys), *each.keys, *each.args) for each in questions]
