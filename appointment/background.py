"""What the appointment service does unasked."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from nameko.timer import timer
from sqlalchemy.orm import Session

from appointment.clients import ask_availability
from appointment.coverage import check_coverage
from appointment.known import Known
from appointment.models import Answer, AppointmentBase, Inbox, Outbox, RelayTurn
from appointment.reminders import tell_reminders
from appointment.repository import Appointments, Erasures
from config.answers import forget_answers_about
from config.housekeeping import Housekeeping
from config.messaging.events import event_handler
from config.messaging.outbox import OutboxRelay
from config.messaging.peers import Peers
from config.service_database import Database
from schemas import errors
from schemas.events import read_event

SWEEP_SECONDS = 30
REMIND_SECONDS = 15
# Longer than any booking takes that was begun before the erasure.
SETTLED_AFTER = timedelta(seconds=60)
BATCH = 100
# Of such an event nothing will ever come.
NEVER_TO_BE_DONE = (errors.InvalidInput, errors.DoctorNotFound)


class AppointmentBackground(Housekeeping):
    name = "appointment_background"

    relay = OutboxRelay(AppointmentBase, outbox=Outbox, turn=RelayTurn, source="appointment")
    store = Database(
        AppointmentBase, answers=Answer, errors=errors, subject="patientId", inbox=Inbox
    )
    ask = Peers(unavailable=errors.Unavailable, services=("doctor",))

    @event_handler("patient", "registered", expected_exceptions=errors.InvalidInput)
    def patient_registered(self, event: object) -> None:
        """Then nobody need be asked when they book for the first time.

        :raises InvalidInput: when it is no such event.
        """
        patient_id = read_event(event, source="patient", name="registered")["patient_id"]

        def meet(session: Session) -> None:
            known = Known(session)
            known.meet(patient_id, now=self.clock())
            if Erasures(session).include(patient_id):
                # It was told after that, or at the same time.
                known.forget(patient_id)

        self.store.once(meet)

    @event_handler("patient", "erased", expected_exceptions=errors.InvalidInput)
    def patient_erased(self, event: object) -> None:
        """Forget the patient here too; told again in another event, nothing is left to do.

        :raises InvalidInput: when it is no such event.
        """
        patient_id = read_event(event, source="patient", name="erased")["patient_id"]

        def forget(session: Session) -> None:
            # Its row first, as whoever meets the patient takes it; it goes in the end.
            Known(session).meet(patient_id, now=self.clock())
            # Before looking for appointments: bookings look for it, see Appointments.book.
            Erasures(session).remember(patient_id, now=self.clock())
            self._forget(session, patient_id)

        self.store.once(forget)

    @event_handler("doctor", "schedule_changed", expected_exceptions=NEVER_TO_BE_DONE)
    def schedule_changed(self, event: object) -> None:
        """See which appointments the doctor's new hours have no room for.

        :raises InvalidInput, DoctorNotFound: when it is no such event.
        """
        self._check_coverage(read_event(event, source="doctor", name="schedule_changed"))

    @event_handler("doctor", "time_off_changed", expected_exceptions=NEVER_TO_BE_DONE)
    def time_off_changed(self, event: object) -> None:
        """As ``schedule_changed``, for when the doctor is away."""
        self._check_coverage(read_event(event, source="doctor", name="time_off_changed"))

    @timer(interval=REMIND_SECONDS)
    def remind(self) -> None:
        """Tell of appointments that come near, a batch at a time, each in its own transaction."""
        leads = self.config["REMINDER_MINUTES"]
        while self.store.transact(
            lambda session: tell_reminders(
                session, leads=leads, now=self.clock(), correlation_id=self.call.correlation_id
            )
        ):
            pass

    @timer(interval=SWEEP_SECONDS)
    def settle_erasures(self) -> None:
        """Look a last time at those who were erased, each in a transaction of its own: a program
        of the version before this one may have booked for them meanwhile, without looking, or have
        erased them, without forgetting them here."""
        before = self.clock() - SETTLED_AFTER
        waiting = self.store.transact(
            lambda session: Erasures(session).unsettled(before=before, limit=BATCH)
        )
        for patient_id in waiting:
            self._settle(patient_id)
        self.store.transact(lambda session: Known(session).forget_erased(limit=BATCH))

    def _check_coverage(self, told: Mapping[str, Any]) -> None:
        # Not by what the event says: several may come out of turn, and the last one counts.
        availability = ask_availability(self.ask, told["doctor_id"])
        self.store.once(
            lambda session: check_coverage(
                session, availability, clock=self.clock, correlation_id=self.call.correlation_id
            )
        )

    def _settle(self, patient_id: int) -> None:
        def settle(session: Session) -> None:
            self._forget(session, patient_id)
            Erasures(session).settle(patient_id, now=self.clock())

        self.store.transact(settle)

    def _forget(self, session: Session, patient_id: int) -> None:
        Appointments(session).erase(
            patient_id, clock=self.clock, correlation_id=self.call.correlation_id
        )
        # Last: whoever has met the patient meanwhile has an appointment, and was waited for.
        Known(session).forget(patient_id)
        gone = errors.UnknownPatient(patient_id)
        forget_answers_about(session, self.store.answers, patient_id, instead=gone)
