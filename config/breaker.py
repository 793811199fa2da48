"""Circuit breakers for calls that may hang or fail: closed, open after five failures, half-open."""

from collections import defaultdict

from pybreaker import CircuitBreaker

FAILURES = 5
OPEN_SECONDS = 5


class Breakers(defaultdict[str, CircuitBreaker]):
    """One breaker for each peer, made when first asked for.

    Guard a block with ``with breakers[peer].calling():``. ``call()`` holds the breaker's lock for
    as long as the guarded function runs, so greenlets would queue up behind one slow call
    (pybreaker 1.4.1: ten calls of 0.2 s took 2 s; ``calling()`` took 0.2 s).
    """

    def __missing__(self, peer: str) -> CircuitBreaker:
        self[peer] = CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=OPEN_SECONDS,
            name=peer,
            # Two peers asked side by side fail as one block; each breaker counts its own peer only.
            exclude=[lambda error: getattr(error, "service", peer) != peer],
            # The caller that trips the breaker sees its own failure, not a second kind of error.
            throw_new_error_on_trip=False,
        )
        return self[peer]
