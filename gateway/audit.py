"""Every request for personal data, and what became of it, on record before the answer leaves."""

from collections.abc import Mapping, Sequence

from config.audit.chain import Entry
from config.clock import utc_now
from gateway.visit import ACCOUNT, Visit
from schemas.accounts import DOCTOR, PATIENT

# A request that used up its time still deserves its line.
MIN_SECONDS = 0.25
# Which part of an address names a record, and what kind of record that is.
PEOPLE = {"patient_id": PATIENT, "doctor_id": DOCTOR}
KINDS = {**PEOPLE, "appointment_id": "appointment", "account_id": ACCOUNT}


def record(visit: Visit, *, action: str, ids: Mapping[str, int], outcome: int) -> None:
    """A line for each whose data it was; one for nobody in particular.

    :raises NotRecorded: then there may be no answer either.
    """
    now, resource = utc_now(), _named(ids)
    addressed = _named({name: ids[name] for name in ids if name in PEOPLE})
    whose: Sequence[str | None] = visit.concerns or [addressed]
    entries = [
        Entry(
            at=now,
            actor_role=visit.caller.role,
            actor_account=visit.caller.account,
            action=action,
            resource=resource,
            subject=subject,
            outcome=str(outcome),
            correlation_id=visit.correlation,
        )
        for subject in whose
    ]
    visit.office.trail.record(*entries, seconds=max(visit.seconds_left, MIN_SECONDS))


def _named(ids: Mapping[str, int]) -> str | None:
    return next((f"{KINDS[name]}/{value}" for name, value in ids.items() if name in KINDS), None)
