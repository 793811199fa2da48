"""What the system told others: each event once to each consumer, each answer to the audit trail."""

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import func, select

from appointment.models import Change
from appointment.models import Inbox as AppointmentInbox
from appointment.models import Outbox
from config.audit.models import Record
from gateway.models import Inbox as GatewayInbox
from tests.drill.drain import OUTBOXES
from tests.drill.evidence import Evidence
from tests.drill.stage import WITNESS
from tests.drill.truth import Found
from tests.drill.witness import Inbox, Tally

ACTIONS = {
    "book": "POST /appointments", "move": "PATCH /appointments/<appointment_id>",
    "cancel": "DELETE /appointments/<appointment_id>", "register": "POST /patients",
    "status": "POST /appointments/<appointment_id>/status",
}
TOLD = ("scheduled", "rescheduled", "cancelled", "status_changed")
# By the handlers of the background programs of these databases.
INBOXES = {"appointment": AppointmentInbox, "gateway": GatewayInbox}
AWAITED = {
    "doctor.schedule_changed": ("appointment",),
    "doctor.time_off_changed": ("appointment",),
    "patient.erased": ("appointment", "gateway"),
}


def consumed(evidence: Evidence) -> Found:
    """At each consumer one effect for each event of each outbox."""
    events: dict[str, str] = {}
    findings: list[str] = []
    for source, outbox in OUTBOXES.items():
        with evidence.reading(source) as connection:
            rows = connection.execute(select(outbox.id, outbox.name, outbox.published_at)).all()
        events |= {row.id: f"{source}.{row.name}" for row in rows}
        findings += [
            f"{source} event {row.id}: not published" for row in rows if row.published_at is None
        ]
    return len(events), [
        *findings, *_tallied(evidence, events), *_entered(evidence, events),
        *_untold(evidence),
    ]


def _tallied(evidence: Evidence, events: dict[str, str]) -> Iterator[str]:
    with evidence.reading(WITNESS) as connection:
        tally = {row.event_id: row.times for row in connection.execute(select(Tally))}
        entered = Counter(connection.scalars(select(Inbox.event_id)))
    for event, name in events.items():
        times = tally.get(event, 0)
        if times != 1:
            yield f"{name} {event}: {times} effects at the witness, {entered[event]} in its inbox"
    for event in tally.keys() - events.keys():
        yield f"the witness counted {event}, which is in no outbox"


def _entered(evidence: Evidence, events: dict[str, str]) -> Iterator[str]:
    for database, inbox in INBOXES.items():
        with evidence.reading(database) as connection:
            kept = Counter(connection.scalars(select(inbox.event_id)))
        awaited = [event for event, name in events.items() if database in AWAITED.get(name, ())]
        for event in awaited:
            if kept[event] != 1:
                yield f"{events[event]} {event}: {kept[event]} rows in the inbox of {database}"


def _untold(evidence: Evidence) -> Iterator[str]:
    """Each line of an appointment's history but a new description is told in one event."""
    with evidence.reading("appointment") as connection:
        noted = Counter(
            (str(row.appointment_id), row.what)
            for row in connection.execute(select(Change)) if row.what in TOLD
        )
        told = Counter(
            (row.subject, row.name)
            for row in connection.execute(select(Outbox)) if row.name in TOLD
        )
    for (number, what) in noted.keys() | told.keys():
        if noted[number, what] != told[number, what]:
            yield (f"appointment {number}: {noted[number, what]} times {what}, "
                   f"{told[number, what]} events")


def recorded(evidence: Evidence) -> Found:
    """Each answer has its line; lines of answers that were lost on the way come on top."""
    wanted = Counter(
        (ACTIONS[line.op], str(line.status))
        for line in evidence.lines
        if line.op in ACTIONS and line.status and line.settled
    )
    with evidence.reading("audit") as connection:
        grouped = select(Record.action, Record.outcome, func.count()).group_by(
            Record.action, Record.outcome
        )
        kept = {(action, outcome): count for action, outcome, count in
                connection.execute(grouped)}
    return sum(wanted.values()), [
        f"{action} answered with {status} {count} times, {kept.get((action, status), 0)} on record"
        for (action, status), count in wanted.items()
        if kept.get((action, status), 0) < count
    ]
