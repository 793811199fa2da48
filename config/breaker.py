"""Circuit breakers: after five failures in a row a kind of call is left alone for five seconds;
then one call tries, and the others wait for what comes of it.

A breaker here admits a call, and is told the outcome after it. pybreaker's own ``call()`` holds
the breaker's lock for as long as the guarded function runs, so greenlets would queue up behind one
slow call (pybreaker 1.4.1: ten calls of 0.2 s took 2 s); and nesting two breakers around calls that
run side by side would count one peer's failure for the other. So pybreaker keeps count and state,
and who may try in its half-open state is decided here: by itself it would let all of them.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from pybreaker import (
    STATE_CLOSED,
    STATE_OPEN,
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
)
from pybreaker import CircuitMemoryStorage as Storage

from config.metrics import BREAKER_OPEN

_log = logging.getLogger("rpc")

FAILURES = 5
OPEN_SECONDS = 5.0

# Seconds since some moment; only ever forward, whatever happens to the time of day.
Clock = Callable[[], float]


class Permit:
    """Leave to call. Within ``with`` its outcome is told, or else it says nothing of the peer."""

    def __init__(self, breaker: "Breaker") -> None:
        self._breaker = breaker

    def succeeded(self) -> None:
        self._breaker.told(self, None)

    def failed(self, failure: Exception) -> None:
        self._breaker.told(self, failure)

    def __enter__(self) -> "Permit":
        return self

    def __exit__(self, *raised: object) -> None:
        self._breaker.given_back(self)


class Breaker(CircuitBreakerListener):
    """The breaker of one kind of call, in this process."""

    def __init__(self, service: str, method: str, *, clock: Clock) -> None:
        self._clock = clock
        self._open = BREAKER_OPEN.labels(service, method)
        self._open.set(0)
        self._storage = Storage(STATE_CLOSED)
        self._breaker = CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=OPEN_SECONDS,
            state_storage=self._storage,
            listeners=[self],
            name=f"{service}.{method}",
            throw_new_error_on_trip=False,
        )
        self._lock = threading.Lock()
        self._probe: Permit | None = None
        # When the next call may try, while it is not closed.
        self._next_try = clock()

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return self._storage.state

    def admit(self, *, seconds: float) -> Permit | None:
        """None: this call is refused. It may take ``seconds``; a probe that was not heard of by
        then has died with its caller, and another one may try."""
        permit = Permit(self)
        with self._lock:
            if self.state == STATE_CLOSED:
                return permit
            now = self._clock()
            if now < self._next_try:
                return None
            self._breaker.half_open()
            self._probe, self._next_try = permit, now + seconds
            return permit

    def told(self, permit: Permit, failure: Exception | None) -> None:
        with self._lock:
            # While others are kept out, only the probe counts: late outcomes of calls that began
            # before say nothing about now.
            if self.state != STATE_CLOSED and permit is not self._probe:
                return
            self._probe = None
            with suppress(CircuitBreakerError, *([type(failure)] if failure else [])):
                with self._breaker.calling():
                    if failure:
                        raise failure

    def given_back(self, permit: Permit) -> None:
        """Whatever ended its call, the next one may try."""
        with self._lock:
            if permit is self._probe:
                self._probe, self._next_try = None, self._clock()

    def state_change(
        self, cb: CircuitBreaker, old: CircuitBreakerState | None, new: CircuitBreakerState
    ) -> None:
        self._open.set(0 if new.name == STATE_CLOSED else 1)
        if old is not None and STATE_CLOSED in (old.name, new.name):
            does = "answers again" if new.name == STATE_CLOSED else "is left alone for a while"
            _log.warning("a kind of call %s", does, extra={"call": cb.name})
        if new.name == STATE_OPEN:
            self._next_try = self._clock() + OPEN_SECONDS


class Breakers:
    """One breaker for each kind of call, made when first asked for."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._kinds: dict[tuple[str, str], Breaker] = {}

    def __getitem__(self, kind: tuple[str, str]) -> Breaker:
        """:param kind: service and method."""
        if kind not in self._kinds:
            return self._kinds.setdefault(kind, Breaker(*kind, clock=self._clock))
        return self._kinds[kind]

    def states(self) -> dict[str, str]:
        """By ``service.method``, those that are not closed."""
        return {
            f"{service}.{method}": breaker.state
            for (service, method), breaker in sorted(self._kinds.copy().items())
            if breaker.state != STATE_CLOSED
        }
