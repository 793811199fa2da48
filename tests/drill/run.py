"""One drill, from the start of the servers to the verdict."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from tests.drill.building import stage
from tests.drill.checker import examine
from tests.drill.crowd import Crowd
from tests.drill.drain import drained
from tests.drill.evidence import Evidence
from tests.drill.history import Figures, History, now, within
from tests.drill.load import World
from tests.drill.nemesis import Nemesis
from tests.drill.people import populate
from tests.drill.plan import Span, plan, strike
from tests.drill.report import Story, write
from tests.drill.samples import Samples
from tests.drill.stage import Stage, versions
from tests.e2e.markers import Markers

PROGRESS_SECONDS = 5.0
WARM_UP_SECONDS = 10.0
# A rest ends when nobody was told of a failure for so long; it has a bound of its own.
CALM_SECONDS = 2.0
LONGEST_REST = 20.0
LONG_FROM = 300.0
SETTLE_SECONDS = 60.0
DRAIN_SECONDS = 60.0
Say = Callable[[str], None]


class Drill:
    """:param faults: only these, one after the other, instead of the plan of ``seed``."""

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float,
        seed: str,
        clients: int,
        say: Say,
        faults: list[str] | None = None,
    ) -> None:
        self.folder, self.seconds, self.seed, self.clients = folder, seconds, seed, clients
        self.say, self.faults = say, faults
        self.short = seconds < LONG_FROM
        self.spans: list[Span] = []
        self._fault = "warming up"
        self._next_word = 0.0

    def run(self, *, out: Path | None = None) -> int:
        """The exit code: 0 when nothing was found."""
        self.say(f"Drill of {self.seconds:.0f} s, --seed {self.seed}, {self.clients} clients")
        self.folder.mkdir(parents=True, exist_ok=True)
        gateways = 1 if self.short else 2
        with stage(self.folder, say=self.say, gateways=gateways) as built:
            evidence = self._act(built)
            self.say("Looking at what is left ...")
            verdict, story = examine(evidence), self._story(built)
        for line in verdict.lines():
            self.say(line)
        if out:
            write(out, story, verdict)
            self.say(f"The report is in {out}.")
        return 0 if verdict.good else 1

    def _story(self, built: Stage) -> Story:
        return Story(
            seed=self.seed,
            seconds=self.seconds,
            clients=self.clients,
            programs=len(built.supervisor.instances),
            lines=self.history.lines,
            spans=self.spans,
            processes=self.samples.processes,
            versions=versions(built),
        )

    def _act(self, built: Stage) -> Evidence:
        markers = Markers()
        world = populate(built, markers, days=40 if self.short else 160)
        self.history, self.samples = History(self.folder / "history.jsonl"), Samples(built)
        self.crowd = Crowd(world, self.history, clients=self.clients, seed=self.seed)
        self.nemesis = Nemesis(
            built, random.Random(f"{self.seed} nemesis"), scale=0.2 if self.short else 1.0,
            mark=markers.ascii(),
        )
        built.each_tick.append(self._progress)
        self.crowd.start()
        try:
            self._break(built)
            self._calm_down(built, world)
        finally:
            self.crowd.stop(seconds=0)
            self.history.close()
        return Evidence(
            built,
            world,
            self.history.lines,
            samples=self.samples,
            junk=self.nemesis.junk,
            unsettled=self.crowd.unsettled,
            failures=self.crowd.failures,
            before=self.before,
            spans=self.spans,
        )

    def _break(self, built: Stage) -> None:
        built.rest(WARM_UP_SECONDS / 2 if self.short else WARM_UP_SECONDS)
        self.before = built.broker.counts()
        end = now() + self.seconds
        for fault in self.faults or plan(self.seed, short=self.short):
            # A short drill ends when each has been done, or it would pass by chance.
            if now() > end and not self.short:
                break
            self._fault = fault
            self.say(f"-- {fault}")
            self.spans.append(strike(self.nemesis, fault))
            self._fault = f"after {fault}"
            self._rest(built)

    def _rest(self, built: Stage) -> None:
        """Until the system is well again, as its clients see it, and a moment longer."""
        begun = now()
        built.wait(lambda: self._calm(since=begun), seconds=LONGEST_REST)
        if not self.short:
            built.rest(3)

    def _calm(self, *, since: float) -> bool:
        if now() < since + CALM_SECONDS:
            return False
        lines = self.history.since(now() - CALM_SECONDS)
        return bool(lines) and not any(line.failed for line in lines)

    def _calm_down(self, built: Stage, world: World) -> None:
        self._fault = "quiet"
        self.say("-- no more faults; everything comes back")
        built.wait(built.ready, seconds=DRAIN_SECONDS, every=0.5)
        built.rest(5)
        self.crowd.stop(seconds=SETTLE_SECONDS)
        built.wait(lambda: not self.crowd.working, seconds=SETTLE_SECONDS + 10)
        if not built.wait(lambda: drained(built), seconds=DRAIN_SECONDS, every=0.5):
            self.say(f"Not everything has drained within {DRAIN_SECONDS:.0f} s.")
        built.each_tick.remove(self._progress)
        self.samples.take()

    def _progress(self) -> None:
        if time.monotonic() < self._next_word:
            return
        self._next_word = time.monotonic() + PROGRESS_SECONDS
        self.samples.take()
        end = now()
        recent = Figures.of(within(self.history.since(end - 10), end - PROGRESS_SECONDS, end))
        self.say(
            f"{self._fault:28} {recent.requests / PROGRESS_SECONDS:6.1f}/s "
            f"{recent.errors:4} errors  p99 {recent.p99:6.0f} ms"
        )
