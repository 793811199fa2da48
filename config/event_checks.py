"""What `clinic check` looks at in every outbox: no event is missing, doubled or left behind."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Connection,
    MetaData,
    String,
    Table,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
)

from config.clock import utc_now
from config.findings import Check, Find, Finding, Rows, counting, finds

OUTBOX = "outbox"
OVERDUE = timedelta(minutes=1)
# At the earliest, whatever EVENT_DAYS is or was.
FORGOTTEN_AFTER = timedelta(days=1)


def of_events(tables: MetaData) -> list[Check]:
    """Of a database with an outbox: its events, and the one table whose records count them."""
    outbox = tables.tables.get(OUTBOX)
    if outbox is None:
        return []
    (records,) = (
        each for each in tables.sorted_tables if each is not outbox and "sequence" in each.c
    )
    events, counted = counting(outbox), counting(records)
    return [
        Check("sequences have no gap and no double", "events", events, _sequences(outbox, records)),
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


def _sequences(outbox: Table, records: Table) -> Find:
    def find(connection: Connection) -> Iterator[Finding]:
        forgettable = _oldest_forgettable(outbox, connection)
        yield from finds(
            _broken(outbox, records, forgettable),
            "events of {subject}: {events}, numbered from {first} to {last}",
        )(connection)

    return find


def _oldest_forgettable(outbox: Table, connection: Connection) -> datetime:
    """No event that was published later than this can have been forgotten: the oldest go first, and
    this one, which is not the last of its subject, is still there."""
    newer = outbox.alias()
    forgettable = select(func.min(outbox.c.published_at)).where(
        exists().where(
            newer.c.subject == outbox.c.subject, newer.c.sequence > outbox.c.sequence
        )
    )
    at_the_latest = utc_now() - FORGOTTEN_AFTER
    return min(connection.scalar(forgettable) or at_the_latest, at_the_latest)


def _broken(outbox: Table, records: Table, forgettable: datetime) -> Rows:
    """Those with a gap, and those whose first events are missing and were never forgotten."""
    sequence, events = outbox.c.sequence, func.count()
    kept = (
        select(
            outbox.c.subject,
            events.label("events"),
            func.min(sequence).label("first"),
            func.max(sequence).label("last"),
            func.count(sequence.distinct()).label("different"),
        )
        .group_by(outbox.c.subject)
        .subquery()
    )
    # None of them was published before its record was made.
    too_young = select(records.c.id).where(
        records.c.id == cast(kept.c.subject, BigInteger), records.c.created_at > forgettable
    )
    return select(kept.c.subject, kept.c.events, kept.c.first, kept.c.last).where(or_(
        kept.c.different != kept.c.events,
        kept.c.last - kept.c.first + 1 != kept.c.events,
        and_(kept.c.first != 1, too_young.exists()),
    ))


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
    """A moment's wait is nothing: the relay looks each second, and sooner when woken."""
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
