"""Schedules and time off as they appear in HTTP bodies and RPC values, and the timetable that they
make together."""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema
from marshmallow.validate import OneOf

from schemas.appointment import LONGEST_MINUTES, LONGEST_REASON
from schemas.fields import Day, Identifier, Instant, Text, Timezone, WholeNumber
from schemas.loading import load
from schemas.timetable import DEFAULT_MINUTES, Period, Timetable, Window, overlapping_windows

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GRID_MINUTES = 5
# A schedule is stored as one text, and told whole whenever the doctor is to be booked.
MOST_WINDOWS, MOST_EXCEPTIONS, MOST_EXCEPTION_WINDOWS = 100, 400, 800
MOST_PERIODS = 100
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][05])|24:00")


class ClockTime(fields.Field[int]):
    """``HH:MM`` on the wall clock, a multiple of 5 minutes, as minutes since midnight; ``24:00`` is
    the midnight that ends the day."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> int:
        if not isinstance(value, str) or not _CLOCK.fullmatch(value):
            raise ValidationError("Must be a time such as 09:00, in steps of 5 minutes.")
        hours, minutes = value.split(":")
        return int(hours) * 60 + int(minutes)

    def _serialize(self, value: int | None, attr: Any, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else f"{value // 60:02}:{value % 60:02}"


class UpTo(fields.List[Any]):
    """A list of at most ``most``; into a longer one nobody looks."""

    def __init__(self, most: int, inner: fields.Field[Any], **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self.most = most

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list) and len(value) > self.most:
            raise ValidationError(f"Must have at most {self.most}.")
        return super()._deserialize(value, attr, data, **kwargs)


class WindowSchema(Schema):
    start = ClockTime(required=True)
    end = ClockTime(required=True)

    @validates_schema(skip_on_field_errors=True)
    def starts_before_it_ends(self, window: Mapping[str, Any], **kwargs: Any) -> None:
        if window["start"] >= window["end"]:
            raise ValidationError("Must be after the start.", "end")


class WeeklyWindowSchema(WindowSchema):
    day = fields.String(required=True, validate=OneOf(DAYS))


class ExceptionSchema(Schema):
    """A date on which other hours than the weekly ones hold; without windows, none."""

    date = Day(required=True)
    windows = UpTo(MOST_WINDOWS, fields.Nested(WindowSchema), required=True)

    @validates_schema(skip_on_field_errors=True)
    def windows_do_not_overlap(self, exception: Mapping[str, Any], **kwargs: Any) -> None:
        _refuse_overlaps("windows", _overlapping(exception["windows"]))


class ScheduleSchema(Schema):
    """The contract's schedule; ``timezone`` is the doctor's, who gets the one that is sent.

    A doctor without a schedule has ``weekly`` null.
    """

    timezone = Timezone(load_default=None, allow_none=True)
    slot_minutes = WholeNumber(
        least=5,
        most=LONGEST_MINUTES,
        step=GRID_MINUTES,
        load_default=DEFAULT_MINUTES,
        data_key="slotMinutes",
    )
    weekly = UpTo(MOST_WINDOWS, fields.Nested(WeeklyWindowSchema), required=True)
    exceptions = UpTo(MOST_EXCEPTIONS, fields.Nested(ExceptionSchema), load_default=list)
    min_notice_minutes = WholeNumber(
        least=0, most=60 * 24 * 365, load_default=0, data_key="minNoticeMinutes"
    )
    max_days_ahead = WholeNumber(
        least=0, most=3650, load_default=365, data_key="maxDaysAhead"
    )
    buffer_minutes = WholeNumber(
        least=0, most=240, step=GRID_MINUTES, load_default=0, data_key="bufferMinutes"
    )

    @validates_schema(skip_on_field_errors=True)
    def is_of_a_sane_size(self, schedule: Mapping[str, Any], **kwargs: Any) -> None:
        if sum(len(each["windows"]) for each in schedule["exceptions"]) > MOST_EXCEPTION_WINDOWS:
            told = f"Must have at most {MOST_EXCEPTION_WINDOWS} windows in all."
            raise ValidationError(told, "exceptions")

    @validates_schema(skip_on_field_errors=True)
    def windows_do_not_overlap(self, schedule: Mapping[str, Any], **kwargs: Any) -> None:
        windows = schedule["weekly"]
        days = ([n for n, each in enumerate(windows) if each["day"] == day] for day in DAYS)
        _refuse_overlaps("weekly", [
            mine[clash] for mine in days for clash in _overlapping([windows[n] for n in mine])
        ])

    @validates_schema(skip_on_field_errors=True)
    def each_date_comes_once(self, schedule: Mapping[str, Any], **kwargs: Any) -> None:
        dates = [each["date"] for each in schedule["exceptions"]]
        firsts = {day: position for position, day in reversed([*enumerate(dates)])}
        told = {
            position: {"date": ["Another exception has this date."]}
            for position, day in enumerate(dates)
            if position != firsts[day]
        }
        if told:
            raise ValidationError({"exceptions": told})


class TimeOffSchema(Schema):
    """``start`` and ``end`` without an offset are local time in the doctor's time zone."""

    id = Identifier(dump_only=True)
    starts_at = Instant(required=True, data_key="start")
    ends_at = Instant(required=True, data_key="end")
    reason = Text(longest=LONGEST_REASON, lines=True, load_default=None, allow_none=True)


