"""RPC of the appointment service."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from nameko.dependency_providers import Config
from sqlalchemy.orm import Session

from appointment.clients import ask_availability, ask_timetables, ask_timezone
from appointment.desk import Desk
from appointment.diary import Diary
from appointment.first_offers import FirstOffers
from appointment.inquiry import Inquiry, keep_timetable
from appointment.models import Answer, Appointment, AppointmentBase
from appointment.offers import Offers
from appointment.parties import Parties
from appointment.records import Records
from appointment.repository import Appointments
from appointment.timetables import OutOfDate
from config.encryption import Opened
from config.health import database_answers
from config.messaging.current_call import CurrentCall
from config.messaging.peers import Peers
from config.messaging.rpc import rpc
from config.service_clock import Clock
from config.service_database import Database
from schemas import errors
from schemas.appointment import (
    LONGEST_REASON,
    AppointmentQuerySchema,
    AppointmentSchema,
    ChangeSchema,
    RescheduleSchema,
    StatusSchema,
    in_utc,
    is_local,
)
from schemas.fields import as_instant
from schemas.loading import load, load_id, load_text
from schemas.paging import page
from schemas.schedule import load_periods, timetable_of
from schemas.slots import ExplainQuerySchema, FirstSlotsQuerySchema, SlotsQuerySchema
from schemas.versions import load_versions

# How often a doctor's timetable may change under one booking.
TRIES = 3
# Made once: it takes longer than to read one appointment by it.
_APPOINTMENT = AppointmentSchema()


class AppointmentService:
    """Appointments as JSON values: ``id, patientId, doctorId, date, end, durationMinutes,
    description, status, cancelReason, uncovered, createdAt, updatedAt, version``."""

    name = "appointment"
    subject = ("patient", "patientId")

    store = Database(AppointmentBase, answers=Answer, errors=errors, subject="patientId")
    ask = Peers(unavailable=errors.Unavailable)
    clock = Clock()
    call = CurrentCall()
    config = Config()

    @rpc(expected_exceptions=errors.SchedulingError)
    def schedule(self, appointment: dict[str, Any]) -> dict[str, Any]:
        """Book it.

        :raises InvalidInput, UnknownPatient, UnknownDoctor, NotBookable, Unavailable: and nothing
            is stored.
        """
        wanted = load(_APPOINTMENT, appointment)

        def decide(session: Session, inquiry: Inquiry) -> Opened:
            parties = inquiry.parties(
                session, patient_id=wanted["patient_id"], doctor_id=wanted["doctor_id"]
            )
            return self._desk(session).book(wanted, parties)

        return self._by_the_timetable(("schedule", appointment), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def reschedule(
        self, appointment_id: int, changes: dict[str, Any], versions: list[int] | None = None
    ) -> dict[str, Any]:
        """Move it, as ``RescheduleSchema`` says, or describe it anew; it keeps its id. What changes
        nothing is told to nobody.

        :param versions: those that the change is meant for; None: whichever there is.
        :raises InvalidInput, AppointmentNotFound, UnknownPatient, UnknownDoctor, Stale, NotBooked,
            TooLateToReschedule, NotBookable, Unavailable: and it is as it was before.
        """
        wanted, fields = load_id(appointment_id), load(RescheduleSchema(), changes)
        allowed = load_versions(versions)

        def decide(session: Session, inquiry: Inquiry) -> Appointment:
            parties = _who_would_meet(session, inquiry, wanted, fields)
            return self._desk(session).change(wanted, fields, parties=parties, versions=allowed)

        return self._by_the_timetable(("reschedule", appointment_id, changes, versions), decide)

    @rpc(expected_exceptions=errors.SchedulingError)
    def cancel(
        self,
        appointment_id: int,
        reason: str | None = None,
        versions: list[int] | None = None,
    ) -> dict[str, Any]:
        """Free its time and keep the record. Cancelling again changes nothing and tells nobody.

        :raises InvalidInput, AppointmentNotFound, Stale, MoveNotAllowed, TooLateToCancel:
        """
        wanted, allowed = load_id(appointment_id), load_versions(versions)
        why = None if reason is None else load_text(reason, "reason", longest=LONGEST_REASON)
        return self.store.change(
            ("cancel", appointment_id, reason, versions),
            lambda session: _dump(
                self._desk(session).cancel(wanted, reason=why, versions=allowed)
            ),
        )

    @rpc(expected_exceptions=errors.SchedulingError)
    def set_status(
        self, appointment_id: int, status: str, versions: list[int] | None = None
    ) -> dict[str, Any]:
        """Say what became of it: ``arrived``, ``fulfilled`` or ``noshow``.

        :raises InvalidInput, AppointmentNotFound, Stale, MoveNotAllowed: and nothing is changed.
        """
        wanted, allowed = load_id(appointment_id), load_versions(versions)
        word = load(StatusSchema(), {"status": status})["status"]
        return self.store.change(
            ("set_status", appointment_id, status, versions),
            lambda session: _dump(self._desk(session).set_status(wanted, word, versions=allowed)),
        )

    @rpc(expected_exceptions=errors.SchedulingError)
    def get(self, appointment_id: int) -> dict[str, Any]:
        """:raises AppointmentNotFound:"""
        wanted = load_id(appointment_id)
        return self.store.read(lambda session: _dump(Appointments(session).get(wanted)))

    @rpc(expected_exceptions=errors.SchedulingError)
    def find(self, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """Those that ``AppointmentQuerySchema`` asks for, by start and id: ``{"items": [...],
        "next": [start, id]}``, where ``next`` is the ``after`` of the next page, or None.

        :raises InvalidInput, Unavailable:
        """
        asked = load(AppointmentQuerySchema(), query or {})
        meant = in_utc(asked, timezone=self._zone_of(asked))
        return self.store.read(
            lambda session: _page(
                Records(session).find(meant, now=self.clock()), limit=meant["limit"]
            )
        )

    @rpc(expected_exceptions=errors.SchedulingError)
    def history(self, appointment_id: int) -> dict[str, Any]:
        """``{"items": [...]}``: what it was at each time, as ``ChangeSchema`` says, in order.

        :raises AppointmentNotFound:
        """
        wanted = load_id(appointment_id)

        def look(session: Session) -> dict[str, Any]:
            Appointments(session).check_there(wanted)
            return {"items": _lines(Records(session).history(wanted))}

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def export(self, patient_id: int) -> list[dict[str, Any]]:
        """Every appointment that the patient ever had, each with its ``history``, in the order in
        which they start."""
        wanted = load_id(patient_id, "patientId")

        def look(session: Session) -> list[dict[str, Any]]:
            records = Records(session)
            lines = records.histories(wanted)
            return [
                _dump(each) | {"history": _lines(lines.get(each.id, []))}
                for each in records.of(wanted)
            ]

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def has_met(self, doctor_id: int, patient_id: int) -> bool:
        """Whether the two have an appointment with each other that was not cancelled."""
        doctor, patient = load_id(doctor_id, "doctorId"), load_id(patient_id, "patientId")
        return self.store.read(lambda session: Records(session).between(doctor, patient))

    @rpc(expected_exceptions=errors.SchedulingError)
    def slots(self, doctor_id: int, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """``{"items": [slot]}``: when the doctor can be booked, as ``SlotsQuerySchema`` asks.

        :raises InvalidInput, DoctorNotFound, Unavailable:
        """
        asked, offers = load(SlotsQuerySchema(), query or {}), self._offers(doctor_id)
        return self.store.read(lambda session: {"items": offers(session).listed(asked)})

    @rpc(expected_exceptions=errors.SchedulingError)
    def explain(self, doctor_id: int, query: dict[str, Any]) -> dict[str, Any]:
        """Why the doctor can, or cannot, be booked at a start; see ``Offers.explain``.

        :raises InvalidInput, DoctorNotFound, Unavailable:
        """
        asked, offers = load(ExplainQuerySchema(), query), self._offers(doctor_id)
        return self.store.read(
            lambda session: offers(session).explain(asked["start"], asked["duration_minutes"])
        )

    @rpc(expected_exceptions=errors.SchedulingError)
    def first_slots(self, query: dict[str, Any]) -> dict[str, Any]:
        """``{"items": [slot]}``: the earliest of all doctors, as ``FirstSlotsQuerySchema`` asks.

        :raises InvalidInput, Unavailable:
        """
        asked = load(FirstSlotsQuerySchema(), query)
        timetables = ask_timetables(self.ask, asked["speciality"])

        def look(session: Session) -> dict[str, Any]:
            return {"items": FirstOffers(session, timetables, now=self.clock()).listed(asked)}

        return self.store.read(look)

    @rpc(expected_exceptions=errors.SchedulingError)
    def affected(self, doctor_id: int, periods: list[dict[str, Any]]) -> list[list[int]]:
        """For each of the ``{"start", "end"}``, the ids of the doctor's booked appointments in it.

        :raises InvalidInput:
        """
        wanted, asked = load_id(doctor_id, "doctorId"), load_periods(periods)
        return self.store.read(lambda session: Diary(session).overlapping(wanted, asked))

    @rpc(expected_exceptions=errors.SchedulingError)
    def renew(self, doctor_id: int) -> None:
        """Have those who book next judged by the timetable that the doctor has now. For who has
        just changed it: the event that will do so is still on its way.

        :raises InvalidInput, DoctorNotFound, Unavailable:
        """
        wanted, now = load_id(doctor_id, "doctorId"), self.clock()
        availability = ask_availability(self.ask, wanted)
        # Where it is out of date already, a newer one was kept by the check against that.
        with suppress(OutOfDate):
            self.store.transact(lambda session: keep_timetable(session, availability, now=now))

    @rpc(expected_exceptions=errors.SchedulingError)
    def health(self) -> str:
        """``ok``, or :raises Unavailable: when the database does not answer."""
        return self.store.transact(database_answers)

    def _offers(self, doctor_id: int) -> Callable[[Session], Offers]:
        wanted = load_id(doctor_id, "doctorId")
        timetable = timetable_of(ask_availability(self.ask, wanted))
        return partial(Offers, timetable=timetable, doctor_id=wanted, now=self.clock())

    def _desk(self, session: Session) -> Desk:
        return Desk(session, call=self.call, config=self.config, clock=self.clock)

    def _by_the_timetable(
        self, request: Sequence[Any], decide: Callable[[Session, Inquiry], object]
    ) -> dict[str, Any]:
        """The JSON of what ``decide`` returned: by what is known here, if that will do, else by
        what those who know say then; asked again when the timetable has changed since.

        :raises Unavailable: when it changes all the time.
        """
        inquiry = Inquiry(self.ask, clock=self.clock)
        for asked in range(1 + TRIES):
            if asked:
                inquiry.ask()
            with suppress(OutOfDate):
                return self.store.change(request, lambda session: _dump(decide(session, inquiry)))
        raise errors.Unavailable("doctor")

    def _zone_of(self, query: Mapping[str, Any]) -> str:
        """What local times in it mean; of a doctor nobody knows, there is nothing to be found."""
        doctor_id, theirs = query["doctor_id"], None
        if doctor_id and is_local(query):
            theirs = ask_timezone(self.ask, doctor_id)
        return theirs or str(self.config["CLINIC_TIMEZONE"])


def _dump(appointment: object) -> dict[str, Any]:
    return dict(_APPOINTMENT.dump(appointment))


def _who_would_meet(
    session: Session, inquiry: Inquiry, appointment_id: int, changes: Mapping[str, Any]
) -> Parties | None:
    """None, when only what is written about it changes."""
    if changes.keys() <= {"description"}:
        return None
    patient_id, doctor_id = Appointments(session).parties(appointment_id)
    return inquiry.parties_again(
        session, patient_id=patient_id, doctor_id=changes.get("doctor_id", doctor_id)
    )


def _lines(history: Sequence[object]) -> list[dict[str, Any]]:
    return list(ChangeSchema(many=True).dump(history))


def _page(found: Sequence[Appointment], *, limit: int) -> dict[str, Any]:
    return page(found, limit=limit, told=_dump, place=_place)


def _place(last: Appointment) -> list[str]:
    return [as_instant(last.starts_at), str(last.id)]
