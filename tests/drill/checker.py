"""Nothing lost, nothing doubled, nothing stuck, nothing left behind: the verdict on a drill."""

import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from tests.drill.effects import consumed, recorded
from tests.drill.evidence import Evidence
from tests.drill.history import within
from tests.drill.leftovers import flat, marked, queues
from tests.drill.promises import in_time, one_answer, waited
from tests.drill.truth import changes, people

NAMED = 8


@dataclass
class Item:
    """What was looked at, and what is wrong with it."""

    title: str
    findings: list[str]
    looked_at: int = 0
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        return f"{len(self.findings)} wrong" if self.findings else "ok"


@dataclass
class Verdict:
    items: list[Item] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not any(item.findings for item in self.items)

    @property
    def wrong(self) -> list[str]:
        """The titles of what something was found with."""
        return [item.title for item in self.items if item.findings]

    def lines(self) -> Iterator[str]:
        for item in self.items:
            yield f"{item.verdict:>9}  {item.title} ({item.looked_at}, {item.seconds:.1f} s)"
            yield from (f"           {text}" for text in item.findings[:NAMED])
            if len(item.findings) > NAMED:
                yield f"           ... and {len(item.findings) - NAMED} more"
        yield "Nothing was found." if self.good else f"WRONG: {'; '.join(self.wrong)}"


Look = Callable[[Evidence], tuple[int, Iterable[str]]]

CLINIC_CHECK = "clinic check finds nothing"
ACKNOWLEDGED = "what was acknowledged is there, and nothing else"
PEOPLE = "everybody registered is there, and nobody else"
ONE_ANSWER = "one key, one answer"
LATE = "nothing was changed after its caller had gone"
EFFECTS = "each event is published, and had its effect once"
AUDIT = "clinic audit verify finds nothing"
RECORDED = "what was answered is in the audit trail"
QUEUES = "queues are empty; dead letters are the junk that was sent"
MARKS = "no marker word in logs, events, queues, cache or metrics"
FLAT = "memory, handles, threads, connections are back where they were"
WAITED = "nobody waited past the deadline"
CLIENTS = "every request was settled, none with a 500"
STAYED_UP = "no program ended by itself"
UNNOTICED = "nobody was told of an error for what should go unnoticed"
HARMLESS = (
    "rolling restart", "junk", "events twice", "kill background", "kill Redis", "freeze Redis",
    "flush Redis", "poison Redis",
)


def examine(evidence: Evidence, *, only: Collection[str] = ()) -> Verdict:
    """Everything there is to see once the system is quiet, or ``only`` what has these titles."""
    looks: dict[str, Look] = {
        CLINIC_CHECK: lambda e: _command(e, "check"),
        ACKNOWLEDGED: changes,
        PEOPLE: people,
        ONE_ANSWER: one_answer,
        LATE: in_time,
        EFFECTS: consumed,
        AUDIT: lambda e: _command(e, "audit", "verify"),
        RECORDED: recorded,
        QUEUES: queues,
        MARKS: marked,
        FLAT: flat,
        WAITED: waited,
        CLIENTS: _clients,
        STAYED_UP: _stayed_up,
        UNNOTICED: _unnoticed,
    }
    return Verdict([_item(title, look, evidence) for title, look in looks.items()
                    if not only or title in only])


def _item(title: str, look: Look, evidence: Evidence) -> Item:
    begun = time.monotonic()
    looked_at, findings = look(evidence)
    return Item(title, list(findings), looked_at, time.monotonic() - begun)


def _command(evidence: Evidence, *arguments: str) -> tuple[int, list[str]]:
    """A command for operators that ends with 0 when all is well."""
    ended: subprocess.CompletedProcess[str] = evidence.stage.command(*arguments)
    said = ended.stdout.splitlines()
    if ended.returncode == 0:
        return len(said), []
    named = [line.strip() for line in said if line.startswith("  ")]
    return len(said), named or said[-5:] + ended.stderr.splitlines()[-5:]


def _clients(evidence: Evidence) -> tuple[int, list[str]]:
    strange = [
        f"{line.op} {line.key[:8]}: {line.status} {line.code}"
        for line in evidence.lines
        if line.status >= 500 and line.status != 503
    ]
    unsettled = [f"not settled: {text}" for text in evidence.unsettled]
    return len(evidence.lines), [*evidence.failures, *unsettled, *strange]


def _stayed_up(evidence: Evidence) -> tuple[int, list[str]]:
    instances = evidence.stage.supervisor.instances
    return len(instances), [
        f"{each.name} ended by itself with {each.unasked}" for each in instances if each.unasked
    ]


def _unnoticed(evidence: Evidence) -> tuple[int, list[str]]:
    spans = [span for span in evidence.spans if span.fault in HARMLESS]
    return len(spans), [
        f"{span.fault}: {line.op} told {line.status} {line.code} after {line.ms:.0f} ms, "
        f"{line.at - span.begin:.1f} s from its beginning"
        for span in spans
        for line in within(evidence.lines, span.begin, span.end)
        # What was sent before may have met the fault before.
        if line.failed and line.at >= span.begin
    ]
