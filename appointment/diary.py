"""When doctors and patients have appointments: reads only, each served by one index and one query.

An appointment takes all the 5-minute buckets that it touches, so what is busy is told in whole
ones: then the judgement of a booking and its claims agree.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from appointment.domain import BUCKET, LAST, whole_buckets
from appointment.models import Appointment
from schemas.appointment import LONGEST_MINUTES
from schemas.statuses import BOOKED, CANCELLED
from schemas.timetable import MINUTE, Period

LONGEST = LONGEST_MINUTES * MINUTE
# Nothing was booked before; near the beginning of the calendar, adding to an instant overflows.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)


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
        wanted = Appointment.doctor_id.in_(doctor_ids)
        busy: dict[int, list[Period]] = {doctor_id: [] for doctor_id in doctor_ids}
        for doctor_id, starts_at, ends_at in self._session.execute(_taken(
            Appointment.doctor_id, wanted, since=since, until=until, apart_from=apart_from
        )):
            busy[doctor_id].append(whole_buckets(starts_at, ends_at))
        return busy

    def busy_patient(
        self, patient_id: int, *, since: datetime, until: datetime, apart_from: int | None = None
    ) -> list[Period]:
        """As ``busy``."""
        wanted = Appointment.patient_id == patient_id
        found = self._session.execute(_taken(
            Appointment.patient_id, wanted, since=since, until=until, apart_from=apart_from
        ))
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
    party: InstrumentedAttribute[int],
    wanted: ColumnElement[bool],
    *,
    since: datetime,
    until: datetime,
    apart_from: int | None,
) -> Select[int, datetime, datetime]:
    # A bucket more on both ends, for what reaches into the period with part of its last one.
    taken = (
        select(party, Appointment.starts_at, Appointment.ends_at)
        .where(
            wanted,
            Appointment.status != CANCELLED,
            _meets(max(since, FIRST) - BUCKET, min(until, LAST) + BUCKET),
        )
        .order_by(party, Appointment.starts_at)
    )
    return taken if apart_from is None else taken.where(Appointment.id != apart_from)


def _meets(since: datetime, until: datetime) -> ColumnElement[bool]:
    """Overlaps ``[since, until)``; the index on starts is read no further back than it must be."""
    return and_(
        Appointment.starts_at < until,
        Appointment.ends_at > since,
        Appointment.starts_at > max(since, FIRST) - LONGEST,
    )
