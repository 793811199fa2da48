"""What `clinic check` looks at here: nobody is double-booked, and the claims say the same.

Worked out by the database from the stored periods, apart from the code that books.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, aliased
from sqlalchemy.sql.functions import FunctionElement

from appointment.domain import BUCKET
from appointment.models import Appointment, Claim
from config.findings import Check, Rows, counting, finds
from schemas.statuses import CANCELLED

MICROSECOND = timedelta(microseconds=1)
BUCKET_MICROSECONDS = BUCKET // MICROSECOND
DOCTOR, PATIENT = "D", "P"
ACTIVE = Appointment.status != CANCELLED


def checks() -> list[Check]:
    active, claims = counting(Appointment, ACTIVE), counting(Claim)
    return [
        _apart("doctor", Appointment.doctor_id, active),
        _apart("patient", Appointment.patient_id, active),
        _claimed("doctor", DOCTOR, Appointment.doctor_id, active),
        _claimed("patient", PATIENT, Appointment.patient_id, active),
        Check("each claim is of an active appointment's time", "claims", claims, finds(
            _orphans(), "claim {kind} {resource_id} {bucket}: not of appointment {appointment_id}"
        )),
    ]


def _apart(who: str, party: InstrumentedAttribute[int], active: Select[int]) -> Check:
    text = f"appointments {{id}} and {{next_id}} of {who} {{party}} overlap"
    return Check(f"no two of a {who} overlap", "active appointments", active, finds(
        _overlapping(party), text
    ))


def _overlapping(party: InstrumentedAttribute[int]) -> Rows:
    """Those that have not ended when the next one begins. That finds out any two that overlap: what
    comes between them begins no later than the second of them."""
    order: dict[str, Any] = {
        "partition_by": party, "order_by": (Appointment.starts_at, Appointment.id)
    }
    ordered = (
        select(
            Appointment.id,
            party.label("party"),
            Appointment.ends_at,
            func.lead(Appointment.id).over(**order).label("next_id"),
            func.lead(Appointment.starts_at).over(**order).label("next_starts_at"),
        )
        .where(ACTIVE)
        .subquery()
    )
    return select(ordered.c.id, ordered.c.next_id, ordered.c.party).where(
        ordered.c.ends_at > ordered.c.next_starts_at
    )


def _claimed(who: str, kind: str, party: InstrumentedAttribute[int], active: Select[int]) -> Check:
    text = f"appointment {{id}}: {{held}} of {{needed}} claims of {who} {{party}}"
    title = f"the {who}'s time is claimed by each"
    return Check(title, "active appointments", active, finds(_unclaimed(kind, party), text))


def _unclaimed(kind: str, party: InstrumentedAttribute[int]) -> Rows:
    """Those that do not hold each bucket they touch; by the primary key none is held twice."""
    rightful = and_(Claim.kind == kind, Claim.resource_id == party, _within(Claim.bucket))
    # Counted, not filtered: so the few claims of each appointment are read, by their index, and
    # not all those of the doctor.
    held = (
        select(func.count(case((rightful, 1))))
        .where(Claim.appointment_id == Appointment.id)
        .correlate(Appointment)
        .scalar_subquery()
    )
    needed = bucket_after(Appointment.ends_at) - bucket_of(Appointment.starts_at)
    return select(
        Appointment.id, party.label("party"), held.label("held"), needed.label("needed")
    ).where(ACTIVE, held != needed)


def _orphans() -> Rows:
    owner = aliased(Appointment)
    rightful = and_(
        owner.id == Claim.appointment_id,
        owner.status != CANCELLED,
        or_(
            and_(Claim.kind == DOCTOR, Claim.resource_id == owner.doctor_id),
            and_(Claim.kind == PATIENT, Claim.resource_id == owner.patient_id),
        ),
        Claim.bucket >= bucket_of(owner.starts_at),
        Claim.bucket < bucket_after(owner.ends_at),
    )
    return select(Claim.kind, Claim.resource_id, Claim.bucket, Claim.appointment_id).outerjoin(
        owner, rightful
    ).where(owner.id.is_(None))


def _within(bucket: InstrumentedAttribute[int]) -> ColumnElement[bool]:
    return and_(
        bucket >= bucket_of(Appointment.starts_at), bucket < bucket_after(Appointment.ends_at)
    )


class _BucketsUntil(FunctionElement[int]):
    """How many whole buckets have passed since 1970, once ``extra`` microseconds are added."""

    inherit_cache = True
    type = Integer()


def bucket_of(instant: Any) -> ColumnElement[int]:
    """The bucket that ``instant`` lies in."""
    return _BucketsUntil(instant, literal_column("0"))


def bucket_after(instant: Any) -> ColumnElement[int]:
    """The first bucket that a period which ends at ``instant`` does not touch."""
    return _BucketsUntil(instant, literal_column(str(BUCKET_MICROSECONDS - 1)))


@compiles(_BucketsUntil, "mysql")
@compiles(_BucketsUntil, "mariadb")
def _in_mysql(element: _BucketsUntil, compiler: Any, **options: Any) -> str:
    instant, extra = (compiler.process(each, **options) for each in element.clauses)
    since = f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {instant})"
    # Not by "/": its result is rounded, and up to the next bucket when it is close.
    return f"(({since} + {extra}) DIV {BUCKET_MICROSECONDS})"


@compiles(_BucketsUntil, "sqlite")
def _in_sqlite(element: _BucketsUntil, compiler: Any, **options: Any) -> str:
    instant, extra = (compiler.process(each, **options) for each in element.clauses)
    # SQLite's own reading of a time knows milliseconds only.
    seconds = f"CAST(strftime('%s', substr({instant}, 1, 19)) AS INTEGER)"
    since = f"({seconds} * 1000000 + CAST(substr({instant}, 21, 6) AS INTEGER))"
    return f"(({since} + {extra}) / {BUCKET_MICROSECONDS})"
