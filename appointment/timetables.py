"""Up to which change of each doctor's timetable their appointments were checked against it.

Bookings are judged by a timetable that was asked for before their transaction began. While they are
made they hold the doctor's row, so that whoever checks a change of it sees all that were booked by
the one before, and those that come later find that theirs is out of date.
"""

from contextlib import suppress
from typing import Any

from sqlalchemy import Select, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from appointment.models import CheckedTimetable

# Of the table itself, and made once, as the statements in ``repository``.
_ROWS: Any = CheckedTimetable.__table__
_MAKE = insert(_ROWS)
_OF_DOCTOR = select(_ROWS.c.schedule_version).where(_ROWS.c.doctor_id == bindparam("doctor_id"))
_SHARED, _ALONE = _OF_DOCTOR.with_for_update(read=True), _OF_DOCTOR.with_for_update()


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
        if self._locked(doctor_id, _ALONE if alone else _SHARED) > version:
            raise OutOfDate()

    def begin_check(self, doctor_id: int, version: int) -> bool:
        """Whether appointments are still to be checked against this ``version`` of the timetable.

        Waits for bookings under way; none is made until this transaction ends.
        """
        if self._locked(doctor_id, _ALONE) >= version:
            return False
        checked = update(_ROWS).where(_ROWS.c.doctor_id == doctor_id)
        self._session.execute(checked.values(schedule_version=version))
        return True

    def _locked(self, doctor_id: int, wanted: Select[int]) -> int:
        found = self._session.scalar(wanted, {"doctor_id": doctor_id})
        if found is None:
            self._make(doctor_id)
            found = self._session.scalars(wanted, {"doctor_id": doctor_id}).one()
        return found

    def _make(self, doctor_id: int) -> None:
        # Another booking may have made it in the meantime, and be done.
        with suppress(IntegrityError):
            self._session.execute(_MAKE, {"doctor_id": doctor_id, "schedule_version": 0})
