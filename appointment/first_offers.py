"""The earliest of what several doctors can be booked for."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from heapq import merge
from itertools import islice, pairwise
from typing import Any

from sqlalchemy.orm import Session

from appointment.diary import LONGEST, Diary
from appointment.domain import LAST
from schemas import slots as shapes
from schemas.bookability import slots
from schemas.local_time import instant_of
from schemas.timetable import Period, Timetable

# In how many days they are looked for, until there are enough: most are found soon.
SPANS = (2, 7, 31, 92)


class FirstOffers:
    """Those of several doctors, whose ``timetables`` are given by their ids."""

    def __init__(
        self, session: Session, timetables: Mapping[int, Timetable], *, now: datetime
    ) -> None:
        self._diary = Diary(session)
        self._timetables = timetables
        self._now = now

    def listed(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Those that a loaded ``FirstSlotsQuerySchema`` asks for, within 92 days, as JSON; at the
        same time, in the order of the doctors' ids.

        :raises InvalidInput: for a local time that is skipped where one of the doctors is.
        """
        since, minutes, limit = asked["since"], asked["duration_minutes"], asked["limit"]
        begins = {
            doctor_id: self._begin(since, timetable)
            for doctor_id, timetable in self._timetables.items()
        }
        first, found = min(begins.values(), default=self._now), list[dict[str, Any]]()
        edges = [first, *(first + timedelta(days=days) for days in SPANS)]
        for span in pairwise(edges):
            offers = self._between(*span, begins=begins, minutes=minutes)
            found += islice(offers, limit - len(found))
            if len(found) == limit:
                break
        return found

    def _begin(self, since: date | datetime | None, timetable: Timetable) -> datetime:
        wanted = instant_of(since or self._now, timezone=timetable.timezone, field="from")
        return min(max(wanted, self._now), LAST)

    def _between(
        self,
        since: datetime,
        until: datetime,
        *,
        begins: Mapping[int, datetime],
        minutes: int | None,
    ) -> Iterator[dict[str, Any]]:
        busy = self._busy(since, until)
        offers = (
            self._of(doctor_id, max(since, begin), until, minutes=minutes, busy=busy[doctor_id])
            for doctor_id, begin in begins.items()
        )
        for start, doctor_id in merge(*offers):
            lasting = minutes or self._timetables[doctor_id].slot_minutes
            yield from shapes.slots([start], minutes=lasting, doctor_id=doctor_id)

    def _of(
        self,
        doctor_id: int,
        since: datetime,
        until: datetime,
        *,
        minutes: int | None,
        busy: Sequence[Period],
    ) -> Iterator[tuple[datetime, int]]:
        starts = slots(
            self._timetables[doctor_id],
            since=since,
            until=until,
            minutes=minutes,
            now=self._now,
            busy=busy,
        )
        return ((start, doctor_id) for start in starts)

    def _busy(self, since: datetime, until: datetime) -> Mapping[int, list[Period]]:
        gap = max((each.gap for each in self._timetables.values()), default=timedelta())
        return self._diary.busy(
            self._timetables, since=since - gap, until=until + LONGEST + gap
        )
