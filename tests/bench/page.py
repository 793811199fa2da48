"""docs/benchmarks.md, from what was found."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from string import Template
from typing import Any

from tests.bench import names, scaling_page, soak, verdicts
from tests.bench.figures import Figures
from tests.bench.sizes import FLOORS
from tests.bench.tables import table
from tests.bench.verdicts import Verdict
from tests.bench.world import FEW

FILE, PICTURE = "benchmarks.md", "benchmarks.svg"
NOT_YET = "Not measured yet."
TEMPLATE = Path(__file__).with_name("page.md")


def written(found: Mapping[str, Any]) -> str:
    speed = found.get("speed")
    parts = {
        "speed": _speed(speed) if speed else NOT_YET,
        "scaling": scaling_page.written(speed["scaling"]) if speed else NOT_YET,
        "sizes": "\n\n".join(_sizes(*each) for each in _by_size(found)) or NOT_YET,
    }
    return Template(TEMPLATE.read_text()).substitute(parts)


def _by_size(found: Mapping[str, Any]) -> list[tuple[int, Any]]:
    return sorted((int(stored), each) for stored, each in found["sizes"].items())


def _speed(speed: Mapping[str, Any]) -> str:
    parts = [
        f"{speed['date']}, {speed['machine']}; {speed['rounds']} rounds of "
        f"{speed['seconds']:g} seconds:",
        f"![What is done in a second]({PICTURE})",
        rates_table(speed["peak"]),
        *_unpublished(speed),
        verdict_table(verdicts.of_speed(speed)),
        "While it is asked half as often as it can answer, with "
        "the p99 of each round:",
        _half_table(speed["half"]),
        "Memory of each process in MB, before and after:",
        _memory_table(speed["memory"]),
    ]
    if "soak" in speed:
        parts.append(_soak(speed["soak"]))
    return "\n\n".join(parts)


def rates_table(peak: Mapping[str, Sequence[Figures]]) -> str:
    rows = []
    for members in names.GROUPS.values():
        there = [name for name in members if name in peak]
        for name in there:
            rates = [each.rate for each in peak[name]]
            rows.append((
                name, f"{median(rates):,.0f}", f"{min(rates):,.0f} to {max(rates):,.0f}",
                f"{median(each.median for each in peak[name]):.1f}",
                f"{median(each.p99 for each in peak[name]):.1f}",
                f"{verdicts.ratio(peak, name, there[0]):.2f}",
                _processor(peak[name]),
            ))
    head = ("16 at once", "a second", "in a round", "median, ms", "p99, ms", "of the floor",
            "processor, ms")
    return table(head, rows)


def _unpublished(speed: Mapping[str, Any]) -> list[str]:
    left: Sequence[int] | None = speed.get("unpublished")
    if not left:
        return []
    numbers = ", ".join(f"{each:,}" for each in left)
    return [f"Events still to be published when the bookings of each round ended: {numbers}."]


def _processor(rounds: Sequence[Figures]) -> str:
    """Per request; programs that are started for a few seconds take most of it for that."""
    used = median(each.processor for each in rounds)
    return f"{used:.2f}" if used else ""


def verdict_table(found: Iterable[Verdict]) -> str:
    rows = [
        (
            each.what, f"{each.figure:.2f}",
            f"{'at least' if each.at_least else 'at most'} {each.bound:g}",
            "PASS" if each.reached else "FAIL",
        )
        for each in found
    ]
    return table(("", "found", "wanted", ""), rows)


def _half_table(half: Mapping[str, Sequence[Figures]]) -> str:
    rows = [
        (
            name, f"{median(each.rate for each in rounds):,.0f}",
            f"{median(each.median for each in rounds):.1f}",
            ", ".join(f"{each.p99:.1f}" for each in rounds),
        )
        for name, rounds in half.items()
    ]
    return table(("64 at times", "a second", "median, ms", "p99, ms"), rows)


def _memory_table(memory: Mapping[str, Mapping[str, float]]) -> str:
    after = memory["after"]
    rows = [(name, f"{idle:.0f}", f"{after[name]:.0f}") for name, idle in memory["idle"].items()]
    return table(("process", "idle", "after the load"), rows)


def _soak(found: Mapping[str, Any]) -> str:
    rows = [
        (name, f"{mb[0]:.0f}", f"{max(mb):.0f}", f"{mb[-1]:.0f}", f"{soak.growth(mb):.3f}")
        for name, mb in found["samples"].items()
    ]
    shown = table(("process, MB", "begin", "most", "end", "last fifth / second"), rows)
    return (
        f"{found['minutes']:g} minutes of reading and booking at half the load, "
        f"{found['requests']:,} requests of which {found['failed']} failed:\n\n{shown}"
    )


def _sizes(stored: int, found: Mapping[str, Any]) -> str:
    few, many = found["few"], found["many"]
    shown = sizes_table(few, many, stored)
    return f"{stored:,} on {found['date']}, {found['machine']}:\n\n{shown}"


def sizes_table(few: Mapping[str, float], many: Mapping[str, float], stored: int) -> str:
    passed = {each.what.split(":")[0]: each.reached for each in verdicts.of_sizes(few, many)}
    rows = [
        (
            name, f"{few[name]:.2f}", f"{many[name]:.2f}", f"{many[name] / few[name]:.2f}",
            "" if name in FLOORS else "PASS" if passed[name] else "FAIL",
        )
        for name in few
    ]
    return table(("median, ms", f"{FEW:,}", f"{stored:,}", "ratio", ""), rows)
