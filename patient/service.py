"""RPC of the patient service."""

from typing import Any

from nameko.dependency_providers import Config
from sqlalchemy.orm import Session

from config.answers import forget_answers_about
from config.encryption import Opened
from config.health import database_answers
from config.messaging.current_call import CurrentCall
from config.messaging.rpc import rpc
from config.service_clock import Clock
from config.service_database import Database
from patient.domain import LONGEST_REASON, check_date_of_birth, check_may_be_erased
from patient.models import Answer, PatientBase
from patient.repository import Patients
from schemas import errors
from schemas.fields import as_instant
from schemas.loading import load, load_id, load_text
from schemas.paging import DEFAULT_LIMIT, page_by_id
from schemas.people import PatientSchema, PatientsQuerySchema
from schemas.versions import check_version, load_versions

# Made once: it takes longer than to read one patient by it.
_PATIENT = PatientSchema()


class PatientService:
    """Patients as JSON values: ``id, name, email, phone, dob, address, createdAt, updatedAt,
    version``.

    The time of a change is read under its lock, so that what comes later has the later time.
    """

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
        return self.store.read(lambda session: _dump(Patients(session).get(wanted)))

    @rpc(expected_exceptions=errors.SchedulingError)
    def find(
        self,
        q: str | None = None,
        email: str | None = None,
        limit: int = DEFAULT_LIMIT,
        after: int = 0,
    ) -> dict[str, Any]:
        """Patients whose names have every word of ``q``, with this address: ``{"items": [...],
        "next": id}``, where ``next`` is the ``after`` of the next page, or None.

        :raises InvalidInput:
        """
        asked = {"q": q, "email": email, "limit": limit, "after": after}
        query = load(PatientsQuerySchema(), asked)

        def look(session: Session) -> dict[str, Any]:
            found = Patients(session).find(
                name=query["q"],
                email=query["email"],
                after=query["after"],
                limit=query["limit"] + 1,
            )
            return page_by_id(found, limit=query["limit"], told=_dump)

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def exists(self, patient_id: int) -> bool:
        """Whether the patient can be booked for; tells nothing else about them."""
        wanted = load_id(patient_id)
        return self.store.read(lambda session: Patients(session).registered(wanted))

    @rpc(expected_exceptions=errors.SchedulingError)
    def update(
        self, patient_id: int, patient: dict[str, Any], versions: list[int] | None = None
    ) -> dict[str, Any]:
        """Replace the whole record.

        :param versions: those that the change is meant for; None: whichever there is.
        :raises InvalidInput, PatientNotFound, Stale, EmailTaken: and nothing is changed.
        """
        wanted, fields = load_id(patient_id), self._fields(patient)
        allowed = load_versions(versions)

        def decide(session: Session) -> dict[str, Any]:
            patients = Patients(session)
            updated, now = patients.get_locked(wanted), self.clock()
            check_version(updated.version, allowed=allowed)
            check_date_of_birth(fields["dob"], today=now.date())
            patients.replace(updated, fields, now=now)
            patients.tell("updated", updated, now=now, correlation_id=self.call.correlation_id)
            return _dump(updated)

        return self.store.change(("update", patient_id, patient, versions), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def export(self, patient_id: int) -> dict[str, Any]:
        """Everything stored here about the patient: ``{"patient": record, "legalHold": {"reason",
        "since"}}``, or None where there is no legal hold.

        :raises PatientNotFound:
        """
        wanted = load_id(patient_id)

        def look(session: Session) -> dict[str, Any]:
            patient = Patients(session).get(wanted)
            return {"patient": _dump(patient), "legalHold": _dump_hold(patient)}

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def hold(self, patient_id: int, reason: str) -> None:
        """Keep the record from being erased; again, for another reason.

        :raises InvalidInput, PatientNotFound:
        """
        wanted = load_id(patient_id)
        why = load_text(reason, "reason", longest=LONGEST_REASON)

        def decide(session: Session) -> None:
            patients = Patients(session)
            patient, now = patients.get_locked(wanted), self.clock()
            patients.hold(patient, reason=why, now=now)

        self.store.change(("hold", patient_id, reason), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def release(self, patient_id: int) -> None:
        """End the legal hold, if there is one.

        :raises PatientNotFound:
        """
        wanted = load_id(patient_id)

        def decide(session: Session) -> None:
            patients = Patients(session)
            patients.release(patients.get_locked(wanted))

        self.store.change(("release", patient_id), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def erase(self, patient_id: int) -> None:
        """Leave nothing of the patient but the number. Erasing again tells the others again, in
        case that one of them was kept from finishing.

        :raises PatientNotFound, LegalHold: and nothing is changed.
        """
        wanted = load_id(patient_id)

        def decide(session: Session) -> None:
            patients = Patients(session)
            patient, now = patients.get_to_erase(wanted), self.clock()
            check_may_be_erased(held_since=patient.held_since)
            patients.erase(patient, now=now)
            gone = errors.PatientNotFound(wanted)
            forget_answers_about(session, self.store.answers, wanted, instead=gone)
            patients.tell("erased", patient, now=now, correlation_id=self.call.correlation_id)

        self.store.change(("erase", patient_id), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def health(self) -> str:
        """``ok``, or :raises Unavailable: when the database does not answer."""
        return self.store.transact(database_answers)

    def _fields(self, patient: object) -> dict[str, Any]:
        return load(PatientSchema(phone_region=self.config["PHONE_REGION"]), patient)


def _dump(patient: object) -> dict[str, Any]:
    return _PATIENT.dump(patient)


def _dump_hold(patient: Opened) -> dict[str, Any] | None:
    if patient.held_since is None:
        return None
    return {"reason": patient.hold_reason, "since": as_instant(patient.held_since)}
