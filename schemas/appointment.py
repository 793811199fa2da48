"""Appointments as they appear in HTTP bodies and RPC values (camelCase)."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import Schema, ValidationError, validates_schema
from marshmallow.fields import Boolean, Field, String
from marshmallow.validate import OneOf

from schemas.errors import InvalidInput
from schemas.fields import Identifier, Instant, Moment, Text, WholeNumber
from schemas.local_time import has_offset, instant_of
from schemas.paging import limit_field
from schemas.statuses import STATUSES

LONGEST_REASON = 500
LONGEST_MINUTES = 480
_DIGITS = re.compile(r"[0-9]{1,19}")


class AppointmentSchema(Schema):
    """``date`` without an offset is local time in the doctor's time zone; ``version`` counts the
    changes of the record, in HTTP it is the ETag."""

    id = Identifier(dump_only=True)
    patient_id = Identifier(required=True, data_key="patientId")
    doctor_id = Identifier(required=True, data_key="doctorId")
    starts_at = Instant(required=True, data_key="date")
    ends_at = Instant(dump_only=True, data_key="end")
    duration_minutes = WholeNumber(
        least=5,
        most=LONGEST_MINUTES,
        step=5,
        load_default=None,
        allow_none=True,
        data_key="durationMinutes",
    )
    description = Text(longest=2000, lines=True, required=True)
    status = String(dump_only=True)
    cancel_reason = String(dump_only=True, data_key="cancelReason")
    uncovered = Boolean(dump_only=True)
    created_at = Instant(dump_only=True, data_key="createdAt")
    updated_at = Instant(dump_only=True, data_key="updatedAt")
    version = WholeNumber(dump_only=True, least=1, most=2**31 - 1)


class RescheduleSchema(Schema):
    """What is to change; what is left out stays."""

    starts_at = Instant(data_key="date")
    doctor_id = Identifier(data_key="doctorId")
    duration_minutes = WholeNumber(
        least=5, most=LONGEST_MINUTES, step=5, data_key="durationMinutes"
    )
    description = Text(longest=2000, lines=True)

    @validates_schema(skip_on_field_errors=True)
    def changes_something(self, changes: Mapping[str, Any], **kwargs: Any) -> None:
        if not changes:
            raise ValidationError("Must change something.", "body")


class StatusSchema(Schema):
    status = String(required=True, validate=OneOf(STATUSES))


class Place(Field[tuple[datetime, int]]):
    """Where a page of appointments ends: start and id of its last one, as two texts."""

    def _deserialize(
        self, value: Any, attr: Any, data: Any, **kwargs: Any
    ) -> tuple[datetime, int]:
        try:
            start, number = value
            begins = Instant().deserialize(start)
            if not _DIGITS.fullmatch(number):
                raise ValidationError("Must be digits.")
            place = begins, Identifier().deserialize(int(number))
        except (TypeError, ValueError, ValidationError) as refused:
            raise ValidationError("Must be the next of the page before.") from refused
        if begins.tzinfo is None:
            raise ValidationError("Must be the next of the page before.")
        return place


class AppointmentQuerySchema(Schema):
    """Which appointments: those that start in ``[from, to)``; ``unresolved`` are over and still
    booked, ``uncovered`` ones the doctor's timetable has no room for any more.

    ``after`` is the ``next`` of the page before: start and id of its last appointment.
    """

    patient_id = Identifier(load_default=None, allow_none=True, data_key="patientId")
    doctor_id = Identifier(load_default=None, allow_none=True, data_key="doctorId")
    status = String(load_default=None, allow_none=True, validate=OneOf(STATUSES))
    since = Moment(load_default=None, allow_none=True, data_key="from")
    until = Moment(load_default=None, allow_none=True, data_key="to")
    unresolved = Boolean(load_default=False)
    uncovered = Boolean(load_default=False)
    limit = limit_field()
    after = Place(load_default=None, allow_none=True)


class ChangeSchema(Schema):
    """One line of an appointment's history: what it was from then on, and who made it so."""

    at = Instant()
    what = String()
    actor_role = String(data_key="actorRole")
    actor_account = Identifier(data_key="actorAccountId")
    doctor_id = Identifier(data_key="doctorId")
    starts_at = Instant(data_key="date")
    ends_at = Instant(data_key="end")
    status = String()
    version = WholeNumber(least=1, most=2**31 - 1)


def is_local(query: Mapping[str, Any]) -> bool:
    """Whether the loaded ``AppointmentQuerySchema`` names a time that is another one elsewhere."""
    ends = (query["since"], query["until"])
    return not all(has_offset(end) for end in ends if end is not None)


def in_utc(query: Mapping[str, Any], *, timezone: str) -> dict[str, Any]:
    """The loaded ``AppointmentQuerySchema`` with both ends of its period in UTC.

    :raises InvalidInput: for local times that a clock change skips, and an end before the start.
    """
    ends = {
        name: query[name] and instant_of(query[name], timezone=timezone, field=sent)
        for name, sent in (("since", "from"), ("until", "to"))
    }
    if ends["since"] and ends["until"] and ends["until"] < ends["since"]:
        raise InvalidInput({"to": "Must not be before from."})
    return {**query, **ends}
