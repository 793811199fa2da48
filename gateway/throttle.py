"""How often strangers may try to sign in to one account, and one may try e-mail addresses.

Counted in Redis, so that all workers count together; by each process for itself while Redis does
not answer, or holds what is no count. Nobody is locked out by somebody else's attempts: those are
counted against the address they come from, and against the account only for addresses it never
signed in from.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, Storage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import ConnectionError as RedisLost
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisSilent

from schemas.errors import TooManyAttempts

_log = logging.getLogger("throttle")

Found = TypeVar("Found")
Question = Callable[[SlidingWindowCounterRateLimiter], Found]

# So many addresses' worth of attempts may strangers make on one account in a minute.
STRANGERS = 10
# So long is a Redis that did not answer left alone, so that not every attempt waits for it.
REST_SECONDS = 5.0


class AttemptLimits:
    """``shared`` counts for all processes; without one, this process counts alone.

    :param per_minute: attempts of one; strangers together have more.
    """

    def __init__(
        self,
        shared: Storage | None,
        *,
        per_minute: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._one = RateLimitItemPerMinute(per_minute)
        self._strangers = RateLimitItemPerMinute(per_minute * STRANGERS)
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(shared) if shared else self._alone
        self._clock = clock
        self._rested_at = -math.inf

    def sign_in(self, *, account: str, familiar: bool) -> None:
        """:raises TooManyAttempts: for strangers at this account.

        :param account: a key for the e-mail address, whether anybody has it or not.
        """
        if not familiar:
            self._count(self._strangers, "strangers", account)

    def own_record(self, *, account: str) -> None:
        """Changes of one's own e-mail address tell which ones are taken.

        :raises TooManyAttempts:
        """
        self._count(self._one, "own record", account)

    def _count(self, item: RateLimitItem, *key: str) -> None:
        if not self._ask(lambda limiter: limiter.hit(item, *key), item, key):
            free_at = self._ask(lambda limiter: _free_at(limiter, item, key), item, key)
            raise TooManyAttempts(max(1, math.ceil(free_at - time.time())))

    def _ask(self, question: Question[Found], item: RateLimitItem, key: Sequence[str]) -> Found:
        if self._clock() < self._rested_at:
            return question(self._alone)
        try:
            return question(self._shared)
        except (RedisLost, RedisSilent, OSError) as failure:
            self._rested_at = self._clock() + REST_SECONDS
            _log.warning("counting alone", extra={"error": type(failure).__name__})
        except (RedisError, ValueError, TypeError) as failure:
            _log.warning("no count of ours", extra={"error": type(failure).__name__})
            self._forget(item, key)
        return question(self._alone)

    def _forget(self, item: RateLimitItem, key: Sequence[str]) -> None:
        """So that the next attempt is counted with the others again."""
        try:
            self._shared.clear(item, *key)
        except (RedisError, OSError) as failure:
            _log.warning("not forgotten", extra={"error": type(failure).__name__})


def _free_at(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, key: Sequence[str]
) -> float:
    """When, in seconds since the epoch, one more will be taken.

    :raises ValueError: for a count that would stand longer than ours do, or for ever.
    """
    storage: Any = limiter.storage
    seconds = item.get_expiry()
    before, before_left, now, now_left = storage.get_sliding_window(item.key_for(*key), seconds)
    for count, left in ((before, before_left), (now, now_left)):
        if count and not 0 < left <= 2 * seconds:
            raise ValueError("not a count of ours")
    return limiter.get_window_stats(item, *key).reset_time
