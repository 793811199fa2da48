"""When doctors and patients have appointments: reads only, each served by one index and one query.

An appointment takes all the 5-minute buckets that it touches, so what is busy is told in whole
ones: then the judgement of a booking and its claims agree.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from appointment.domain import BUCKET, LAST, whole_buckets
from appointment.models import Appointment
from schemas.appointment import LONGEST_MINUTES
from schemas.statuses import BOOKED, CANCELLED
from schemas.timetable import MINUTE, Period

LONGEST = LONGEST_MINUTES * MINUTE
# Nothing was booked before; near the beginning of the calendar, adding to an instant overflows.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
# Ids are counted from 1.
NO_APPOINTMENT = 0


class Diary:
    """The appointments that are not cancelled, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def busy(
        self,
        doctor_ids: Collection[int],
        *,
        since: datetime,
        until: datetime,
        apart_from: int | None = None,
    ) -> dict[int, list[Period]]:
        """By doctor, in ascending order, at least what they have in ``[since, until)``.

        :param apart_from: the id of an appointment that does not count.
        """
        busy: dict[int, list[Period]] = {doctor_id: [] for doctor_id in doctor_ids}
        for doctor_id, starts_at, ends_at in self._taken(
            Appointment.doctor_id, doctor_ids, since=since, until=until, apart_from=apart_from
        ):
            busy[doctor_id].append(whole_buckets(starts_at, ends_at))
        return busy

    def busy_patient(
        self, patient_id: int, *, since: datetime, until: datetime, apart_from: int | None = None
    ) -> list[Period]:
        """As ``busy``."""
        found = self._taken(
            Appointment.patient_id, [patient_id], since=since, until=until, apart_from=apart_from
        )
        return [whole_buckets(starts_at, ends_at) for _, starts_at, ends_at in found]

    def overlapping(self, doctor_id: int, periods: Sequence[Period]) -> list[list[int]]:
        """For each of the ``periods``, the ids of the booked appointments that overlap it, in the
        order of their starts."""
        if not periods:
            return []
        booked = (
            select(Appointment.id, Appointment.starts_at, Appointment.ends_at)
            .where(
                Appointment.doctor_id == doctor_id,
                Appointment.status == BOOKED,
                or_(*(_meets(since, until) for since, until in periods)),
            )
            .order_by(Appointment.starts_at, Appointment.id)
        )
        found = self._session.execute(booked).all()
        return [
            [row.id for row in found if row.starts_at < until and since < row.ends_at]
            for since, until in periods
        ]

    def _taken(
        self,
        party: InstrumentedAttribute[int],
        whose: Collection[int],
        *,
        since: datetime,
        until: datetime,
        apart_from: int | None,
    ) -> Iterable[Row[int, datetime, datetime]]:
        # A bucket more on both ends, for what reaches into the period with part of its last one.
        since, until = max(since, FIRST) - BUCKET, min(until, LAST) + BUCKET
        return self._session.execute(_taken_by(party), {
            "whose": list(whose),
            "earliest": _earliest(since),
            "since": since,
            "until": until,
            "apart_from": apart_from or NO_APPOINTMENT,
        })


@cache
def _taken_by(party: InstrumentedAttribute[int]) -> Select[int, datetime, datetime]:
    """Made once, since making it takes longer than what the database does about it."""
    return (
        select(party, Appointment.starts_at, Appointment.ends_at)
        .where(
            party.in_(bindparam("whose", expanding=True)),
            Appointment.status != CANCELLED,
            Appointment.id != bindparam("apart_from"),
            _overlaps(bindparam("earliest"), bindparam("since"), bindparam("until")),
        )
        .order_by(party, Appointment.starts_at)
    )


def _meets(since: datetime, until: datetime) -> ColumnElement[bool]:
    return _overlaps(_earliest(since), since, until)


def _overlaps(earliest: Any, since: Any, until: Any) -> ColumnElement[bool]:
    """``[since, until)``; the index on starts is read no further back than it must be."""
    return and_(
        Appointment.starts_at < until,
        Appointment.ends_at > since,
        Appointment.starts_at > earliest,
    )


def _earliest(since: datetime) -> datetime:
    """What starts no later is over by then."""
    return max(since, FIRST) - LONGEST
