"""What the clients were told, held against what is stored."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import select

from appointment.models import Appointment, Change
from doctor.models import TimeOff
from patient.models import Patient
from schemas.statuses import CANCELLED
from tests.drill.evidence import Evidence
from tests.drill.history import Line

Found = tuple[int, list[str]]
Version = tuple[int, int]
SYSTEM = "system"
# By what the answer to a client's request is noted as in the history of an appointment.
NOTED = {"book": "scheduled", "move": "rescheduled", "status": "status_changed"}


class State(NamedTuple):
    doctor: int
    start: datetime
    end: datetime


def changes(evidence: Evidence) -> Found:
    """Each version that anybody was told of is stored so; each stored one was acknowledged."""
    stored, statuses = stored_versions(evidence)
    told = list(_told(evidence.lines))
    return len(told) + len(stored), [
        *_not_as_told(told, stored),
        *_not_acknowledged(evidence.lines, stored),
        *_not_cancelled(evidence.lines, statuses),
    ]


def stored_versions(evidence: Evidence) -> tuple[dict[Version, Any], dict[int, str]]:
    """The lines of history by (appointment, version), and the status of each appointment."""
    with evidence.reading("appointment") as connection:
        rows = connection.execute(select(Change).order_by(Change.id)).all()
        statuses = connection.execute(select(Appointment.id, Appointment.status)).all()
    return {(row.appointment_id, row.version): row for row in rows}, {
        number: status for number, status in statuses
    }


def _told(lines: Sequence[Line]) -> Iterator[tuple[Version, State]]:
    for line in lines:
        if "etag" in line.told and "date" in line.told:
            start, end = (datetime.fromisoformat(line.told[name]) for name in ("date", "end"))
            version = version_of(line)
            yield (line.told["id"], version), State(line.told["doctorId"], start, end)


def _not_as_told(
    told: Sequence[tuple[Version, State]], stored: dict[Version, Any]
) -> Iterator[str]:
    for (number, version), state in dict(told).items():
        row = stored.get((number, version))
        if row is None:
            yield f"appointment {number}, version {version}: acknowledged, and not there"
        elif State(row.doctor_id, utc(row.starts_at), utc(row.ends_at)) != state:
            yield f"appointment {number}, version {version}: not as it was acknowledged"


def _not_acknowledged(
    lines: Sequence[Line], stored: dict[Version, Any]
) -> Iterator[str]:
    """Refused, or never answered: then nothing of it may be stored; and never twice for a key."""
    acknowledged: dict[tuple[str, int, int], set[str]] = defaultdict(set)
    for line in lines:
        if line.op in NOTED and line.settled and line.status < 300:
            version = version_of(line)
            acknowledged[NOTED[line.op], line.told["id"], version].add(line.key)
    cancelled = {line.asked["path"] for line in lines if line.op == "cancel" and line.status == 204}
    for (number, version), row in stored.items():
        if row.actor_role == SYSTEM:
            continue
        if row.what == CANCELLED:
            known = f"/appointments/{number}" in cancelled
        else:
            known = bool(acknowledged.get((row.what, number, version)))
        if not known:
            yield f"appointment {number}, version {version}: {row.what}, and nobody was told so"


def _not_cancelled(lines: Sequence[Line], statuses: dict[int, str]) -> Iterator[str]:
    for line in lines:
        if line.op == "cancel" and line.status == 204:
            number = int(line.asked["path"].rpartition("/")[2])
            if statuses.get(number) != CANCELLED:
                yield f"appointment {number}: its cancellation was acknowledged, and is not there"


def people(evidence: Evidence) -> Found:
    """As many as the clients were told of; and as much time off."""
    findings, looked_at = [], 0
    for op, database, table in (("register", "patient", Patient), ("time off", "doctor", TimeOff)):
        told = {line.told["id"] for line in evidence.lines if line.op == op and line.status == 201}
        with evidence.reading(database) as connection:
            kept = set(connection.scalars(select(table.id)))
        world = evidence.world
        known = {*world.patients, *world.erased} if op == "register" else set()
        findings += [f"{op} {number}: acknowledged, and not there" for number in told - kept]
        findings += [f"{op} {number}: nobody was told" for number in kept - told - known]
        looked_at += len(kept)
    return looked_at, findings


def version_of(line: Line) -> int:
    return int(line.told["etag"].strip('"'))


def utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
