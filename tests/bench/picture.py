"""The plot of the benchmark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import names
from tests.bench.figures import Figures

WIDTH, HEIGHT = 12, 9
TITLES = {
    "reads": "reads over HTTP, a second", "calls": "calls through the broker, a second",
    "bookings": "bookings over HTTP, a second",
}
OURS, OTHERS, FLOOR = "C0", "C7", "C2"
COLORS = {OURS: "this system", OTHERS: "others, without its guarantees", FLOOR: "floors"}
FLOORS = (names.EMPTY, names.RAW_CALL)


def draw(path: Path, speed: Mapping[str, Any]) -> None:
    """What is done in a second, a panel for each kind; and how long it takes at half of that."""
    import matplotlib

    matplotlib.use("svg")
    # Text as text: a tenth of the size.
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "bench"})
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    figure, panels = pyplot.subplots(2, 2, figsize=(WIDTH, HEIGHT), layout="constrained")
    for axes, (kind, members) in zip(panels.flat, names.GROUPS.items(), strict=False):
        # Next to a row of nothing else, bookings could not be told apart: that is for the table.
        there = [name for name in members if name in speed["peak"] and name != names.INSERT]
        _draw_rates(axes, {name: speed["peak"][name] for name in there})
        axes.set_title(TITLES[kind])
    _draw_delays(panels.flat[-1], speed["half"])
    figure.legend(
        handles=[Patch(color=color, label=label) for color, label in COLORS.items()],
        loc="outside lower center", ncols=len(COLORS), frameon=False,
    )
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def _draw_rates(axes: Any, peak: Mapping[str, Sequence[Figures]]) -> None:
    """The median as a bar, and each round as a dot on it."""
    places = range(len(peak), 0, -1)
    for place, (name, rounds) in zip(places, peak.items(), strict=True):
        rates = [each.rate for each in rounds]
        middle = median(rates)
        axes.barh(place, middle, height=0.55, color=_color(name), alpha=0.85)
        axes.plot(rates, [place] * len(rates), "o", color="black", markersize=2.5)
        axes.annotate(
            f"{middle:,.0f}", (max(rates), place), (6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(places, list(peak))
    axes.margins(x=0.15)
    axes.grid(axis="x", alpha=0.3)


def _color(name: str) -> str:
    return OURS if name in names.OURS else FLOOR if name in FLOORS else OTHERS


def _draw_delays(axes: Any, half: Mapping[str, Sequence[Figures]]) -> None:
    places = range(len(half), 0, -1)
    for place, rounds in zip(places, half.values(), strict=True):
        for shift, color, label, times in (
            (0.15, "C0", "median", [each.median for each in rounds]),
            (-0.15, "C1", "p99", [each.p99 for each in rounds]),
        ):
            middle = median(times)
            axes.barh(
                place + shift, middle, height=0.28, color=color,
                label=label if place == len(half) else None,
            )
            axes.annotate(
                f"{middle:.1f}", (middle, place + shift), (4, 0), textcoords="offset points",
                va="center",
            )
    axes.set_yticks(places, list(half))
    axes.margins(x=0.15)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper right")
    axes.set_title("ms, while asked half as often as it can answer")
