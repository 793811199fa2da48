"""What is stored of doctors as the JSON that is told of it, and times of theirs in UTC."""

from collections.abc import Mapping
from typing import Any

from config.encryption import Opened
from doctor.models import Doctor
from doctor.timetables import Hours
from schemas.loading import load
from schemas.local_time import instant_of
from schemas.people import DoctorSchema
from schemas.schedule import AvailabilitySchema, ScheduleSchema, TimeOffSchema

# Made once: it takes longer than to read one record by it.
_DOCTOR = DoctorSchema()
# The schedule is JSON already.
_AVAILABILITY = AvailabilitySchema(exclude=("schedule",))


def doctor_json(doctor: Doctor | Opened) -> dict[str, Any]:
    return dict(_DOCTOR.dump(doctor))


def hours_json(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """The loaded fields of a schedule as they are stored: without the time zone."""
    return dict(ScheduleSchema(exclude=("timezone",)).dump(schedule))


def schedule_json(hours: Hours) -> dict[str, Any]:
    """Where no schedule was ever set: ``weekly: null`` beside what is the default."""
    none = hours_json(load(ScheduleSchema(), {"weekly": []})) | {"weekly": None}
    return {"timezone": hours.timezone, **(hours.schedule or none), "version": hours.version}


def time_off_json(time_off: object) -> dict[str, Any]:
    return dict(TimeOffSchema().dump(time_off))


def availability_json(availability: Mapping[str, Any]) -> dict[str, Any]:
    told = _AVAILABILITY.dump(availability)
    return dict(told) | {"schedule": availability["schedule"]}


def in_utc(time_off: Mapping[str, Any], *, timezone: str) -> dict[str, Any]:
    """The loaded fields of a time off; without an offset they are local time there.

    :raises InvalidInput: for local times that a clock change skips.
    """
    start = instant_of(time_off["starts_at"], timezone=timezone, field="start")
    end = instant_of(time_off["ends_at"], timezone=timezone, field="end")
    return {"starts_at": start, "ends_at": end, "reason": time_off["reason"]}
