"""What a drill looked like, as a page and a picture: docs/drill.md and docs/drill.svg."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.drill.checker import NAMED, Verdict
from tests.drill.history import Figures, Line, within
from tests.drill.plan import FAULTS, Span
from tests.drill.samples import Sample

MB = 2**20
CALM = "no fault"
PICTURE = "drill.svg"


@dataclass(frozen=True)
class Story:
    """``versions`` of the servers, by their names; ``begun`` and ``ended`` are of the load."""

    seed: str
    seconds: float
    clients: int
    programs: int
    lines: Sequence[Line]
    spans: Sequence[Span]
    processes: Sequence[Sample]
    versions: Mapping[str, str]

    @property
    def begun(self) -> float:
        return self.lines[0].at

    @property
    def ended(self) -> float:
        return max(line.at + line.ms / 1000 for line in self.lines)


def write(folder: Path, story: Story, verdict: Verdict) -> None:
    from tests.drill.picture import draw

    folder.mkdir(parents=True, exist_ok=True)
    draw(folder / PICTURE, story)
    (folder / "drill.md").write_text("\n".join(page(story, verdict)) + "\n")


def page(story: Story, verdict: Verdict) -> Iterator[str]:
    yield from _head(story, verdict)
    yield from _faults(story)
    yield from _tails(story)
    yield from _verdict(verdict)
    yield from _processes(story)


def _head(story: Story, verdict: Verdict) -> Iterator[str]:
    total = Figures.of(story.lines)
    when = datetime.fromtimestamp(story.begun, UTC)
    servers = ", ".join(f"{name} {version}" for name, version in story.versions.items())
    yield "# A drill"
    yield ""
    yield (
        f"Written by `make drill` on {when:%Y-%m-%d %H:%M} UTC: {story.clients} clients at work "
        f"for {(story.ended - story.begun) / 60:.0f} minutes, while the faults below were done to "
        f"the system, in the order of `--seconds {story.seconds:.0f} --seed {story.seed}`."
    )
    yield ""
    yield (
        f"{story.programs} processes, each of the programs twice, on one machine of "
        f"{os.cpu_count()} processors ({platform.machine()}, {_memory()} GB) with their servers "
        f"and the clients: Python {platform.python_version()}, {servers}."
    )
    yield ""
    yield (
        f"{total.requests:,} requests, of which {total.errors:,} were answered with 503 or not at "
        "all; each of these was sent again, with the same key, until it was settled. "
        + ("**The checker found nothing.**" if verdict.good else
           f"**The checker found something: {'; '.join(verdict.wrong)}.**")
    )
    yield ""
    yield f"![requests, errors and latency over time]({PICTURE})"
    yield ""


def _faults(story: Story) -> Iterator[str]:
    yield "## What was done, and what clients saw"
    yield ""
    yield (
        "Errors are 503, and connections that a gateway's end cut. *Well again*: how many seconds "
        "after the fault was over a client was told of an error for the last time."
    )
    yield ""
    yield (
        "| at | fault | | seconds | requests/s | errors | median ms | p99 ms | longest ms "
        "| well again |"
    )
    yield "|---|---|---|--:|--:|--:|--:|--:|--:|--:|"
    for span, begin, end in _spans(story):
        seen = Figures.of(within(story.lines, begin, end))
        yield (
            f"| {_clock(begin - story.begun)} | {span.fault} | {span.detail} | {end - begin:.0f} "
            f"| {seen.requests / (end - begin):.0f} | {seen.errors} | {seen.median:.0f} "
            f"| {seen.p99:.0f} | {seen.longest:.0f} | {_well_again(story, span)} |"
        )
    yield ""
    for fault in sorted({span.fault for span in story.spans}):
        said = (FAULTS[fault].__doc__ or "").strip()
        yield f"- **{fault}**: {said}"
    yield ""


def _spans(story: Story) -> Iterator[tuple[Span, float, float]]:
    """With the seconds in which it lasts and is got over: up to five after its end."""
    for number, span in enumerate(story.spans):
        following = story.spans[number + 1:number + 2]
        end = min([span.end + 5, *(each.begin for each in following)])
        yield span, span.begin, max(end, span.begin + 0.1)


def _well_again(story: Story, span: Span) -> str:
    begins = [each.begin for each in story.spans if each.begin > span.begin]
    until = min([story.ended + 1, *begins])
    failed = [
        line.at + line.ms / 1000 for line in within(story.lines, span.end, until) if line.failed
    ]
    return f"{max(failed) - span.end:.1f}" if failed else "at once"


def calm(story: Story) -> list[Line]:
    """What was answered while nothing was broken, nor had been a moment before."""
    periods = [(begin - 5, end) for _, begin, end in _spans(story)]
    return [
        line
        for line in story.lines
        if not any(begin <= line.at + line.ms / 1000 < end for begin, end in periods)
    ]


def _tails(story: Story) -> Iterator[str]:
    yield "## The tails"
    yield ""
    yield "| | requests | median ms | p90 | p99 | p99.9 | longest |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for name, lines in (("all", story.lines), (CALM, calm(story))):
        times = sorted(line.ms for line in lines) or [0.0]
        shown = " | ".join(
            f"{times[int(share * (len(times) - 1))]:.0f}" for share in (0.5, 0.9, 0.99, 0.999, 1)
        )
        yield f"| {name} | {len(lines):,} | {shown} |"
    yield ""
    told: dict[str, int] = {}
    for line in story.lines:
        if not line.settled:
            what = f"{line.status} {line.code}" if line.status else line.code
            told[what] = told.get(what, 0) + 1
    listed = ", ".join(f"{what}: {times:,}" for what, times in sorted(told.items()))
    yield f"Sent again, with the same key, after: {listed or 'nothing'}."
    yield ""


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield "## What the checker found"
    yield ""
    yield "| | looked at | found |"
    yield "|---|--:|---|"
    for item in verdict.items:
        yield f"| {item.title} | {item.looked_at:,} | {item.verdict} |"
    for item in verdict.items:
        for text in item.findings[:NAMED]:
            yield f"\n`{text}` ({item.title})"
    yield ""


def _processes(story: Story) -> Iterator[str]:
    """Of each name the first and the last minute; a process that was killed has a successor."""
    yield "## Memory, handles and threads"
    yield ""
    yield "In the first and in the last minute; of a program that was killed, of its successors."
    yield ""
    yield "| process | MB | handles | threads |"
    yield "|---|--:|--:|--:|"
    for name in sorted({sample.name for sample in story.processes}):
        taken = [sample for sample in story.processes if sample.name == name]
        early, late = taken[2:14] or taken, taken[-12:]
        cells = [
            f"{median(getattr(each, what) for each in early) / unit:.0f} → "
            f"{median(getattr(each, what) for each in late) / unit:.0f}"
            for what, unit in (("rss", MB), ("handles", 1), ("threads", 1))
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
