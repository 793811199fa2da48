"""Whether a doctor can be booked at a time: one judgement for everybody who asks.

Slot lists, bookings and explanations all judge by what is here, so that every slot on offer can be
booked and nothing else can. Standard library only. Instants are aware and in UTC, periods are
half-open, and ``busy`` holds the doctor's booked periods in ascending order: at least all that come
within the appointment, or the search, and the gap around it.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from operator import itemgetter
from zoneinfo import ZoneInfo

from schemas.timetable import MINUTE, Period, Timetable
from schemas.wall_clock import first_instant, wall_time

REACH = timedelta(days=31)
_start, _end = itemgetter(0), itemgetter(1)
_SPANS = (timedelta(days=1), timedelta(days=7), REACH)
# Nearer to the ends of the calendar, adding an offset or a day overflows.
_FIRST, _LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Verdict:
    """What one rule says of a start, with its bound; what does not apply is ``None``.

    ``in_the_past``: it must come after ``since``. ``too_soon``: not before ``since``. ``too_far``:
    before ``until``. ``outside_hours``: the window it is in, else the nearest of its day; none on a
    day off. ``off_grid``: steps of so many ``minutes`` from the window's start; passes where no
    window is. ``time_off``, ``slot_taken``: what is in the way is over at ``since``, gap included.
    """

    code: str
    passed: bool
    since: datetime | None = None
    until: datetime | None = None
    minutes: int | None = None


def explain(
    timetable: Timetable, *, start: datetime, end: datetime, now: datetime, busy: Sequence[Period]
) -> tuple[Verdict, ...]:
    """What every rule says of an appointment in ``[start, end)``, in the order they are asked."""
    return tuple(_verdicts(timetable, start=start, end=end, now=now, busy=busy))


def first_failed(
    timetable: Timetable, *, start: datetime, end: datetime, now: datetime, busy: Sequence[Period]
) -> Verdict | None:
    """The first rule against an appointment in ``[start, end)``; ``None``: it can be booked."""
    verdicts = _verdicts(timetable, start=start, end=end, now=now, busy=busy)
    return next((verdict for verdict in verdicts if not verdict.passed), None)


def covers(timetable: Timetable, *, start: datetime, end: datetime) -> bool:
    """Whether the doctor works during ``[start, end)``: what an appointment that is booked needs of
    a timetable that has changed since. Grid, notice and gap were for who booked it."""
    hours, _ = _hours_verdicts(timetable, start=start, end=end)
    return hours.passed and _Occupied(sorted(timetable.time_off)).until(start, end) is None


def slots(
    timetable: Timetable,
    *,
    since: datetime,
    until: datetime,
    minutes: int | None = None,
    now: datetime,
    busy: Sequence[Period],
    avoid: Sequence[Period] = (),
) -> Iterator[datetime]:
    """Bookable starts in ``[since, until)``, ascending, each looked for when it is asked for.

    ``minutes`` is how long the appointment lasts; ``None``: one slot. Without a schedule any time
    will do, and the hours and half hours of the doctor's clock are offered. ``avoid`` is when the
    other side has no time, as ``busy`` is ordered; no gap is kept to it.
    """
    lasting, gap = (minutes or timetable.slot_minutes) * MINUTE, timetable.gap
    since, until = _open_period(timetable, since=since, until=until, now=now)
    off, taken = _Occupied(sorted(timetable.time_off)), _Occupied(busy)
    elsewhere = _Occupied(avoid)
    for day in _days(since, until, zone=timetable.zone):
        for start in timetable.starts(day, lasting=lasting):
            end = start + lasting
            away = off.until(start, end) or elsewhere.until(start, end)
            clear = away is None and taken.until(start - gap, end + gap) is None
            if clear and since <= start < until:
                yield start


def nearest(
    timetable: Timetable,
    *,
    start: datetime,
    minutes: int | None = None,
    now: datetime,
    busy: Sequence[Period],
    avoid: Sequence[Period] = (),
    limit: int = 3,
) -> list[datetime]:
    """The offered starts in ``search_period()`` that are nearest to ``start``, the nearest first.

    Of two that are as near, the earlier one comes first.
    """
    centre, found = _centre(timetable, start=start, now=now), list[datetime]()
    for span in _SPANS:
        offered = slots(
            timetable,
            since=centre - span,
            until=centre + span,
            minutes=minutes,
            now=now,
            busy=busy,
            avoid=avoid,
        )
        # Whatever lies outside of the span is further away than all within.
        if len(found := list(offered)) >= limit:
            break
    return sorted(found, key=lambda offer: (abs(offer - start), offer))[:limit]


def search_period(timetable: Timetable, *, start: datetime, now: datetime) -> Period:
    """Where ``nearest()`` looks for starts, for who loads what is busy there."""
    centre = _centre(timetable, start=start, now=now)
    return centre - REACH, centre + REACH


def _verdicts(
    timetable: Timetable, *, start: datetime, end: datetime, now: datetime, busy: Sequence[Period]
) -> Iterator[Verdict]:
    soonest, limit = _limits(timetable, now=now)
    yield Verdict("in_the_past", start > now, since=now)
    yield Verdict("too_soon", start >= soonest, since=soonest)
    yield Verdict("too_far", limit is None or start < limit, until=limit)
    yield from _hours_verdicts(timetable, start=start, end=end)
    back = _Occupied(sorted(timetable.time_off)).until(start, end)
    yield Verdict("time_off", back is None, since=back)
    gap = timetable.gap
    done = _Occupied(busy).until(max(start, _FIRST) - gap, min(end, _LAST) + gap)
    yield Verdict("slot_taken", done is None, since=done and done + gap)


def _hours_verdicts(
    timetable: Timetable, *, start: datetime, end: datetime
) -> tuple[Verdict, Verdict]:
    if timetable.weekly is None:
        return Verdict("outside_hours", True), Verdict("off_grid", True)
    zone, slot = timetable.zone, timetable.slot
    shifts = timetable.shifts(wall_time(min(max(start, _FIRST), _LAST), zone).date())
    around = [shift for shift in shifts if shift.holds(start)]
    holding = [shift for shift in around if end <= shift.end]
    told = min(holding or around or shifts, key=lambda shift: shift.distance(start), default=None)
    on_grid = any(shift.has_on_grid(start, slot, zone) for shift in holding or around)
    return (
        Verdict("outside_hours", bool(holding), since=told and told.begin, until=told and told.end),
        Verdict("off_grid", on_grid or not around, minutes=timetable.slot_minutes),
    )


def _limits(timetable: Timetable, *, now: datetime) -> tuple[datetime, datetime | None]:
    """The first start that the notice allows, and the end of the furthest day."""
    if timetable.weekly is None:
        return now, None
    beyond = wall_time(now, timetable.zone).date() + timedelta(days=timetable.max_days_ahead + 1)
    end = first_instant(datetime.combine(beyond, time()), timetable.zone)
    return now + timetable.min_notice_minutes * MINUTE, end


def _open_period(
    timetable: Timetable, *, since: datetime, until: datetime, now: datetime
) -> Period:
    soonest, limit = _limits(timetable, now=now)
    # What starts now is in the past already.
    return max(since, soonest, now + datetime.resolution, _FIRST), min(until, limit or _LAST, _LAST)


def _centre(timetable: Timetable, *, start: datetime, now: datetime) -> datetime:
    """``start``, or what is next to it of the time that can be booked."""
    soonest, limit = _limits(timetable, now=now)
    return min(max(start, soonest), limit or _LAST)


def _days(since: datetime, until: datetime, *, zone: ZoneInfo) -> Iterator[date]:
    if since < until:
        day, last = wall_time(since, zone).date(), wall_time(until, zone).date()
        for passed in range((last - day).days + 1):
            yield day + timedelta(days=passed)


class _Occupied:
    """Half-open periods in ascending order; they may overlap each other."""

    def __init__(self, periods: Sequence[Period]) -> None:
        self._periods = periods
        # The latest end so far: an early period may last longer than those after it.
        self._ends = list(accumulate(map(_end, periods), max))

    def until(self, start: datetime, end: datetime) -> datetime | None:
        """When the last that overlaps ``[start, end)`` is over, ``None`` when none does."""
        begun = bisect_left(self._periods, end, key=_start)
        last = self._ends[begun - 1] if begun else start
        return last if last > start else None
