"""The plot of a drill."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.drill.plan import Span

if TYPE_CHECKING:
    from tests.drill.report import Story

WIDTH, HEIGHT = 14, 8
DEADLINE_MS = 5000


def draw(path: Path, story: "Story") -> None:
    """Requests and errors of each second, median and p99 of each five; faults as marked spans."""
    import matplotlib

    matplotlib.use("svg")
    # Text as text: a tenth of the size.
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "drill"})
    from matplotlib import pyplot

    figure, (rate, delay) = pyplot.subplots(
        2, 1, sharex=True, figsize=(WIDTH, HEIGHT), layout="constrained"
    )
    _draw_rate(rate, story)
    _draw_delay(delay, story)
    for axes in (rate, delay):
        for number, span in enumerate(story.spans):
            _mark(axes, span, story.begun, label=axes is rate, number=number)
        axes.margins(x=0)
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
    delay.set_xlabel("seconds")
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)


def _draw_rate(axes: Any, story: "Story") -> None:
    seconds = int(story.ended - story.begun) + 1
    answered, failed = [0] * seconds, [0] * seconds
    for line in story.lines:
        second = int(line.at + line.ms / 1000 - story.begun)
        answered[second] += 1
        failed[second] += line.failed
    axes.step(range(seconds), answered, where="post", label="requests/s", linewidth=0.8)
    axes.step(range(seconds), failed, where="post", label="errors/s", linewidth=0.9, color="C3")
    axes.set_ylim(0, max(answered) * 1.7)
    axes.set_ylabel("per second")


def _draw_delay(axes: Any, story: "Story") -> None:
    width = 5
    groups: dict[int, list[float]] = {}
    for line in story.lines:
        groups.setdefault(int((line.at + line.ms / 1000 - story.begun) / width), []).append(line.ms)
    at = sorted(groups)
    middle = [(group + 0.5) * width for group in at]
    axes.plot(middle, [median(groups[group]) for group in at], label="median", linewidth=0.9)
    axes.plot(middle, [_p99(groups[group]) for group in at], label="p99", linewidth=0.9)
    axes.axhline(DEADLINE_MS, color="black", linewidth=0.6, linestyle="--", label="deadline")
    axes.set_yscale("log")
    axes.set_ylabel("ms")


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[int(0.99 * (len(times) - 1))]


def _mark(axes: Any, span: Span, begun: float, *, label: bool, number: int) -> None:
    begin, end = span.begin - begun, span.end - begun
    axes.axvspan(begin, end, alpha=0.12, color="C1" if number % 2 else "C4", linewidth=0)
    if label:
        axes.text(
            begin, axes.get_ylim()[1] * 0.99, f" {span.fault}", rotation=90, va="top", fontsize=7
        )
