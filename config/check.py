"""What must be true of the stored data, looked at while the system runs: `clinic check`.

Every database is read in one snapshot of its own, in a transaction that may not write. What is
compared with what, the server works out: rows come here only where something is wrong.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from config.event_checks import of_events
from config.findings import Check, Finding
from config.programs import catalogue, load
from config.snapshot import snapshot

# Of each check; of the others it is told how many there are.
NAMED = 5


@dataclass
class Outcome:
    """What a check found: the first few, and how many they are altogether."""

    database: str
    check: Check
    looked_at: int = 0
    wrong: int = 0
    notes: int = 0
    seconds: float = 0.0
    named: tuple[str, ...] = ()

    def add(self, finding: Finding) -> None:
        self.wrong += finding.wrong
        self.notes += not finding.wrong
        if len(self.named) < NAMED:
            self.named += (finding.text,)


def all_checks() -> dict[str, list[Check]]:
    """By database, for those that have something to look at."""
    checks = {name: _checks_of(name) for name in catalogue().databases}
    return {name: wanted for name, wanted in checks.items() if wanted}


def examine(name: str, checks: Sequence[Check], url: URL) -> Iterator[Outcome]:
    """One outcome after another, all of the same moment of the database ``name``."""
    with snapshot(url) as connection:
        for check in checks:
            yield _made(name, check, connection)


def _checks_of(name: str) -> list[Check]:
    """Those of its outbox, and those that services.yml names."""
    tables, named = catalogue().tables(name), catalogue().checks.get(name)
    return [*of_events(tables), *(load(named)() if named else ())]


def _made(name: str, check: Check, connection: Connection) -> Outcome:
    begun, outcome = time.monotonic(), Outcome(name, check)
    outcome.looked_at = connection.scalar(check.counted) or 0
    for finding in check.find(connection):
        outcome.add(finding)
    outcome.seconds = time.monotonic() - begun
    return outcome
