"""What the clock on a wall shows when, in a zone whose clocks change at most once within a day.

Instants are aware and in UTC, wall times are naive.
"""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

# Clocks change at whole seconds.
_TICK = timedelta(seconds=1)


def wall_time(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock first shows ``wall``; for a time that it skips, when it has skipped it."""
    return _shown(wall, zone, fold=0) or _skipped(wall, zone)


def end_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When what ends at ``wall`` is over: after the last of all times that come before it.

    Not simply the last ``wall``: where 02:00 is the first time shown twice, what ends then is over
    at the first.
    """
    before = wall - _TICK
    last = _shown(before, zone, fold=1)
    return last + _TICK if last else _skipped(before, zone)


def first_change(since: datetime, until: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after ``since`` with another offset from UTC, at most ``until``."""
    old = _offset(since, zone)
    if _offset(until, zone) == old:
        return until
    seconds = range((until - since) // _TICK)
    changed = bisect_left(
        seconds, True, key=lambda passed: _offset(since + passed * _TICK, zone) != old
    )
    return since + changed * _TICK


def _shown(wall: datetime, zone: ZoneInfo, *, fold: int) -> datetime | None:
    """When the clock shows ``wall``, the first (0) or second (1) time; ``None`` if it skips it."""
    instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    # A skipped time comes back from UTC as another one; PEP 495 tells no other way to find it.
    return instant if wall_time(instant, zone) == wall else None


def _skipped(wall: datetime, zone: ZoneInfo) -> datetime:
    # PEP 495: a skipped time is read with the offset from before (0) and from after the change (1),
    # and the change lies between what comes of the two.
    early, late = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    return first_change(early, late, zone)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta | None:
    return instant.astimezone(zone).utcoffset()