class PeriodSchema(Schema):
    start = Instant(required=True)
    end = Instant(required=True)

    @validates_schema(skip_on_field_errors=True)
    def is_the_same_everywhere(self, period: Mapping[str, Any], **kwargs: Any) -> None:
        for name, moment in period.items():
            if moment.tzinfo is None:
                raise ValidationError("Must have an offset from UTC.", name)


class PeriodsSchema(Schema):
    periods = UpTo(MOST_PERIODS, fields.Nested(PeriodSchema), required=True)


class AvailabilitySchema(Schema):
    """When a doctor can be booked, as far as their own service knows: ``timeOff`` is what is not
    over yet, in the order of its start, and ``scheduleVersion`` counts the changes of it all."""

    doctor_id = Identifier(required=True, data_key="doctorId")
    schedule_version = WholeNumber(
        required=True, least=0, most=2**63 - 1, data_key="scheduleVersion"
    )
    timezone = Timezone(required=True)
    schedule = fields.Nested(ScheduleSchema, required=True, allow_none=True)
    time_off = fields.List(fields.Nested(PeriodSchema), required=True, data_key="timeOff")


def timetable_of(availability: Mapping[str, Any]) -> Timetable:
    """The timetable that the JSON of ``AvailabilitySchema`` tells."""
    told = AvailabilitySchema().load(availability)
    away = tuple((each["start"], each["end"]) for each in told["time_off"])
    return timetable(told["schedule"], timezone=told["timezone"], time_off=away)


def load_periods(periods: object) -> list[Period]:
    """From the JSON of periods.

    :raises InvalidInput:
    """
    told = load(PeriodsSchema(), {"periods": periods})["periods"]
    return [(each["start"], each["end"]) for each in told]


def timetable(
    schedule: Mapping[str, Any] | None, *, timezone: str, time_off: Sequence[Period] = ()
) -> Timetable:
    """From the loaded fields of a schedule, or from nothing where there is none."""
    if schedule is None:
        return Timetable(timezone, time_off=tuple(time_off))
    return Timetable(
        timezone,
        slot_minutes=schedule["slot_minutes"],
        weekly=_weekly(schedule["weekly"]),
        exceptions={each["date"]: _windows(each["windows"]) for each in schedule["exceptions"]},
        min_notice_minutes=schedule["min_notice_minutes"],
        max_days_ahead=schedule["max_days_ahead"],
        buffer_minutes=schedule["buffer_minutes"],
        time_off=tuple(time_off),
    )


def _weekly(windows: Sequence[Mapping[str, Any]]) -> dict[int, tuple[Window, ...]]:
    ordered = sorted(windows, key=lambda each: DAYS.index(each["day"]))
    grouped = groupby(ordered, key=lambda each: DAYS.index(each["day"]))
    return {day: _windows(list(mine)) for day, mine in grouped}


def _windows(windows: Sequence[Mapping[str, Any]]) -> tuple[Window, ...]:
    return tuple(
        Window(each["start"], each["end"]) for each in sorted(windows, key=lambda w: w["start"])
    )


def _overlapping(windows: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """Positions of the windows of one day that begin before an earlier one has ended."""
    return overlapping_windows([Window(each["start"], each["end"]) for each in windows])


def _refuse_overlaps(field: str, clashing: Sequence[int]) -> None:
    """:param clashing: positions in ``field``."""
    if clashing:
        told = {position: {"start": ["Overlaps another window."]} for position in clashing}
        raise ValidationError({field: told})
