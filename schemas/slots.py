"""Questions about slots, and their answers, as they appear in HTTP and RPC."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from marshmallow import Schema, fields

from schemas.appointment import LONGEST_MINUTES
from schemas.bookability import Verdict
from schemas.errors import InvalidInput
from schemas.fields import Identifier, Instant, Moment, Text, WholeNumber
from schemas.local_time import instant_of
from schemas.paging import limit_field
from schemas.people import LONGEST_SPECIALITY
from schemas.schedule import PeriodSchema
from schemas.timetable import MINUTE, Period
from schemas.wall_clock import wall_time

LONGEST_DAYS = 31
DEFAULT_DAYS = 7


class SlotSchema(Schema):
    start = Instant(required=True)
    end = Instant(required=True)
    doctor_id = Identifier(required=True, data_key="doctorId")


class VerdictSchema(Schema):
    """``rule`` is the code of the error that a booking is refused with; the others are its bounds,
    see ``schemas.bookability.Verdict``."""

    code = fields.String(data_key="rule")
    passed = fields.Boolean()
    since = Instant()
    until = Instant()
    minutes = fields.Integer()


def duration_field() -> WholeNumber:
    return WholeNumber(
        least=5,
        most=LONGEST_MINUTES,
        step=5,
        load_default=None,
        allow_none=True,
        data_key="durationMinutes",
    )


class SlotsQuerySchema(Schema):
    """Which of a doctor's slots: dates, and instants without an offset, are in their time zone."""

    since = Moment(load_default=None, allow_none=True, data_key="from")
    until = Moment(load_default=None, allow_none=True, data_key="to")
    duration_minutes = duration_field()


class FreeSlotsQuerySchema(SlotsQuerySchema):
    """As asked of who does not know the appointments, so they come along, as ``busy``."""

    busy = fields.List(fields.Nested(PeriodSchema), load_default=None, allow_none=True)


class ExplainQuerySchema(Schema):
    start = Instant(required=True)
    duration_minutes = duration_field()


class FirstSlotsQuerySchema(Schema):
    """The earliest of all doctors, or of those of a speciality, compared without case; a date
    begins in each one's own zone."""

    speciality = Text(longest=LONGEST_SPECIALITY, load_default=None, allow_none=True)
    since = Moment(load_default=None, allow_none=True, data_key="from")
    duration_minutes = duration_field()
    limit = limit_field()


class Asked(NamedTuple):
    """A period as it was asked for, by its ends; what was left out is None."""

    since: date | datetime | None
    until: date | datetime | None


def period_of(asked: Asked, *, timezone: str, now: datetime) -> Period:
    """The period in UTC: from now on, and for a week, where it was not said.

    :raises InvalidInput: when it ends before it begins, or is longer than 31 days, on the wall and
        in time: where the clocks change, either of the two may be what was counted.
    """
    since = instant_of(asked.since or now, timezone=timezone, field="from")
    until = (
        instant_of(asked.until, timezone=timezone, field="to")
        if asked.until
        else _later(since, timedelta(days=DEFAULT_DAYS))
    )
    if until < since:
        raise InvalidInput({"to": "Must not be before from."})
    lasting = min(_on_the_wall(since, until, timezone), until - since)
    if lasting > timedelta(days=LONGEST_DAYS):
        raise InvalidInput({"to": f"Must be at most {LONGEST_DAYS} days after from."})
    return since, until


def slots(starts: Iterable[datetime], *, minutes: int, doctor_id: int) -> list[dict[str, Any]]:
    """The slots that begin at ``starts``, as JSON."""
    lasting = minutes * MINUTE
    return list(SlotSchema(many=True).dump([
        {"start": start, "end": start + lasting, "doctor_id": doctor_id} for start in starts
    ]))


def verdict(said: Verdict) -> Mapping[str, Any]:
    """A rule's verdict as JSON, without the bounds that it does not have."""
    told = VerdictSchema().dump(said)
    return {name: value for name, value in told.items() if value is not None}


def _on_the_wall(since: datetime, until: datetime, timezone: str) -> timedelta:
    try:
        return wall_time(until, ZoneInfo(timezone)) - wall_time(since, ZoneInfo(timezone))
    except OverflowError as far:
        raise InvalidInput({"to": "Is too far away."}) from far


def _later(since: datetime, step: timedelta) -> datetime:
    try:
        return since + step
    except OverflowError as far:
        raise InvalidInput({"from": "Is too far away."}) from far
