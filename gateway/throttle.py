"""How often one may try to sign in or to register.

Counted in Redis, so that all workers count together; by each process for itself while Redis does
not answer. Nobody is locked out by somebody else's attempts: those are counted against the
address they come from, and against the account only for addresses it never signed in from.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, Storage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from schemas.errors import TooManyAttempts

_log = logging.getLogger("throttle")

Found = TypeVar("Found")

# So many addresses' worth of attempts may strangers make on one account in a minute.
STRANGERS = 10


class AttemptLimits:
    """``shared`` counts for all processes; without one, this process counts alone.

    :param per_minute: attempts from one address, and from one address on one account.
    """

    def __init__(self, shared: Storage | None, *, per_minute: int) -> None:
        self._one_address = RateLimitItemPerMinute(per_minute)
        self._strangers = RateLimitItemPerMinute(per_minute * STRANGERS)
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(shared) if shared else self._alone

    def sign_in(self, *, account: str, address: str, familiar: bool) -> None:
        """:raises TooManyAttempts: for this address, or for strangers at this account.

        :param account: a key for the e-mail address, whether anybody has it or not.
        """
        self._count(self._one_address, "sign-in", address)
        if not familiar:
            self._count(self._strangers, "strangers", account)

    def registration(self, *, address: str) -> None:
        """:raises TooManyAttempts:"""
        self._count(self._one_address, "registration", address)

    def password_change(self, *, account: str) -> None:
        """:raises TooManyAttempts:"""
        self._count(self._one_address, "password", account)

    def own_record(self, *, account: str) -> None:
        """Changes of one's own e-mail address tell which ones are taken.

        :raises TooManyAttempts:
        """
        self._count(self._one_address, "own record", account)

    def _count(self, item: RateLimitItem, *key: str) -> None:
        if not self._ask(lambda limiter: limiter.hit(item, *key)):
            stats = self._ask(lambda limiter: limiter.get_window_stats(item, *key))
            raise TooManyAttempts(max(1, math.ceil(stats.reset_time - time.time())))

    def _ask(self, question: Callable[[SlidingWindowCounterRateLimiter], Found]) -> Found:
        try:
            return question(self._shared)
        # The latter two: what lies there is no counter of ours.
        except (RedisError, OSError, ValueError, TypeError) as failure:
            _log.warning("counting alone", extra={"error": type(failure).__name__})
            return question(self._alone)
