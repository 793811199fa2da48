"""Appointments as they appear in HTTP bodies and RPC values (camelCase)."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, validates_schema
from marshmallow.fields import Boolean, List, String
from marshmallow.validate import OneOf

from schemas.fields import Identifier, Instant, Moment, Text, WholeNumber

LONGEST_REASON = 500

# The words of FHIR's AppointmentStatus that are used here.
BOOKED, ARRIVED, FULFILLED = "booked", "arrived", "fulfilled"
CANCELLED, NOSHOW = "cancelled", "noshow"
STATUSES = (BOOKED, ARRIVED, FULFILLED, CANCELLED, NOSHOW)


class AppointmentSchema(Schema):
    """``date`` without an offset is local time in the doctor's time zone; ``version`` counts the
    changes of the record, in HTTP it is the ETag."""

    id = Identifier(dump_only=True)
    patient_id = Identifier(required=True, data_key="patientId")
    doctor_id = Identifier(required=True, data_key="doctorId")
    starts_at = Instant(required=True, data_key="date")
    ends_at = Instant(dump_only=True, data_key="end")
    duration_minutes = WholeNumber(
        least=5, most=480, step=5, load_default=None, allow_none=True, data_key="durationMinutes"
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
    duration_minutes = WholeNumber(least=5, most=480, step=5, data_key="durationMinutes")
    description = Text(longest=2000, lines=True)

    @validates_schema(skip_on_field_errors=True)
    def changes_something(self, changes: Mapping[str, Any], **kwargs: Any) -> None:
        if not changes:
            raise ValidationError("Must change something.", "body")


class StatusSchema(Schema):
    status = String(required=True, validate=OneOf(STATUSES))


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
    limit = WholeNumber(least=1, most=100, load_default=20)
    after = List(String(), load_default=None, allow_none=True)


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
