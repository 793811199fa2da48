"""When doctors can be booked: their hours and their times off, and every query about these."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from doctor.domain import check_time_off
from doctor.models import Doctor, Schedule, TimeOff
from schemas.errors import DoctorNotFound, TimeOffNotFound
from schemas.people import speciality_key
from schemas.versions import Versions, check_version

# What is stored for a schedule that was never set, once it is shown in another time zone.
NONE_YET = json.dumps(None)


class Hours(NamedTuple):
    """``schedule`` is JSON, without the time zone; None, if it was never set. The version 0 is that
    of a doctor whose time zone has not changed since either: it stands for nothing else."""

    timezone: str
    schedule: dict[str, Any] | None
    version: int


class Timetables:
    """The doctors' timetables, inside one transaction; who changes one has the doctor locked."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def hours(self, doctor_id: int) -> Hours:
        """:raises DoctorNotFound:"""
        # In one go: with another's time zone, this version would stand for what nobody has set.
        told = select(Doctor.timezone, Schedule.hours, Schedule.version)
        row = self._session.execute(
            told.outerjoin(Schedule, Schedule.doctor_id == Doctor.id).where(Doctor.id == doctor_id)
        ).one_or_none()
        if row is None:
            raise DoctorNotFound(doctor_id)
        return Hours(row.timezone, _schedule(row), row.version or 0)

    def set_hours(
        self, doctor: Doctor, schedule: Mapping[str, Any], *, versions: Versions, now: datetime
    ) -> None:
        """Replace the schedule by this one, in JSON without the time zone.

        :raises Stale: when the version there is, 0 for none, is not one of ``versions``."""
        stored = self._stored(doctor)
        check_version(stored.version, allowed=versions)
        stored.hours = json.dumps(schedule, separators=(",", ":"))
        self._count(stored, doctor, now=now)

    def moved(self, doctor: Doctor, *, now: datetime) -> None:
        """The doctor got another time zone, in which the same hours mean other instants; without
        any, whoever has read the schedule has read another one too."""
        self._count(self._stored(doctor), doctor, now=now)

    def check_time_off(
        self, doctor_id: int, *, starts_at: datetime, ends_at: datetime, now: datetime
    ) -> None:
        """:raises InvalidInput: when it ends before it starts or is over, or they have too many."""
        upcoming = select(func.count()).where(TimeOff.doctor_id == doctor_id, _to_come(now))
        check_time_off(
            starts_at=starts_at,
            ends_at=ends_at,
            upcoming=self._session.scalar(upcoming) or 0,
            now=now,
        )

    def take_off(
        self,
        doctor: Doctor,
        *,
        starts_at: datetime,
        ends_at: datetime,
        reason: str | None,
        now: datetime,
    ) -> TimeOff:
        """:raises InvalidInput: as ``check_time_off``."""
        self.check_time_off(doctor.id, starts_at=starts_at, ends_at=ends_at, now=now)
        time_off = TimeOff(
            doctor_id=doctor.id, starts_at=starts_at, ends_at=ends_at, created_at=now
        )
        self._session.add(time_off)
        # The reason is bound to the id, which the row has after this.
        self._session.flush()
        time_off.reason = reason
        doctor.schedule_version += 1
        return time_off

    def give_back(self, doctor: Doctor, time_off_id: int) -> None:
        """:raises TimeOffNotFound: when the doctor has, or had, no such time off."""
        time_off = self._session.get(TimeOff, time_off_id)
        if time_off is None or time_off.doctor_id != doctor.id:
            raise TimeOffNotFound(time_off_id)
        self._session.delete(time_off)
        doctor.schedule_version += 1

    def times_off(self, doctor_id: int, *, after: int, limit: int) -> Sequence[TimeOff]:
        """Those stored of the doctor, the ones that are over too, by id, above ``after``."""
        mine = select(TimeOff).where(TimeOff.doctor_id == doctor_id, TimeOff.id > after)
        return self._session.scalars(mine.order_by(TimeOff.id).limit(limit)).all()

    def availability(self, doctor_id: int, *, now: datetime) -> dict[str, Any]:
        """What a booking must know of the doctor, by the attributes of ``AvailabilitySchema``.

        :raises DoctorNotFound:
        """
        found = self._availabilities(Doctor.id == doctor_id, now=now)
        if not found:
            raise DoctorNotFound(doctor_id)
        return found[0]

    def availabilities(self, speciality: str | None, *, now: datetime) -> list[dict[str, Any]]:
        """Those of all doctors, or of those of the speciality, compared without case, by id."""
        if speciality is None:
            return self._availabilities(true(), now=now)
        return self._availabilities(Doctor.speciality_key == speciality_key(speciality), now=now)

    def _stored(self, doctor: Doctor) -> Schedule:
        none = Schedule(doctor_id=doctor.id, hours=NONE_YET, version=0)
        return self._session.get(Schedule, doctor.id) or none

    def _count(self, stored: Schedule, doctor: Doctor, *, now: datetime) -> None:
        stored.version += 1
        stored.updated_at = now
        self._session.add(stored)
        doctor.schedule_version += 1

    def _availabilities(
        self, wanted: ColumnElement[bool], *, now: datetime
    ) -> list[dict[str, Any]]:
        # The version is read first, and with the hours: what is told is never older than it, so
        # that whoever goes by it and is wrong has a version that tells.
        told = (
            select(Doctor.id, Doctor.timezone, Doctor.schedule_version, Schedule.hours)
            .outerjoin(Schedule, Schedule.doctor_id == Doctor.id)
            .where(wanted)
            .order_by(Doctor.id)
        )
        doctors = self._session.execute(told).all()
        away = self._away(wanted, now=now)
        return [_availability(row, away.get(row.id, [])) for row in doctors]

    def _away(
        self, wanted: ColumnElement[bool], *, now: datetime
    ) -> dict[int, list[dict[str, datetime]]]:
        """By doctor, their times off that are not over, in the order of their starts."""
        found = self._session.execute(
            select(TimeOff.doctor_id, TimeOff.starts_at, TimeOff.ends_at)
            .join(Doctor, Doctor.id == TimeOff.doctor_id)
            .where(wanted, _to_come(now))
            .order_by(TimeOff.doctor_id, TimeOff.starts_at, TimeOff.ends_at)
        )
        return {
            doctor_id: [{"start": row.starts_at, "end": row.ends_at} for row in rows]
            for doctor_id, rows in groupby(found, key=lambda row: row.doctor_id)
        }


def _to_come(now: datetime) -> ColumnElement[bool]:
    return TimeOff.ends_at > now


def _schedule(row: Any) -> dict[str, Any] | None:
    return None if row.hours is None else json.loads(row.hours)


def _availability(row: Any, away: list[dict[str, datetime]]) -> dict[str, Any]:
    return {
        "doctor_id": row.id,
        "schedule_version": row.schedule_version,
        "timezone": row.timezone,
        "schedule": _schedule(row),
        "time_off": away,
    }
