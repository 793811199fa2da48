"""The events: CloudEvents 1.0 envelopes whose data holds ids, times and status words only."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, fields
from marshmallow.validate import Equal, OneOf

from schemas.errors import InvalidInput
from schemas.fields import Identifier, Instant, WholeNumber
from schemas.loading import load

NAMES: Mapping[str, tuple[str, ...]] = {
    "patient": ("registered", "updated", "erased"),
    "doctor": ("registered", "updated", "schedule_changed", "time_off_changed"),
    "appointment": (
        "scheduled",
        "rescheduled",
        "cancelled",
        "status_changed",
        "uncovered",
        "covered",
        "reminder_due",
    ),
}


class PatientEventData(Schema):
    patient_id = Identifier(required=True, data_key="patientId")


class DoctorEventData(Schema):
    """``scheduleVersion`` is told of changes of the timetable: it counts them."""

    doctor_id = Identifier(required=True, data_key="doctorId")
    schedule_version = WholeNumber(least=0, most=2**63 - 1, data_key="scheduleVersion")


class AppointmentEventData(Schema):
    """The ``previous...`` ones are told of what was moved, ``minutesBefore`` of reminders: which of
    them it is."""

    appointment_id = Identifier(required=True, data_key="appointmentId")
    patient_id = Identifier(required=True, data_key="patientId")
    doctor_id = Identifier(required=True, data_key="doctorId")
    start = Instant(required=True)
    end = Instant(required=True)
    status = fields.String(required=True)
    previous_start = Instant(data_key="previousStart")
    previous_end = Instant(data_key="previousEnd")
    previous_doctor_id = Identifier(data_key="previousDoctorId")
    minutes_before = WholeNumber(least=1, most=2**31 - 1, data_key="minutesBefore")


DATA: Mapping[str, type[Schema]] = {
    "patient": PatientEventData,
    "doctor": DoctorEventData,
    "appointment": AppointmentEventData,
}


class EventSchema(Schema):
    """The envelope (CloudEvents 1.0, JSON format); ``sequence`` counts up per subject from 1."""

    specversion = fields.String(required=True, validate=Equal("1.0"))
    id = fields.UUID(required=True)
    source = fields.String(required=True, validate=OneOf([f"/{name}" for name in NAMES]))
    type = fields.String(
        required=True,
        validate=OneOf([f"{source}.{name}" for source, names in NAMES.items() for name in names]),
    )
    subject = fields.String(required=True)
    time = Instant(required=True)
    datacontenttype = fields.String(required=True, validate=Equal("application/json"))
    sequence = WholeNumber(required=True, least=1, most=2**63 - 1)
    correlationid = fields.String(required=True)
    data = fields.Dict(required=True)


# Made once: it takes longer than to write one event by them.
_ENVELOPE = EventSchema()
_TOLD = {source: schema() for source, schema in DATA.items()}


def envelope(
    *,
    source: str,
    name: str,
    subject: int,
    sequence: int,
    time: datetime,
    correlation_id: str,
    data: Mapping[str, Any],
) -> dict[str, Any]:
    """A new event of the service ``source`` about its record ``subject``.

    ``data`` is given by attribute name (``patient_id``) and leaves as the source's schema says.
    """
    return _ENVELOPE.dump({
        "specversion": "1.0",
        "id": uuid.uuid4(),
        "source": f"/{source}",
        "type": f"{source}.{name}",
        "subject": str(subject),
        "time": time,
        "datacontenttype": "application/json",
        "sequence": sequence,
        "correlationid": correlation_id,
        "data": _TOLD[source].dump(data),
    })


def read_event(event: object, *, source: str, name: str) -> dict[str, Any]:
    """The data of an event, by attribute name (``patient_id``), for who reacts to it.

    Members that are not known here are passed over: a newer publisher may have added them.

    :raises InvalidInput: when it is no event, or another one.
    """
    told = load(EventSchema(unknown=EXCLUDE), event)
    if told["type"] != f"{source}.{name}":
        raise InvalidInput({"type": f"Must be {source}.{name}."})
    if told["source"] != f"/{source}":
        raise InvalidInput({"source": f"Must be /{source}."})
    return load(DATA[source](unknown=EXCLUDE), told["data"])
