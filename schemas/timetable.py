"""A doctor's timetable: the hours in which appointments may lie, and the grid they start on.

What may be booked is for ``schemas.bookability`` to say. Standard library only. Instants are aware
and in UTC, periods are half-open.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import accumulate
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.wall_clock import end_instant, first_change, first_instant, wall_time

Period = tuple[datetime, datetime]

DEFAULT_MINUTES = 30
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Window:
    """Minutes ``[start, end)`` of the wall clock; 1440 is the midnight that ends the day."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1440:
            raise ValueError("A window starts before it ends, within one day.")


@dataclass(frozen=True)
class Timetable:
    """When a doctor works; ``weekly`` is by weekday, Monday 0, and ``None`` without a schedule.

    Then there are no hours, no grid, no notice and no furthest day, but time off and appointments
    count. The windows of a date in ``exceptions`` stand in the place of its weekly ones. An
    appointment lies in one window, even when the next one begins where it ends.
    """

    timezone: str
    slot_minutes: int = DEFAULT_MINUTES
    weekly: Mapping[int, tuple[Window, ...]] | None = None
    exceptions: Mapping[date, tuple[Window, ...]] = field(default_factory=dict)
    min_notice_minutes: int = 0
    max_days_ahead: int = 365
    buffer_minutes: int = 0
    time_off: tuple[Period, ...] = ()

    def __post_init__(self) -> None:
        if self.slot_minutes < 1:
            raise ValueError("A slot lasts at least a minute.")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def slot(self) -> timedelta:
        return self.slot_minutes * MINUTE

    @property
    def gap(self) -> timedelta:
        return self.buffer_minutes * MINUTE

    def shifts(self, day: date) -> list["Shift"]:
        zone, midnight, shifts = self.zone, datetime.combine(day, time()), []
        for window in self._windows(day):
            origin, end = midnight + window.start * MINUTE, midnight + window.end * MINUTE
            shifts.append(Shift(first_instant(origin, zone), end_instant(end, zone), origin))
        # Of a window that a clock change skips, nothing is left.
        return [shift for shift in shifts if shift.begin < shift.end]

    def starts(self, day: date, *, lasting: timedelta) -> list[datetime]:
        """The grid of the day's windows, as far as an appointment fits into its window."""
        zone, slot = self.zone, self.slot
        # A set, since windows that meet within an hour that occurs twice share some of it.
        return sorted({
            start
            for shift in self.shifts(day)
            for start in shift.grid(slot, zone)
            if self.weekly is None or start + lasting <= shift.end
        })

    def _windows(self, day: date) -> tuple[Window, ...]:
        if self.weekly is None:
            return (Window(0, 1440),)
        return self.exceptions.get(day, self.weekly.get(day.weekday(), ()))


class Shift(NamedTuple):
    """A window on a date: its instants, and the wall time that its grid counts from."""

    begin: datetime
    end: datetime
    origin: datetime

    def holds(self, instant: datetime) -> bool:
        return self.begin <= instant < self.end

    def distance(self, instant: datetime) -> timedelta:
        """How far outside ``instant`` lies; negative within."""
        return max(self.begin - instant, instant - self.end)

    def has_on_grid(self, instant: datetime, slot: timedelta, zone: ZoneInfo) -> bool:
        return not (wall_time(instant, zone) - self.origin) % slot

    def grid(self, slot: timedelta, zone: ZoneInfo) -> Iterator[datetime]:
        change = first_change(self.begin, self.end, zone)
        for since, until in ((self.begin, change), (change, self.end)):
            # Between changes the wall clock runs as time does.
            start = since + (self.origin - wall_time(since, zone)) % slot
            while start < until:
                yield start
                start += slot


def overlapping_windows(windows: Sequence[Window]) -> tuple[int, ...]:
    """Positions of the windows of one day that begin before an earlier one has ended."""
    ordered = sorted(range(len(windows)), key=lambda position: windows[position].start)
    ends = accumulate((windows[position].end for position in ordered), max)
    pairs = zip(ends, ordered[1:], strict=False)
    return tuple(sorted(later for end, later in pairs if windows[later].start < end))
