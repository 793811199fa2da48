"""Everything stored about one patient, in all services, as one JSON document."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session as Transaction

from config.audit import reader
from config.audit.models import Record
from gateway.accounts import Accounts, Sessions
from gateway.visit import Visit
from schemas.accounts import PATIENT, AccountSchema, SessionSchema
from schemas.audit import AuditSchema
from schemas.fields import as_instant

BATCH = 500


def everything_about(visit: Visit, patient_id: int, *, now: datetime) -> dict[str, Any]:
    """:raises PatientNotFound, Unavailable: an export is whole, or there is none."""
    patient = visit.ask("patient", "export", patient_id).result()
    appointments = visit.ask("appointment", "export", patient_id).result()
    return {
        "exportedAt": as_instant(now),
        **patient,
        "appointments": appointments,
        "logins": visit.run(lambda transaction: _logins(transaction, patient_id)),
        "accessLog": visit.read_trail(lambda trail: list(_accesses(trail, patient_id))),
    }


def _logins(transaction: Transaction, patient_id: int) -> list[dict[str, Any]]:
    sessions = Sessions(transaction)
    return [
        AccountSchema().dump(account)
        | {"sessions": SessionSchema(many=True).dump(sessions.of(account.id))}
        for account in Accounts(transaction).of(PATIENT, patient_id)
    ]


def _accesses(trail: Transaction, patient_id: int) -> Iterator[dict[str, Any]]:
    rows: list[Record] = []
    while found := reader.find(
        trail,
        subject=f"patient/{patient_id}",
        before=rows[-1].position if rows else None,
        limit=BATCH,
    ):
        rows = found
        yield from AuditSchema(many=True).dump(rows)
