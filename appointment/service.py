"""RPC of the appointment service."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from appointment.clients import Parties, ask_parties
from appointment.domain import CANCELLED, check_in_future, period, start_instant
from appointment.models import Answer, AppointmentBase
from appointment.repository import Appointments
from config.health import database_answers
from config.messaging.current_call import CurrentCall
from config.messaging.peers import Peers
from config.messaging.rpc import rpc
from config.service_clock import Clock
from config.service_database import Database
from schemas import errors
from schemas.appointment import LONGEST_REASON, AppointmentSchema
from schemas.loading import load, load_id, load_text


class AppointmentService:
    """Appointments as JSON values: ``id, patientId, doctorId, date, end, durationMinutes,
    description, status, cancelReason, uncovered, createdAt, updatedAt``."""

    name = "appointment"
    subject = ("patient", "patientId")

    store = Database(AppointmentBase, answers=Answer, errors=errors, subject="patientId")
    ask = Peers(unavailable=errors.Unavailable)
    clock = Clock()
    call = CurrentCall()

    @rpc(expected_exceptions=errors.SchedulingError)
    def schedule(self, appointment: dict[str, Any]) -> dict[str, Any]:
        """Book it.

        :raises InvalidInput, UnknownPatient, UnknownDoctor, InThePast, SlotTaken, PatientBusy,
            Unavailable: and nothing is stored.
        """
        wanted, now = load(AppointmentSchema(), appointment), self.clock()

        def verify() -> Parties:
            return ask_parties(
                self.ask, patient_id=wanted["patient_id"], doctor_id=wanted["doctor_id"]
            )

        def decide(session: Session, parties: Parties) -> dict[str, Any]:
            fields = _timed(wanted, timezone=parties.doctor_timezone())
            check_in_future(fields["starts_at"], now=now)
            appointments = Appointments(session)
            booked = appointments.book(fields, now=now)
            appointments.tell("scheduled", booked, now=now, correlation_id=self.call.correlation_id)
            return _dump(booked)

        return self.store.change_after(verify, ("schedule", appointment), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def get(self, appointment_id: int) -> dict[str, Any]:
        """:raises AppointmentNotFound:"""
        wanted = load_id(appointment_id)
        return self.store.transact(lambda session: _dump(Appointments(session).get(wanted)))

    @rpc(expected_exceptions=errors.SchedulingError)
    def export(self, patient_id: int) -> list[dict[str, Any]]:
        """Every appointment that the patient ever had, in the order in which they start."""
        wanted = load_id(patient_id, "patientId")
        return self.store.transact(
            lambda session: [_dump(each) for each in Appointments(session).of(wanted)]
        )

    @rpc(expected_exceptions=errors.SchedulingError)
    def has_met(self, doctor_id: int, patient_id: int) -> bool:
        """Whether the two have an appointment with each other that was not cancelled."""
        doctor, patient = load_id(doctor_id, "doctorId"), load_id(patient_id, "patientId")
        return self.store.transact(
            lambda session: Appointments(session).between(doctor, patient)
        )

    @rpc(expected_exceptions=errors.SchedulingError)
    def cancel(self, appointment_id: int, reason: str | None = None) -> dict[str, Any]:
        """Free its time and keep the record. Cancelling again changes nothing and tells nobody.

        :raises InvalidInput, AppointmentNotFound:
        """
        wanted, now = load_id(appointment_id), self.clock()
        why = None if reason is None else load_text(reason, "reason", longest=LONGEST_REASON)

        def decide(session: Session) -> dict[str, Any]:
            appointments = Appointments(session)
            found = appointments.get_locked(wanted)
            if found.status != CANCELLED:
                appointments.cancel(found, reason=why, now=now)
                appointments.tell(
                    "cancelled", found, now=now, correlation_id=self.call.correlation_id
                )
            return _dump(found)

        return self.store.change(("cancel", appointment_id, reason), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def health(self) -> str:
        """``ok``, or :raises Unavailable: when the database does not answer."""
        return self.store.transact(database_answers)


def _timed(wanted: Mapping[str, Any], *, timezone: str) -> dict[str, Any]:
    start = start_instant(wanted["starts_at"], timezone=timezone)
    starts_at, ends_at = period(start, minutes=wanted["duration_minutes"])
    minutes = (ends_at - starts_at).seconds // 60
    return {**wanted, "starts_at": starts_at, "ends_at": ends_at, "duration_minutes": minutes}


def _dump(appointment: object) -> dict[str, Any]:
    return AppointmentSchema().dump(appointment)
