"""Up to which change of each doctor's timetable their appointments were checked against it.

Bookings are judged by a timetable that was asked for before their transaction began. While they are
made they hold the doctor's row, so that whoever checks a change of it sees all that were booked by
the one before, and those that come later find that theirs is out of date.
"""

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from appointment.models import CheckedTimetable


class OutOfDate(Exception):
    """The timetable that a booking was judged by has changed since: ask for it again."""


class Timetables:
    """What is known here of the doctors' timetables, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hold(self, doctor_id: int, *, version: int, alone: bool) -> None:
        """Until this transaction ends, no change of the timetable after ``version`` is checked.

        :param alone: no other booking of the doctor is made meanwhile, either: the claims keep
            appointments from overlapping, but say nothing of the gap between them.
        :raises OutOfDate: when a later one was checked already; roll the whole transaction back.
        """
        if self._locked(doctor_id, shared=not alone).schedule_version > version:
            raise OutOfDate()

    def begin_check(self, doctor_id: int, version: int) -> bool:
        """Whether appointments are still to be checked against this ``version`` of the timetable.

        Waits for bookings under way; none is made until this transaction ends.
        """
        checked = self._locked(doctor_id, shared=False)
        if checked.schedule_version >= version:
            return False
        checked.schedule_version = version
        return True

    def _locked(self, doctor_id: int, *, shared: bool) -> CheckedTimetable:
        wanted = (
            select(CheckedTimetable)
            .where(CheckedTimetable.doctor_id == doctor_id)
            .with_for_update(read=shared)
        )
        found = self._session.scalar(wanted)
        if found is None:
            self._make(doctor_id)
            found = self._session.scalars(wanted).one()
        return found

    def _make(self, doctor_id: int) -> None:
        try:
            with self._session.begin_nested():
                self._session.add(CheckedTimetable(doctor_id=doctor_id, schedule_version=0))
        except IntegrityError:
            # Another booking has made it in the meantime, and is done.
            return
