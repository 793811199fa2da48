"""Appointments by the thousand, straight into the database: as if they had been booked, in seconds.

Claims, seals, history and events are all there, so `clinic check` finds nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select, text

from appointment.domain import buckets
from appointment.models import Appointment, Outbox
from config.clock import utc_now
from config.encryption import Vault
from schemas.events import envelope

BATCH = 2000
BOOKED = "booked"
# A column's seconds since 1970, by database.
SECONDS = {
    "mysql": "TIMESTAMPDIFF(SECOND, '1970-01-01', {})",
    "sqlite": "CAST(strftime('%s', {}) AS INTEGER)",
}
# In the order of the key, as bookings write them.
CLAIMS = """
INSERT INTO claim (kind, resource_id, bucket, appointment_id)
SELECT kind, CASE kind WHEN 'D' THEN doctor_id ELSE patient_id END, first_bucket + n, id
FROM (
    SELECT id, doctor_id, patient_id,
        (opens - opens % 300) / 300 AS first_bucket,
        (close + 299 - (close + 299) % 300) / 300 AS end_bucket
    FROM (
        SELECT id, doctor_id, patient_id, {opens} AS opens, {close} AS close
        FROM appointment WHERE id BETWEEN :first AND :last
    ) AS timed
) AS booked
JOIN (SELECT 'D' AS kind UNION ALL SELECT 'P') AS kinds
JOIN ({numbers}) AS numbers ON first_bucket + n < end_bucket
ORDER BY 1, 2, 3
"""
HISTORY = """
INSERT INTO history (
    appointment_id, at, what, actor_role, actor_account, doctor_id, starts_at, ends_at, status,
    version
)
SELECT id, created_at, 'scheduled', 'staff', 1, doctor_id, starts_at, ends_at, status, version
FROM appointment WHERE id BETWEEN :first AND :last ORDER BY id
"""


@dataclass(frozen=True)
class Visit:
    doctor_id: int
    patient_id: int
    start: datetime
    minutes: int = 30

    @property
    def end(self) -> datetime:
        return self.start + timedelta(minutes=self.minutes)


def store(
    engine: Engine,
    vault: Vault,
    visits: Iterable[Visit],
    *,
    tell: Callable[[int], None] = lambda stored: None,
) -> int:
    """How many were stored; nobody else may write meanwhile, since ids are given out here."""
    with engine.connect() as connection:
        last = connection.scalar(select(func.max(Appointment.id))) or 0
    stored, now = 0, utc_now()
    for batch in _batches(visits, BATCH):
        numbered = list(enumerate(batch, last + stored + 1))
        with engine.begin() as connection:
            _insert(connection, Appointment, [_appointment(*one, vault, now) for one in numbered])
            _insert(connection, Outbox, [_event(*one, now) for one in numbered])
            _follow(connection, numbered)
        stored += len(numbered)
        tell(stored)
    return stored


def _batches(visits: Iterable[Visit], size: int) -> Iterator[list[Visit]]:
    waiting = iter(visits)
    while batch := list(islice(waiting, size)):
        yield batch


def _insert(connection: Connection, model: Any, rows: Sequence[dict[str, Any]]) -> None:
    table: Table = model.__table__
    for first in range(0, len(rows), BATCH):
        connection.execute(insert(table), rows[first:first + BATCH])


def _follow(connection: Connection, numbered: Sequence[tuple[int, Visit]]) -> None:
    """What the rows of the appointments tell already; made by the database, it takes a tenth."""
    (first, _), (last, _) = numbered[0], numbered[-1]
    most = max(len(buckets(visit.start, visit.end)) for _, visit in numbered)
    numbers = " UNION ALL ".join(f"SELECT {number} AS n" for number in range(most))
    seconds = SECONDS[connection.dialect.name].format
    claims = CLAIMS.format(numbers=numbers, opens=seconds("starts_at"), close=seconds("ends_at"))
    for statement in (claims, HISTORY):
        connection.execute(text(statement), {"first": first, "last": last})


def _appointment(number: int, visit: Visit, vault: Vault, now: datetime) -> dict[str, Any]:
    place = {"table": "appointment", "column": "description_sealed", "row": number}
    return {
        "id": number, "patient_id": visit.patient_id, "doctor_id": visit.doctor_id,
        "starts_at": visit.start, "ends_at": visit.end, "duration_minutes": visit.minutes,
        "description_sealed": vault.seal("Check-up", **place), "status": BOOKED,
        "uncovered": False, "schedule_version": 0, "version": 1, "sequence": 1,
        "created_at": now, "updated_at": now,
    }


def _event(number: int, visit: Visit, now: datetime) -> dict[str, Any]:
    told = envelope(
        source="appointment", name="scheduled", subject=number, sequence=1, time=now,
        correlation_id="filling",
        data={
            "appointment_id": number, "patient_id": visit.patient_id,
            "doctor_id": visit.doctor_id, "start": visit.start, "end": visit.end,
            "status": BOOKED,
        },
    )
    return {
        "id": told["id"], "name": "scheduled", "subject": told["subject"],
        "sequence": 1, "body": json.dumps(told), "published_at": now,
    }
