"""RPC of the doctor service."""

from datetime import datetime
from typing import Any

from nameko.dependency_providers import Config
from sqlalchemy.orm import Session

from config.health import database_answers
from config.messaging.current_call import CurrentCall
from config.messaging.rpc import rpc
from config.service_clock import Clock
from config.service_database import Database
from doctor.models import Answer, Doctor, DoctorBase
from doctor.repository import Doctors
from doctor.shapes import (
    availability_json,
    doctor_json,
    hours_json,
    in_utc,
    schedule_json,
    time_off_json,
)
from doctor.timetables import Timetables
from schemas import bookability, errors
from schemas.loading import load, load_id, load_text
from schemas.paging import DEFAULT_LIMIT, PageSchema, page_by_id
from schemas.people import LONGEST_SPECIALITY, DoctorSchema, DoctorsQuerySchema
from schemas.schedule import ScheduleSchema, TimeOffSchema, timetable_of
from schemas.slots import Asked, FreeSlotsQuerySchema, period_of, slots
from schemas.versions import check_version, load_versions


class DoctorService:
    """Doctors as JSON values: ``id, name, email, phone, speciality, timezone, createdAt,
    updatedAt, version``, their schedules and their times off.

    ``versions`` are those that a change is meant for; without any it is made whatever there is.
    The time of a change is read under its lock, so that what comes later has the later time.
    """

    name = "doctor"
    subject = ("doctor", "id")

    store = Database(DoctorBase, answers=Answer, errors=errors, subject="id")
    clock = Clock()
    call = CurrentCall()
    config = Config()

    @rpc(expected_exceptions=errors.SchedulingError)
    def create(self, doctor: dict[str, Any]) -> dict[str, Any]:
        """A doctor without ``timezone`` is in the clinic's.

        :raises InvalidInput, EmailTaken: and nothing is stored.
        """
        fields, now = self._fields(doctor), self.clock()
        fields["timezone"] = fields["timezone"] or self.config["CLINIC_TIMEZONE"]

        def decide(session: Session) -> dict[str, Any]:
            doctors = Doctors(session)
            registered = doctors.register(fields, now=now)
            self._tell("registered", registered, doctors, now=now)
            return doctor_json(registered)

        return self.store.change(("create", doctor), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def get(self, doctor_id: int) -> dict[str, Any]:
        """:raises DoctorNotFound:"""
        wanted = load_id(doctor_id)
        return self.store.read(lambda session: doctor_json(Doctors(session).get(wanted)))

    @rpc(expected_exceptions=errors.SchedulingError)
    def find(
        self,
        q: str | None = None,
        speciality: str | None = None,
        limit: int = DEFAULT_LIMIT,
        after: int = 0,
    ) -> dict[str, Any]:
        """Doctors whose names have every word of ``q``, of this speciality: ``{"items": [...],
        "next": id}``, where ``next`` is the ``after`` of the next page, or None.

        :raises InvalidInput:
        """
        asked = {"q": q, "speciality": speciality, "limit": limit, "after": after}
        query = load(DoctorsQuerySchema(), asked)

        def look(session: Session) -> dict[str, Any]:
            found = Doctors(session).find(
                name=query["q"],
                speciality=query["speciality"],
                after=query["after"],
                limit=query["limit"] + 1,
            )
            return page_by_id(found, limit=query["limit"], told=doctor_json)

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def update(
        self, doctor_id: int, doctor: dict[str, Any], versions: list[int] | None = None
    ) -> dict[str, Any]:
        """Replace the whole record; a time zone that is left out stays.

        :raises InvalidInput, DoctorNotFound, Stale, EmailTaken: and nothing is changed.
        """
        wanted, fields = load_id(doctor_id), self._fields(doctor)
        allowed = load_versions(versions)

        def decide(session: Session) -> dict[str, Any]:
            doctors = Doctors(session)
            updated, now = doctors.get_locked(wanted), self.clock()
            check_version(updated.version, allowed=allowed)
            timezone = fields["timezone"] or updated.timezone
            moves = timezone != updated.timezone
            doctors.replace(updated, fields | {"timezone": timezone}, now=now)
            self._tell("updated", updated, doctors, now=now)
            if moves:
                Timetables(session).moved(updated, now=now)
                self._tell("schedule_changed", updated, doctors, now=now)
            return doctor_json(updated)

        return self.store.change(("update", doctor_id, doctor, versions), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def get_schedule(self, doctor_id: int) -> dict[str, Any]:
        """The schedule and its ``version``; ``weekly`` is None where none was set, and the version
        0 where the time zone has not changed since either.

        :raises DoctorNotFound:
        """
        wanted = load_id(doctor_id)
        return self.store.read(
            lambda session: schedule_json(Timetables(session).hours(wanted))
        )

    @rpc(expected_exceptions=errors.SchedulingError)
    def set_schedule(
        self, doctor_id: int, schedule: dict[str, Any], versions: list[int] | None = None
    ) -> dict[str, Any]:
        """Replace the whole schedule; a time zone that comes along becomes the doctor's.

        :raises InvalidInput, DoctorNotFound, Stale: and nothing is changed.
        """
        wanted, fields = load_id(doctor_id), load(ScheduleSchema(), schedule)
        allowed = load_versions(versions)

        def decide(session: Session) -> dict[str, Any]:
            doctors, timetables = Doctors(session), Timetables(session)
            doctor, now = doctors.get_locked(wanted), self.clock()
            timetables.set_hours(doctor, hours_json(fields), versions=allowed, now=now)
            if fields["timezone"] not in (None, doctor.timezone):
                doctors.move(doctor, fields["timezone"], now=now)
                self._tell("updated", doctor, doctors, now=now)
            self._tell("schedule_changed", doctor, doctors, now=now)
            return schedule_json(timetables.hours(doctor.id))

        return self.store.change(("set_schedule", doctor_id, schedule, versions), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def add_time_off(self, doctor_id: int, time_off: dict[str, Any]) -> dict[str, Any]:
        """``{"id", "start", "end", "reason"}``; times without an offset are the doctor's.

        :raises InvalidInput, DoctorNotFound: and nothing is stored.
        """
        wanted, fields = load_id(doctor_id), load(TimeOffSchema(), time_off)

        def decide(session: Session) -> dict[str, Any]:
            doctors = Doctors(session)
            doctor, now = doctors.get_locked(wanted), self.clock()
            meant = in_utc(fields, timezone=doctor.timezone)
            taken = Timetables(session).take_off(doctor, **meant, now=now)
            self._tell("time_off_changed", doctor, doctors, now=now)
            # An answer is kept under the id in it, and that is to be the doctor's.
            return {"id": doctor.id, "timeOff": time_off_json(taken)}

        return self.store.change(("add_time_off", doctor_id, time_off), decide)["timeOff"]

    @rpc(expected_exceptions=errors.SchedulingError)
    def preview_time_off(self, doctor_id: int, time_off: dict[str, Any]) -> dict[str, Any]:
        """As ``add_time_off``, but nothing is stored, and the id is None."""
        wanted, fields, now = load_id(doctor_id), load(TimeOffSchema(), time_off), self.clock()

        def look(session: Session) -> dict[str, Any]:
            timetables = Timetables(session)
            meant = in_utc(fields, timezone=timetables.hours(wanted).timezone)
            timetables.check_time_off(
                wanted, starts_at=meant["starts_at"], ends_at=meant["ends_at"], now=now
            )
            return time_off_json({"id": None, **meant})

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def find_time_off(
        self, doctor_id: int, limit: int = DEFAULT_LIMIT, after: int = 0
    ) -> dict[str, Any]:
        """All that is stored of the doctor, by id, in pages as those of ``find``.

        :raises InvalidInput, DoctorNotFound:
        """
        wanted, query = load_id(doctor_id), load(PageSchema(), {"limit": limit, "after": after})

        def look(session: Session) -> dict[str, Any]:
            Doctors(session).check_there(wanted)
            found = Timetables(session).times_off(
                wanted, after=query["after"], limit=query["limit"] + 1
            )
            return page_by_id(found, limit=query["limit"], told=time_off_json)

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def remove_time_off(self, doctor_id: int, time_off_id: int) -> None:
        """:raises DoctorNotFound, TimeOffNotFound: when it is not there, or another doctor's."""
        wanted, gone = load_id(doctor_id), load_id(time_off_id)

        def decide(session: Session) -> None:
            doctors = Doctors(session)
            doctor, now = doctors.get_locked(wanted), self.clock()
            Timetables(session).give_back(doctor, gone)
            self._tell("time_off_changed", doctor, doctors, now=now)

        self.store.change(("remove_time_off", doctor_id, time_off_id), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def availability(self, doctor_id: int) -> dict[str, Any]:
        """What a booking must know of the doctor: the JSON of ``AvailabilitySchema``.

        :raises DoctorNotFound:
        """
        wanted, now = load_id(doctor_id), self.clock()
        found = self.store.read(
            lambda session: Timetables(session).availability(wanted, now=now)
        )
        return availability_json(found)

    @rpc(expected_exceptions=errors.SchedulingError)
    def availabilities(self, speciality: str | None = None) -> list[dict[str, Any]]:
        """Those of all doctors, or of those of the speciality.

        :raises InvalidInput:
        """
        wanted, now = speciality, self.clock()
        if wanted is not None:
            wanted = load_text(wanted, "speciality", longest=LONGEST_SPECIALITY)
        found = self.store.read(
            lambda session: Timetables(session).availabilities(wanted, now=now)
        )
        return [availability_json(each) for each in found]

    @rpc(expected_exceptions=errors.SchedulingError)
    def slots(
        self,
        doctor_id: int,
        since: str | None = None,
        until: str | None = None,
        duration_minutes: int | None = None,
        busy: list[dict[str, str]] | None = None,
    ) -> dict[str, Any]:
        """``{"items": [...]}``: the slots that the timetable allows, less the periods ``busy``.
        Appointments are not known here: ``appointment.slots`` tells what can be booked.

        :raises InvalidInput, DoctorNotFound:
        """
        asked = {"from": since, "to": until, "durationMinutes": duration_minutes, "busy": busy}
        query, now = load(FreeSlotsQuerySchema(), asked), self.clock()
        told = self.availability(doctor_id)
        timetable = timetable_of(told)
        begin, end = period_of(
            Asked(query["since"], query["until"]), timezone=timetable.timezone, now=now
        )
        minutes = query["duration_minutes"] or timetable.slot_minutes
        starts = bookability.slots(
            timetable,
            since=begin,
            until=end,
            minutes=minutes,
            now=now,
            busy=sorted((each["start"], each["end"]) for each in query["busy"] or ()),
        )
        return {"items": slots(starts, minutes=minutes, doctor_id=told["doctorId"])}

    @rpc(expected_exceptions=errors.SchedulingError)
    def health(self) -> str:
        """``ok``, or :raises Unavailable: when the database does not answer."""
        return self.store.transact(database_answers)

    def _fields(self, doctor: object) -> dict[str, Any]:
        return load(DoctorSchema(phone_region=self.config["PHONE_REGION"]), doctor)

    def _tell(self, name: str, doctor: Doctor, doctors: Doctors, *, now: datetime) -> None:
        doctors.tell(name, doctor, now=now, correlation_id=self.call.correlation_id)
