"""Which faults there are, and in which order a drill has them: a seed says so, now and again."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.drill.faults import broker, cache, databases, programs
from tests.drill.history import now
from tests.drill.nemesis import Nemesis

Fault = Callable[[Nemesis], str]
FAULTS: dict[str, Fault] = {
    "kill service": programs.kill_service,
    "kill both of a service": programs.kill_both,
    "kill background": programs.kill_background,
    "kill gateway worker": programs.kill_gateway_worker,
    "rolling restart": programs.rolling_restart,
    "freeze service": programs.freeze_service,
    "kill broker": broker.kill_broker,
    "freeze broker": broker.freeze_broker,
    "reset connections": broker.reset_connections,
    "junk": broker.send_junk,
    "memory alarm": broker.memory_alarm,
    "events twice": broker.events_twice,
    "kill database": databases.kill_database,
    "freeze database": databases.freeze_database,
    "kill database connections": databases.kill_threads,
    "hold a lock": databases.hold_lock,
    "kill Redis": cache.kill_cache,
    "freeze Redis": cache.freeze_cache,
    "flush Redis": cache.flush_cache,
    "poison Redis": cache.poison_cache,
}
# About 90 s of them: what is left out of the short drill is a variation of what is in it.
SHORT = (
    "junk", "kill service", "kill background", "kill broker", "events twice", "kill database",
    "reset connections", "freeze broker", "kill Redis", "kill gateway worker",
)


@dataclass(frozen=True)
class Span:
    """A fault, from when to when in seconds since the epoch, and what became of it."""

    fault: str
    begin: float
    end: float
    detail: str


def plan(seed: str, *, short: bool) -> Iterator[str]:
    """The faults in their order, each once before any comes again; the short ones come once."""
    chance = random.Random(f"{seed} plan")
    if short:
        yield from chance.sample(SHORT, len(SHORT))
        return
    while True:
        yield from chance.sample(list(FAULTS), len(FAULTS))


def strike(nemesis: Nemesis, fault: str) -> Span:
    begin = now()
    detail = FAULTS[fault](nemesis)
    return Span(fault, begin, now(), detail)
