"""How many requests a caller may make in a minute, by the route table's classes.

Counted with ``limits`` in Redis, for all workers together, in the one trip that each request makes
there; by each process for itself while Redis does not answer.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute, WindowStats
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from config.redis_trip import Question, Script
from config.settings import Settings
from schemas.errors import SchedulingError, TooManyAttempts, TooManyRequests

WINDOW_SECONDS = 60
DEFAULT, SEARCH, BOOKING, SIGN_IN, REGISTRATION, UNLIMITED = CLASSES = (
    "default", "search", "booking", "sign-in", "registration", "unlimited"
)
# Where guessing pays: counted by what is tried, not by what is asked for.
ATTEMPTS = frozenset((SIGN_IN, REGISTRATION))
# The front desk registers those who stand before it.
FOR_STRANGERS = frozenset((REGISTRATION,))
# Counts of the window before and of this one, each with the seconds that it still counts.
Window = tuple[int, float, int, float]

# Of a window that begins just now, limits says that it ends now.
_MOMENT = 0.001

# So much dearer than others is a request of the class.
SHARE: Mapping[str, int] = {DEFAULT: 1, SEARCH: 2, BOOKING: 2}

# Both of limits' own scripts, in one run: the count is taken, then looked at.
_TAKE = Script(f"""
local function take() {RedisStorage.SCRIPT_ACQUIRE_SLIDING_WINDOW.decode()} end
local limits_arguments = ARGV
local function look()
  local ARGV = {{limits_arguments[2]}}
  {RedisStorage.SCRIPT_SLIDING_WINDOW.decode()}
end
local taken = take()
return {{taken, look()}}
""")


@dataclass(frozen=True)
class Rate:
    """What a request leaves of the quota of its class: ``remaining`` more until ``reset`` seconds
    from now, or none before then."""

    name: str
    quota: int
    taken: bool
    remaining: int
    reset: int

    def check(self) -> None:
        """:raises TooManyRequests, TooManyAttempts:"""
        refusal: type[SchedulingError] = (
            TooManyAttempts if self.name in ATTEMPTS else TooManyRequests
        )
        if not self.taken:
            raise refusal(max(1, self.reset))

    @property
    def headers(self) -> dict[str, str]:
        """draft-ietf-httpapi-ratelimit-headers, as structured fields (RFC 9651)."""
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.quota};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.reset}',
        }


class Rates:
    """The quotas of one gateway."""

    def __init__(self, settings: Settings) -> None:
        attempts = RateLimitItemPerMinute(settings.auth_rate_limit_per_minute)
        usual = settings.rate_limit_per_minute
        self._items: dict[str, RateLimitItem] = {
            name: RateLimitItemPerMinute(max(1, usual // share)) for name, share in SHARE.items()
        }
        self._items |= dict.fromkeys(ATTEMPTS, attempts)
        self._memory = MemoryStorage()
        self._alone = SlidingWindowCounterRateLimiter(self._memory)

    def taking(self, rate_class: str, caller: str, *, known: bool) -> Question[Rate]:
        """Take one of the caller's requests.

        :param caller: an account or an address, in a form that tells nothing.
        :param known: whether it is an account.
        """
        name = DEFAULT if known and rate_class in FOR_STRANGERS else rate_class
        item = self._items[name]
        key = item.key_for(name, caller)

        def alone() -> Rate:
            taken = self._alone.hit(item, name, caller)
            return _rate(name, item, taken, self._memory.get_sliding_window(key, WINDOW_SECONDS))

        return Question(
            script=_TAKE,
            # As limits itself names them; the braces keep both on one node of a cluster.
            keys=(f"LIMITS:{{{key}}}/-1", f"LIMITS:{{{key}}}"),
            args=(item.amount, WINDOW_SECONDS, 1),
            lasts=True,
            read=lambda answer: _rate(name, item, bool(answer[0]), _window(answer[1])),
            alone=alone,
        )


def _window(answer: Sequence[Any]) -> Window:
    """:raises ValueError: for counts that would stand longer than ours do, or for ever."""
    counts = [int(each or 0) for each in answer]
    for count, left in zip(counts[::2], counts[1::2], strict=True):
        if count and not 0 < left <= 2 * WINDOW_SECONDS * 1000:
            raise ValueError("not a count of ours")
    before, before_left, now, now_left = counts
    return before, max(0, before_left) / 1000, now, max(0, now_left) / 1000


def _rate(name: str, item: RateLimitItem, taken: bool, window: Window) -> Rate:
    before, before_left, now, now_left = window
    later = (before, max(0.0, before_left - _MOMENT), now, max(0.0, now_left - _MOMENT))
    reset = math.ceil(_stats(item, later).reset_time - time.time())
    remaining = _stats(item, window).remaining if taken else 0
    return Rate(name, item.amount, taken, remaining, max(0, reset))


def _stats(item: RateLimitItem, window: Window) -> WindowStats:
    return SlidingWindowCounterRateLimiter(_Counted(window)).get_window_stats(item)


class _Counted(MemoryStorage):
    """What came along with another answer, where limits looks for it."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def get_sliding_window(self, key: str, expiry: int) -> Window:
        return self._window
