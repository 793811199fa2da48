"""What a doctor can be booked for: the slots on offer, and why a start is none, judged alike.

The judgement itself is in ``schemas.bookability``; here it meets what is booked.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy.orm import Session

from appointment.diary import FIRST, Diary
from appointment.domain import LAST, period
from appointment.timetables import OutOfDate
from schemas import slots as shapes
from schemas.bookability import Verdict, explain, first_failed, nearest, search_period, slots
from schemas.errors import (
    InThePast,
    NotBookable,
    OffGrid,
    OutsideHours,
    PatientBusy,
    SlotTaken,
    TimeOff,
    TooFar,
    TooSoon,
)
from schemas.fields import as_instant
from schemas.local_time import instant_of
from schemas.timetable import MINUTE, Period, Timetable

REFUSALS: Mapping[str, type[NotBookable]] = {
    kind.code: kind
    for kind in (InThePast, TooSoon, TooFar, OutsideHours, OffGrid, TimeOff, SlotTaken)
}


class Offers:
    """Those of one doctor, inside one transaction.

    ``minutes`` that are ``None`` mean a slot of the timetable. ``apart_from`` is the id of an
    appointment that does not count: the one that is to be moved.

    :param final: the refusals that this timetable will do for; instead of others, it is OutOfDate.
    """

    def __init__(
        self,
        session: Session,
        timetable: Timetable,
        *,
        doctor_id: int,
        now: datetime,
        final: tuple[type[NotBookable], ...] = (NotBookable,),
    ) -> None:
        self._diary = Diary(session)
        self._timetable = timetable
        self._doctor_id = doctor_id
        self._now = now
        self._final = final

    def slots(self, since: datetime, until: datetime, minutes: int | None = None) -> list[datetime]:
        """The starts in ``[since, until)`` that can be booked, in order."""
        busy = self._busy([(since, min(until, LAST) + self._minutes(minutes) * MINUTE)])
        return list(slots(
            self._timetable, since=since, until=until, minutes=minutes, now=self._now, busy=busy
        ))

    def listed(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Those that a loaded ``SlotsQuerySchema`` asks for, as JSON.

        :raises InvalidInput: for a period that is none, or too long.
        """
        minutes, ends = asked["duration_minutes"], shapes.Asked(asked["since"], asked["until"])
        since, until = shapes.period_of(ends, timezone=self._timetable.timezone, now=self._now)
        return self._shown(self.slots(since, until, minutes), minutes)

    def explain(self, start: datetime, minutes: int | None = None) -> dict[str, Any]:
        """What each rule says of ``start``, and the nearest start that would do, as JSON.

        :param start: local time where the doctor is, when it has no offset.
        :raises InvalidInput: for a local time that is skipped, and at the end of the calendar.
        """
        start = instant_of(start, timezone=self._timetable.timezone, field="start")
        start, end = period(start, minutes=self._minutes(minutes), field="start")
        busy = self._busy(self._around(start, end))
        verdicts = explain(self._timetable, start=start, end=end, now=self._now, busy=busy)
        bookable = all(verdict.passed for verdict in verdicts)
        near = [start] if bookable else nearest(
            self._timetable, start=start, minutes=minutes, now=self._now, busy=busy, limit=1
        )
        return {
            "doctorId": self._doctor_id,
            "start": as_instant(start),
            "end": as_instant(end),
            "bookable": bookable,
            "rules": [shapes.verdict(verdict) for verdict in verdicts],
            "nearest": next(iter(self._shown(near, minutes)), None),
        }

    def check(
        self,
        start: datetime,
        minutes: int | None = None,
        *,
        patient_id: int,
        apart_from: int | None = None,
    ) -> None:
        """What the doctor's side says; that the patient has time is for the claims to see.

        :raises NotBookable: of the kind that the first failed rule is refused with.
        :raises OutOfDate: instead, when the timetable might be.
        :raises InvalidInput: when it would start at the end of the calendar.
        """
        start, end = period(start, minutes=self._minutes(minutes), field="date")
        busy = self._busy([(start, end)], apart_from)
        failed = first_failed(self._timetable, start=start, end=end, now=self._now, busy=busy)
        if failed:
            kind = REFUSALS[failed.code]
            raise self.refusal(kind, start, minutes, patient_id=patient_id, apart_from=apart_from)

    def refusal(
        self,
        kind: type[NotBookable],
        start: datetime,
        minutes: int | None = None,
        *,
        patient_id: int,
        apart_from: int | None = None,
    ) -> NotBookable:
        """The error, with the rule that failed, if it still does, and up to three alternatives for
        which both have time.

        :raises OutOfDate: when the timetable might be.
        """
        if not issubclass(kind, self._final):
            raise OutOfDate()
        start, end = period(start, minutes=self._minutes(minutes), field="date")
        around = self._around(start, end)
        busy = self._busy(around, apart_from)
        elsewhere = self._elsewhere(around, patient_id, apart_from)
        verdicts = (
            *explain(self._timetable, start=start, end=end, now=self._now, busy=busy),
            _patient_verdict(start, end, busy=elsewhere),
        )
        failed = (each for each in verdicts if each.code == kind.code and not each.passed)
        rule = next(map(shapes.verdict, failed), None)
        near = nearest(
            self._timetable,
            start=start,
            minutes=minutes,
            now=self._now,
            busy=busy,
            avoid=elsewhere,
        )
        return kind(rule, self._shown(near, minutes))

    def _minutes(self, minutes: int | None) -> int:
        return minutes or self._timetable.slot_minutes

    def _around(self, start: datetime, end: datetime) -> list[Period]:
        """What must be known to judge ``[start, end)`` and to find what is near to it: of a start
        that cannot be booked anyway, the years from it to what can are not."""
        since, until = search_period(self._timetable, start=start, now=self._now)
        until += end - start
        if start <= until and since <= end:
            return [(min(since, start), max(until, end))]
        return [(start, end), (since, until)]

    def _busy(self, periods: Iterable[Period], apart_from: int | None = None) -> list[Period]:
        """In ascending order, as the judgement wants it."""
        found = (
            self._diary.busy(
                [self._doctor_id],
                since=max(since, FIRST) - self._timetable.gap,
                until=min(until, LAST) + self._timetable.gap,
                apart_from=apart_from,
            )
            for since, until in periods
        )
        return sorted(chain.from_iterable(each[self._doctor_id] for each in found))

    def _elsewhere(
        self, periods: Iterable[Period], patient_id: int, apart_from: int | None
    ) -> list[Period]:
        """As ``_busy``, of the patient."""
        found = (
            self._diary.busy_patient(patient_id, since=since, until=until, apart_from=apart_from)
            for since, until in periods
        )
        return sorted(chain.from_iterable(found))

    def _shown(self, starts: Iterable[datetime], minutes: int | None) -> list[dict[str, Any]]:
        return shapes.slots(starts, minutes=self._minutes(minutes), doctor_id=self._doctor_id)


def _patient_verdict(start: datetime, end: datetime, *, busy: Iterable[Period]) -> Verdict:
    over = max((until for since, until in busy if since < end and start < until), default=None)
    return Verdict(PatientBusy.code, over is None, since=over)
