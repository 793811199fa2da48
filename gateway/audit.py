"""Every request for personal data, and what became of it, on record before the answer leaves."""

from collections.abc import Mapping

from config.audit.chain import Entry
from config.clock import utc_now
from gateway.visit import Visit

# Which part of an address names a record, and what kind of record that is.
KINDS = {"patient_id": "patient", "doctor_id": "doctor", "appointment_id": "appointment",
         "account_id": "account"}


def record(visit: Visit, *, action: str, ids: Mapping[str, int], outcome: int) -> None:
    """:raises NotRecorded: then there may be no answer either."""
    entry = Entry(
        at=utc_now(),
        actor_role=visit.caller.role,
        actor_account=visit.caller.account,
        action=action,
        resource=_named(ids),
        subject=visit.concerns or _named({k: v for k, v in ids.items() if k == "patient_id"}),
        outcome=str(outcome),
        correlation_id=visit.correlation,
    )
    visit.office.trail.record(entry, seconds=max(visit.seconds_left, MIN_SECONDS))


def _named(ids: Mapping[str, int]) -> str | None:
    return next((f"{KINDS[name]}/{value}" for name, value in ids.items() if name in KINDS), None)


# A request that used up its time still deserves its line.
MIN_SECONDS = 1.0
