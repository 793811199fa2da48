"""What must be true of the stored data, looked at while the system runs: `clinic check`.

Every database is read in one snapshot of its own, in a transaction that may not write. What is
compared with what, the server works out: rows come here only where something is wrong.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    MetaData,
    Select,
    String,
    Table,
    cast,
    func,
    or_,
    select,
)
from sqlalchemy.engine import URL

from config.clock import utc_now
from config.programs import catalogue, load
from config.snapshot import snapshot

OUTBOX = "outbox"
OVERDUE = timedelta(minutes=1)
# Of each check; of the others it is told how many there are.
NAMED = 5

Rows = Select[*tuple[Any, ...]]
Find = Callable[[Connection], Iterator["Finding"]]


class Finding(NamedTuple):
    """``text`` names what is wrong by ids only; what is not ``wrong`` is told and no more."""

    text: str
    wrong: bool = True


class Check(NamedTuple):
    """``counted`` selects how many of ``what`` there are, ``find`` looks at them all."""

    title: str
    what: str
    counted: Select[int]
    find: Find


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
    return [*_of_events(tables), *(load(named)() if named else ())]


def finds(wanted: Rows, text: str) -> Find:
    """Each row of ``wanted`` is a finding: its columns fill ``text``."""

    def find(connection: Connection) -> Iterator[Finding]:
        for row in connection.execute(wanted).mappings():
            yield Finding(text.format(**row))

    return find


def counting(table: Any, *conditions: Any) -> Select[int]:
    return select(func.count()).select_from(table).where(*conditions)


def _made(name: str, check: Check, connection: Connection) -> Outcome:
    begun, outcome = time.monotonic(), Outcome(name, check)
    outcome.looked_at = connection.scalar(check.counted) or 0
    for finding in check.find(connection):
        outcome.add(finding)
    outcome.seconds = time.monotonic() - begun
    return outcome


# Events


def _of_events(tables: MetaData) -> list[Check]:
    """Of a database with an outbox: its events, and the one table whose records count them."""
    outbox = tables.tables.get(OUTBOX)
    if outbox is None:
        return []
    (records,) = (
        each for each in tables.sorted_tables if each is not outbox and "sequence" in each.c
    )
    events, counted = counting(outbox), counting(records)
    return [
        Check("sequences have no gap and no double", "events", events, finds(
            _broken(outbox), "events of {subject}: {events}, numbered from {first} to {last}"
        )),
        Check(f"each {records.name} knows its last event", f"{records.name}s", counted, finds(
            _miscounted(records, outbox),
            f"{records.name} {{id}}: sequence {{sequence}}, its last event has {{last}}",
        )),
        Check(f"each event is of a known {records.name}", "events", events, finds(
            _unowned(outbox, records), "event {position}: there is no {subject}"
        )),
        Check("events are published", "unpublished events", counting(
            outbox, outbox.c.published_at.is_(None)
        ), _waiting(outbox)),
    ]


def _broken(outbox: Table) -> Rows:
    sequence, events = outbox.c.sequence, func.count()
    return (
        select(
            outbox.c.subject,
            events.label("events"),
            func.min(sequence).label("first"),
            func.max(sequence).label("last"),
        )
        .group_by(outbox.c.subject)
        .having(or_(
            func.min(sequence) != 1,
            func.max(sequence) != events,
            func.count(sequence.distinct()) != events,
        ))
    )


def _miscounted(records: Table, outbox: Table) -> Rows:
    newest = select(func.max(outbox.c.sequence)).where(
        outbox.c.subject == cast(records.c.id, String(64))
    )
    last = func.coalesce(newest.scalar_subquery(), 0)
    return select(records.c.id, records.c.sequence, last.label("last")).where(
        records.c.sequence != last
    )


def _unowned(outbox: Table, records: Table) -> Rows:
    owner = select(records.c.id).where(records.c.id == cast(outbox.c.subject, BigInteger))
    return select(outbox.c.position, outbox.c.subject).where(~owner.exists())


def _waiting(outbox: Table) -> Find:
    """A moment's wait is nothing: the relay looks several times a second."""
    waiting = (
        select(outbox.c.position, outbox.c.body)
        .where(outbox.c.published_at.is_(None))
        .order_by(outbox.c.position)
    )

    def find(connection: Connection) -> Iterator[Finding]:
        now = utc_now()
        for position, body in connection.execute(waiting):
            waits = now - datetime.fromisoformat(json.loads(body)["time"])
            overdue = waits > OVERDUE
            yield Finding(
                f"event {position} waits for {waits.total_seconds():.0f} s", wrong=overdue
            )

    return find
