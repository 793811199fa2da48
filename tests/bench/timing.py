"""Medians of what is measured in turns, so that whatever slows the machine slows all alike."""

import statistics
import time
from collections.abc import Callable, Mapping

Act = Callable[[], None]


def medians(
    acts: Mapping[str, Act], *, rounds: int, warm_up: int, tell: Callable[[str], None]
) -> dict[str, float]:
    """Milliseconds of each of ``acts``; in every round each is done once."""
    taken: dict[str, list[float]] = {name: [] for name in acts}
    for number in range(warm_up + rounds):
        for name, act in acts.items():
            begun = time.perf_counter()
            act()
            if number >= warm_up:
                taken[name].append((time.perf_counter() - begun) * 1000)
        if number % 25 == 24:
            tell(f"{number + 1} of {warm_up + rounds} rounds")
    return {name: statistics.median(times) for name, times in taken.items()}
