"""Times off of a doctor, with the appointments that they affect: each is known to another service.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session as Transaction

from gateway.visit import Visit
from schemas.loading import load
from schemas.schedule import TimeOffSchema

# So many ids fit into a kept answer, of which a replay may need them.
MOST_KEPT = 2000


def take_off(visit: Visit, doctor_id: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    """:raises InvalidInput, DoctorNotFound, Unavailable: and nothing is stored, unless it was the
        doctor service that did not answer in time."""
    # Before it is kept: half a character, for one, cannot be.
    load(TimeOffSchema(), asked)

    def prepare() -> dict[str, Any]:
        # First, since it may not be possible; what is stored then, is stored with an answer.
        planned = preview(visit, doctor_id, asked)
        # Sent again with the same key, the doctor service answers what it answered before.
        taken = visit.ask("doctor", "add_time_off", doctor_id, asked).result()
        return {**taken, "affected": planned["affected"]}

    def keep(transaction: Transaction, shown: dict[str, Any]) -> dict[str, Any]:
        # Not by itself: its id would be taken for an account's.
        return {"timeOff": shown if len(shown["affected"]) <= MOST_KEPT else _shortened(shown)}

    kept: dict[str, Any] = visit.run_once(prepare, ("time off", doctor_id, asked), keep)["timeOff"]
    if "affected" in kept:
        return kept
    replayed = visit.replayed
    (shown,) = with_affected(visit, doctor_id, [kept])
    visit.replayed = replayed
    return shown


def preview(visit: Visit, doctor_id: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What ``take_off`` would answer; the id is None.

    :raises InvalidInput, DoctorNotFound, Unavailable:
    """
    planned = visit.ask("doctor", "preview_time_off", doctor_id, asked).result()
    (shown,) = with_affected(visit, doctor_id, [planned])
    return shown


def with_affected(
    visit: Visit, doctor_id: int, times_off: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each with the ids of the booked appointments that it overlaps."""
    periods = [{"start": each["start"], "end": each["end"]} for each in times_off]
    affected = visit.ask("appointment", "affected", doctor_id, periods).result() if periods else []
    return [{**each, "affected": ids} for each, ids in zip(times_off, affected, strict=True)]


def _shortened(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name != "affected"}
