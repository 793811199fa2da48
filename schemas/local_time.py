"""What clients mean by a time without an offset: one of the doctor's, or of the clinic's, clock."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from schemas.errors import InvalidInput
from schemas.wall_clock import first_instant, wall_time


def instant_of(moment: date | datetime, *, timezone: str, field: str) -> datetime:
    """``moment`` in UTC; without an offset it is local time in ``timezone``, and a date begins
    when its first minute does.

    A local time that occurs twice, on the night the clocks go back, means the first one.

    :param field: by what name ``moment`` was sent.
    :raises InvalidInput: for a local time that a clock change skips, and outside of the years
        1 to 9999 in UTC.
    """
    try:
        if not isinstance(moment, datetime):
            return first_instant(datetime.combine(moment, time()), ZoneInfo(timezone))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        instant = first_instant(moment, ZoneInfo(timezone))
        skipped = wall_time(instant, ZoneInfo(timezone)) != moment
    except OverflowError as far:
        raise InvalidInput({field: "Is too far away."}) from far
    if skipped:
        raise InvalidInput({field: f"The clocks in {timezone} skip this time."})
    return instant


def has_offset(moment: date | datetime) -> bool:
    """Whether ``moment`` is the same instant in every time zone."""
    return isinstance(moment, datetime) and moment.tzinfo is not None
