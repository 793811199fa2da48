"""RPC of the patient service."""

from typing import Any

from nameko.dependency_providers import Config
from sqlalchemy.orm import Session

from config.health import database_answers
from config.messaging.current_call import CurrentCall
from config.messaging.rpc import rpc
from config.service_clock import Clock
from config.service_database import Database
from patient.domain import check_date_of_birth
from patient.models import Answer, PatientBase
from patient.repository import Patients
from schemas import errors
from schemas.loading import load, load_id
from schemas.people import PatientSchema, PeopleQuerySchema


class PatientService:
    """Patients as JSON values: ``id, name, email, phone, dob, address, createdAt, updatedAt``."""

    name = "patient"
    subject = ("patient", "id")

    store = Database(PatientBase, answers=Answer, errors=errors, subject="id")
    clock = Clock()
    call = CurrentCall()
    config = Config()

    @rpc(expected_exceptions=errors.SchedulingError)
    def create(self, patient: dict[str, Any]) -> dict[str, Any]:
        """:raises InvalidInput, EmailTaken: and nothing is stored."""
        fields, now = self._fields(patient), self.clock()

        def decide(session: Session) -> dict[str, Any]:
            check_date_of_birth(fields["dob"], today=now.date())
            patients = Patients(session)
            registered = patients.register(fields, now=now)
            patients.tell(
                "registered", registered, now=now, correlation_id=self.call.correlation_id
            )
            return _dump(registered)

        return self.store.change(("create", patient), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def get(self, patient_id: int) -> dict[str, Any]:
        """:raises PatientNotFound:"""
        wanted = load_id(patient_id)
        return self.store.transact(lambda session: _dump(Patients(session).get(wanted)))

    @rpc(expected_exceptions=errors.SchedulingError)
    def find(
        self, q: str | None = None, email: str | None = None, limit: int = 20, after: int = 0
    ) -> dict[str, Any]:
        """Patients whose names have every word of ``q``, with this address: ``{"items": [...],
        "next": id}``, where ``next`` is the ``after`` of the next page, or None.

        :raises InvalidInput:
        """
        asked = {"q": q, "email": email, "limit": limit, "after": after}
        query = load(PeopleQuerySchema(), asked)

        def look(session: Session) -> dict[str, Any]:
            found = Patients(session).find(
                name=query["q"],
                email=query["email"],
                after=query["after"],
                # One more than asked for tells whether there is another page.
                limit=query["limit"] + 1,
            )
            page = found[: query["limit"]]
            more = len(found) > len(page)
            return {"items": [_dump(each) for each in page], "next": page[-1].id if more else None}

        return self.store.transact(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def exists(self, patient_id: int) -> bool:
        """Whether the patient can be booked for; tells nothing else about them."""
        wanted = load_id(patient_id)
        return self.store.transact(lambda session: Patients(session).registered(wanted))

    @rpc(expected_exceptions=errors.SchedulingError)
    def update(self, patient_id: int, patient: dict[str, Any]) -> dict[str, Any]:
        """Replace the whole record.

        :raises InvalidInput, PatientNotFound, EmailTaken: and nothing is changed.
        """
        wanted, fields, now = load_id(patient_id), self._fields(patient), self.clock()

        def decide(session: Session) -> dict[str, Any]:
            check_date_of_birth(fields["dob"], today=now.date())
            patients = Patients(session)
            updated = patients.replace(wanted, fields, now=now)
            patients.tell("updated", updated, now=now, correlation_id=self.call.correlation_id)
            return _dump(updated)

        return self.store.change(("update", patient_id, patient), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def health(self) -> str:
        """``ok``, or :raises Unavailable: when the database does not answer."""
        return self.store.transact(database_answers)

    def _fields(self, patient: object) -> dict[str, Any]:
        return load(PatientSchema(phone_region=self.config["PHONE_REGION"]), patient)


def _dump(patient: object) -> dict[str, Any]:
    return PatientSchema().dump(patient)
