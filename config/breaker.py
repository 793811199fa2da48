"""Circuit breakers: after five failures a peer is left in peace for five seconds, then tried again.

A breaker here is asked before a call and told the outcome after it. pybreaker's own ``call()``
holds the breaker's lock for as long as the guarded function runs, so greenlets would queue up
behind one slow call (pybreaker 1.4.1: ten calls of 0.2 s took 2 s); and nesting two breakers
around calls that run side by side would count one peer's failure for the other.
"""

from collections import defaultdict
from contextlib import suppress
from datetime import timedelta

from pybreaker import STATE_CLOSED, STATE_OPEN, CircuitBreaker, CircuitBreakerError
from pybreaker import CircuitMemoryStorage as Storage

from config.clock import utc_now

FAILURES = 5
OPEN_SECONDS = 5.0


class Breaker:
    """The breaker of one peer, in this process."""

    def __init__(self, peer: str) -> None:
        self._storage = Storage(STATE_CLOSED)
        self._breaker = CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=OPEN_SECONDS,
            state_storage=self._storage,
            name=peer,
            throw_new_error_on_trip=False,
        )

    @property
    def refuses(self) -> bool:
        """Whether it is open, and not yet time for another try."""
        opened = self._storage.opened_at
        if self._storage.state != STATE_OPEN or opened is None:
            return False
        return utc_now() < opened + timedelta(seconds=OPEN_SECONDS)

    def succeeded(self) -> None:
        # Open since this call began: its late success says nothing about the next.
        with suppress(CircuitBreakerError), self._breaker.calling():
            pass

    def failed(self, failure: Exception) -> None:
        with suppress(CircuitBreakerError, type(failure)), self._breaker.calling():
            raise failure


class Breakers(defaultdict[str, Breaker]):
    """One breaker for each peer, made when first asked for."""

    def __missing__(self, peer: str) -> Breaker:
        self[peer] = Breaker(peer)
        return self[peer]
