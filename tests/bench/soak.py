"""The memory of the programs while they are asked half of what they can do, for minutes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.figures import Figures
from tests.bench.machine import memory

SAMPLE_SECONDS = 10.0
Say = Callable[[str], None]


def soaked(loads: list[Callable[[float], Figures]], *, minutes: float, say: Say) -> dict[str, Any]:
    """In MB by program, every ten seconds; and how many requests that were, and failed."""
    say(f"{minutes:.0f} minutes of half the load ...")
    samples: dict[str, list[float]] = {}
    with ThreadPoolExecutor(len(loads)) as side_by_side:
        running = [side_by_side.submit(load, minutes * 60) for load in loads]
        while not all(each.done() for each in running):
            for name, resident in memory().items():
                samples.setdefault(name, []).append(round(resident, 1))
            time.sleep(SAMPLE_SECONDS)
        figures = [each.result() for each in running]
    return {
        "minutes": minutes, "samples": samples,
        "requests": sum(each.requests for each in figures),
        "failed": sum(each.failed for each in figures),
    }


def growth(samples: list[float]) -> float:
    """Of the last fifth against the second, in parts: before that, caches and pools fill."""
    fifth = max(1, len(samples) // 5)
    early, late = samples[fifth:2 * fifth], samples[-fifth:]
    return max(late) / max(early or late)
