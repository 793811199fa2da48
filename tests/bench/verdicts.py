"""Whether what must be reached was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.bench import names, soak
from tests.bench.figures import Figures
from tests.bench.sizes import FLOORS

Peaks = Mapping[str, Sequence[Figures]]


@dataclass(frozen=True)
class Verdict:
    """``figure`` of ``what``, which ought to be at least, or at most, ``bound``."""

    what: str
    figure: float
    bound: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


def ratio(peak: Peaks, name: str, floor: str) -> float:
    """The median of those of each round, in which both had the same machine."""
    pairs = zip(peak[name], peak[floor], strict=True)
    return median(one.rate / other.rate for one, other in pairs)


def of_speed(speed: Mapping[str, Any]) -> list[Verdict]:
    peak = speed["peak"]
    found = [
        Verdict(f"{each.name} / {each.floor}", ratio(peak, each.name, each.floor), each.least, True)
        for each in names.TARGETS
        if each.floor in peak
    ]
    for name, rounds in speed["half"].items():
        late = median(each.p99 / each.median for each in rounds)
        found.append(Verdict(f"{name}, at half of its peak: p99 / median", late, names.MOST_LATE))
    largest = max(speed["memory"]["after"].values())
    found.append(Verdict("MB of the largest process", largest, names.MOST_MEGABYTES))
    found.append(Verdict("requests that failed", _failed(speed), 0))
    if "soak" in speed:
        found += _of_soak(speed["soak"])
    return found


def _of_soak(soaked: Mapping[str, Any]) -> list[Verdict]:
    grown = max(map(soak.growth, soaked["samples"].values()))
    return [
        Verdict("soak: memory of the last fifth / the second", grown, names.MOST_GROWN),
        Verdict("soak: requests that failed", soaked["failed"], 0),
    ]


def _failed(speed: Mapping[str, Any]) -> int:
    kinds = (speed["peak"], speed["half"])
    return sum(each.failed for kind in kinds for rounds in kind.values() for each in rounds)


def of_sizes(few: Mapping[str, float], many: Mapping[str, float]) -> list[Verdict]:
    return [
        Verdict(f"{name}: with many / with few", many[name] / few[name], names.MOST_SLOWER)
        for name in few
        if name not in FLOORS
    ]
