"""Who would meet, and what is said of them: what an appointment is judged by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from schemas.errors import NotBookable, PatientBusy, SlotTaken, UnknownDoctor, UnknownPatient
from schemas.schedule import timetable_of
from schemas.timetable import Timetable

# The services that speak for them.
PATIENT, DOCTOR = "patient", "doctor"
# Of how many doctors a process has the timetable at hand, read already.
AT_HAND = 128


class Hours(NamedTuple):
    """A doctor's timetable, and how often it had changed."""

    doctor_id: int
    version: int
    timetable: Timetable


@dataclass(frozen=True, kw_only=True)
class Parties:
    """What their own services said of them: now, or earlier, and it was kept.

    :param availability: the doctor service's, as JSON; None when it knows no such doctor.
    :param open: the services that must be asked before any of this counts.
    :param told: those that were asked for this appointment, no earlier than ``told_at``.
    :param unanswered: whether the doctor's was asked for it, and did not answer.
    """

    patient_id: int
    doctor_id: int
    patient_known: bool
    availability: str | None
    open: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    told_at: datetime | None = None
    unanswered: bool = False

    @property
    def kept(self) -> bool:
        """Whether the timetable is one of earlier, and may have changed since."""
        return DOCTOR not in self.told

    @property
    def final(self) -> tuple[type[NotBookable], ...]:
        """With what an appointment can be refused, without asking for the timetable again."""
        if not self.kept:
            return (NotBookable,)
        if not self.unanswered:
            return ()
        # No timetable makes room for two at once; the gap between them is one of its rules.
        return (PatientBusy,) if self.timetable.gap else (SlotTaken, PatientBusy)

    @property
    def timetable(self) -> Timetable:
        """The doctor's.

        :raises UnknownPatient, UnknownDoctor:
        """
        return self._hours.timetable

    @property
    def schedule_version(self) -> int:
        """As ``timetable``: how often it had changed."""
        return self._hours.version

    @cached_property
    def _hours(self) -> Hours:
        if not self.patient_known:
            raise UnknownPatient(self.patient_id)
        if self.availability is None:
            raise UnknownDoctor(self.doctor_id)
        return hours_of(self.availability)


@lru_cache(maxsize=AT_HAND)
def hours_of(availability: str) -> Hours:
    """What the JSON text of ``AvailabilitySchema`` says; reading it takes longer than a query.

    :raises ValueError, ValidationError: when it says no such thing.
    """
    told = json.loads(availability)
    timetable = timetable_of(told)
    return Hours(told["doctorId"], told["scheduleVersion"], timetable)


def as_text(availability: Mapping[str, Any]) -> str:
    """As it is kept: the same text for the same timetable."""
    return json.dumps(availability, sort_keys=True, separators=(",", ":"))
