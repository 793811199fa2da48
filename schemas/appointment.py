"""Appointments as they appear in HTTP bodies and RPC values (camelCase)."""

from marshmallow import Schema
from marshmallow.fields import Boolean, String

from schemas.fields import Identifier, Instant, Text, WholeNumber

LONGEST_REASON = 500


class AppointmentSchema(Schema):
    """``date`` without an offset is local time in the doctor's time zone; ``status`` is a word of
    FHIR's AppointmentStatus."""

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
