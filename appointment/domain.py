"""The rules of booking: when an appointment starts and ends, and which time it occupies."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from schemas.errors import InThePast, InvalidInput

BOOKED = "booked"
CANCELLED = "cancelled"
# What stands in the place of what was written about an erased patient.
ERASED = "(erased)"

BUCKET = timedelta(minutes=5)
DEFAULT_MINUTES = 30
OUT_OF_RANGE = {"date": "Is too far away."}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def start_instant(date: datetime, *, timezone: str) -> datetime:
    """``date`` in UTC; without an offset it is local time in ``timezone``.

    A local time that occurs twice, on the night the clocks go back, means the first one.

    :raises InvalidInput: for a local time that a clock change skips, and outside of the years
        1 to 9999 in UTC.
    """
    if date.tzinfo is not None:
        return date.astimezone(UTC)
    zone = ZoneInfo(timezone)
    try:
        instant = date.replace(tzinfo=zone).astimezone(UTC)
        there = instant.astimezone(zone).replace(tzinfo=None)
    except OverflowError as far:
        raise InvalidInput(OUT_OF_RANGE) from far
    # A skipped time comes back from UTC as another one; PEP 495 tells no other way to find it.
    if there != date:
        raise InvalidInput({"date": f"The clocks in {timezone} skip this time."})
    return instant


def period(start: datetime, *, minutes: int | None) -> tuple[datetime, datetime]:
    """The half-open period ``[start, end)``.

    :raises InvalidInput: when it would end after the last year there is.
    """
    try:
        return start, start + timedelta(minutes=minutes or DEFAULT_MINUTES)
    except OverflowError as late:
        raise InvalidInput(OUT_OF_RANGE) from late


def check_in_future(start: datetime, *, now: datetime) -> None:
    """:raises InThePast: unless ``start`` is after ``now``."""
    if start <= now:
        raise InThePast()


def is_upcoming(*, status: str, starts_at: datetime, now: datetime) -> bool:
    """Whether it is still to come; one that begins now has begun."""
    return status == BOOKED and starts_at > now


def buckets(start: datetime, end: datetime) -> range:
    """Numbers of the 5-minute buckets since 1970 that ``[start, end)`` touches."""
    return range((start - _EPOCH) // BUCKET, -((_EPOCH - end) // BUCKET))
