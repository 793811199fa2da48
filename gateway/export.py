"""Everything stored about one patient, in all services, as one JSON document."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session as Transaction

from config.audit import reader
from gateway.accounts import Accounts, FamiliarAddresses, Sessions
from gateway.paging import page_body
from gateway.versions import bare
from gateway.visit import Visit
from schemas.accounts import PATIENT, AccountSchema, SessionSchema
from schemas.audit import AuditSchema
from schemas.fields import as_instant

# As many lines of the access log as an export holds; its cursor leads on to the older ones.
NEWEST = 1000


def everything_about(visit: Visit, patient_id: int, *, now: datetime) -> dict[str, Any]:
    """Whole, but for lines of the access log before the newest ``NEWEST``: a cursor leads on to
    those.

    :raises PatientNotFound, Unavailable:
    """
    person = visit.ask("patient", "export", patient_id).result()
    appointments = visit.ask("appointment", "export", patient_id).result()
    return {
        "exportedAt": as_instant(now),
        **person,
        "patient": bare(person["patient"]),
        "appointments": [bare(each) for each in appointments],
        "logins": visit.run(lambda transaction: _logins(transaction, patient_id)),
        "accessLog": visit.read_trail(lambda trail: _access_log(trail, patient_id)),
    }


def _logins(transaction: Transaction, patient_id: int) -> list[dict[str, Any]]:
    sessions, addresses = Sessions(transaction), FamiliarAddresses(transaction)
    return [
        AccountSchema().dump(account)
        | {"sessions": SessionSchema(many=True).dump(sessions.of(account.id))}
        | {"addressesSeenAt": [as_instant(seen) for seen in addresses.seen(account.id)]}
        for account in Accounts(transaction).of(PATIENT, patient_id)
    ]


def _access_log(trail: Transaction, patient_id: int) -> dict[str, Any]:
    found = reader.find(trail, subject=f"{PATIENT}/{patient_id}", limit=NEWEST + 1)
    shown = found[:NEWEST]
    further = shown[-1].position if len(found) > len(shown) else None
    return page_body(
        AuditSchema(many=True).dump(shown),
        following=further,
        path=f"/patients/{patient_id}/access-log",
    )
