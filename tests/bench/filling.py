"""Appointments by the thousand, straight into the database: as if they had been booked, in seconds.

Claims, seals, history and events are all there, so `clinic check` finds nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select

from appointment.domain import buckets
from appointment.models import Appointment, Change, Claim, Outbox
from config.clock import utc_now
from config.encryption import Vault
from schemas.events import envelope

BATCH = 2000
BOOKED = "booked"


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
            _insert(connection, Claim, [row for one in numbered for row in _claims(*one)])
            _insert(connection, Change, [_change(*one, now) for one in numbered])
            _insert(connection, Outbox, [_event(*one, now) for one in numbered])
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


def _appointment(number: int, visit: Visit, vault: Vault, now: datetime) -> dict[str, Any]:
    place = {"table": "appointment", "column": "description_sealed", "row": number}
    return {
        "id": number, "patient_id": visit.patient_id, "doctor_id": visit.doctor_id,
        "starts_at": visit.start, "ends_at": visit.end, "duration_minutes": visit.minutes,
        "description_sealed": vault.seal("Check-up", **place), "status": BOOKED,
        "uncovered": False, "schedule_version": 0, "version": 1, "sequence": 1,
        "created_at": now, "updated_at": now,
    }


def _claims(number: int, visit: Visit) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "resource_id": party, "bucket": bucket, "appointment_id": number}
        for kind, party in (("D", visit.doctor_id), ("P", visit.patient_id))
        for bucket in buckets(visit.start, visit.end)
    ]


def _change(number: int, visit: Visit, now: datetime) -> dict[str, Any]:
    return {
        "appointment_id": number, "at": now, "what": "scheduled", "actor_role": "staff",
        "actor_account": 1, "doctor_id": visit.doctor_id, "starts_at": visit.start,
        "ends_at": visit.end, "status": BOOKED, "version": 1,
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
