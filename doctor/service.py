"""RPC of the doctor service."""

from typing import Any

from nameko.dependency_providers import Config
from sqlalchemy.orm import Session

from config.health import database_answers
from config.messaging.current_call import CurrentCall
from config.messaging.rpc import rpc
from config.service_clock import Clock
from config.service_database import Database
from doctor.models import Answer, DoctorBase
from doctor.repository import Doctors
from schemas import errors
from schemas.loading import load, load_id
from schemas.people import DoctorSchema


class DoctorService:
    """Doctors as JSON values: ``id, name, email, phone, speciality, timezone, createdAt,
    updatedAt``."""

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

        def decide(session: Session) -> dict[str, Any]:
            doctors = Doctors(session)
            registered = doctors.register(fields, now=now)
            doctors.tell("registered", registered, now=now, correlation_id=self.call.correlation_id)
            return _dump(registered)

        return self.store.change(("create", doctor), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def get(self, doctor_id: int) -> dict[str, Any]:
        """:raises DoctorNotFound:"""
        wanted = load_id(doctor_id)
        return self.store.transact(lambda session: _dump(Doctors(session).get(wanted)))

    @rpc(expected_exceptions=errors.SchedulingError)
    def availability(self, doctor_id: int) -> dict[str, Any]:
        """What a booking must know of the doctor: ``{"doctorId", "timezone"}``.

        :raises DoctorNotFound:
        """
        wanted = load_id(doctor_id)

        def look(session: Session) -> dict[str, Any]:
            doctor = Doctors(session).get(wanted)
            return {"doctorId": doctor.id, "timezone": doctor.timezone}

        return self.store.transact(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def update(self, doctor_id: int, doctor: dict[str, Any]) -> dict[str, Any]:
        """Replace the whole record.

        :raises InvalidInput, DoctorNotFound, EmailTaken: and nothing is changed.
        """
        wanted, fields, now = load_id(doctor_id), self._fields(doctor), self.clock()

        def decide(session: Session) -> dict[str, Any]:
            doctors = Doctors(session)
            updated = doctors.replace(wanted, fields, now=now)
            doctors.tell("updated", updated, now=now, correlation_id=self.call.correlation_id)
            return _dump(updated)

        return self.store.change(("update", doctor_id, doctor), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def health(self) -> str:
        """``ok``, or :raises Unavailable: when the database does not answer."""
        return self.store.transact(database_answers)

    def _fields(self, doctor: object) -> dict[str, Any]:
        fields = load(DoctorSchema(phone_region=self.config["PHONE_REGION"]), doctor)
        return fields | {"timezone": fields["timezone"] or self.config["CLINIC_TIMEZONE"]}


def _dump(doctor: object) -> dict[str, Any]:
    return DoctorSchema().dump(doctor)
