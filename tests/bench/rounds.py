"""Candidates measured in turns, so that whatever slows the machine slows all alike."""

from collections.abc import Callable, Mapping

from config.servers import ServerFailed
from tests.bench.figures import Figures
from tests.bench.machine import rest

# Load for so many seconds.
Load = Callable[[float], Figures]


def in_turns(
    candidates: Mapping[str, Load],
    *,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> dict[str, list[Figures]]:
    """The figures of each candidate, one for each round; every second round goes backwards.

    What comes before the first round is not counted: it makes connections, and fills caches.
    """
    found: dict[str, list[Figures]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        order = list(candidates)[::-1 if number % 2 == 0 else 1]
        for name in order:
            figures = candidates[name](seconds)
            if number and not figures.rate:
                raise ServerFailed(f"{name}: nothing was answered, of {figures.requests} requests")
            if number:
                found[name].append(figures)
            rest()
        tell(_said(number, rounds, found))
    return found


def _said(number: int, rounds: int, found: Mapping[str, list[Figures]]) -> str:
    if not number:
        return "warm"
    rates = ", ".join(f"{name} {each[-1].rate:.0f}/s" for name, each in found.items())
    return f"round {number} of {rounds}: {rates}"
