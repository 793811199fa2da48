"""What is done about appointments: each change with its event and its line of history.

Locks are taken in one order everywhere: the kept answer, ``checked_timetable``, ``known_patient``,
``kept_timetable``, the appointment, the erasure, the claims. Only who is told of an erasure says
so before looking for appointments: should that meet a booking of the same patient, the database
may have to end one of the two, which is tried again whole.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

from appointment.domain import (
    SETTABLE,
    check_may_be_cancelled,
    check_may_be_changed,
    check_move,
    may_act,
    missed_deadline,
    next_reminder,
    period,
)
from appointment.known import Known
from appointment.models import Appointment
from appointment.offers import Offers
from appointment.parties import Parties
from appointment.repository import Appointments
from appointment.timetables import OutOfDate, Timetables
from config.encryption import Opened
from config.messaging.call import Call
from schemas.accounts import DOCTOR, PATIENT
from schemas.errors import (
    AppointmentNotFound,
    PatientBusy,
    SlotTaken,
    TooLate,
    TooLateToCancel,
    TooLateToReschedule,
    UnknownPatient,
)
from schemas.fields import as_instant
from schemas.local_time import has_offset, instant_of
from schemas.statuses import CANCELLED
from schemas.timetable import Timetable
from schemas.versions import Versions, check_version

# What an appointment is moved by.
WHEN_AND_WITH_WHOM = ("doctor_id", "starts_at", "ends_at", "duration_minutes")


class Desk:
    """Does it for whom ``call`` comes from, inside one transaction.

    :param config: Nameko's, for the notice that patients give and the reminders they get.
    """

    def __init__(
        self,
        session: Session,
        *,
        call: Call,
        config: Mapping[str, Any],
        clock: Callable[[], datetime],
    ) -> None:
        self._session = session
        self._appointments = Appointments(session)
        self._known = Known(session)
        self._call = call
        self._notice: int = config["CANCEL_NOTICE_MINUTES"]
        self._leads: tuple[int, ...] = config["REMINDER_MINUTES"]
        self._clock = clock

    @cached_property
    def _now(self) -> datetime:
        """One for the whole decision. Ask for it only when the timetable and the appointment are
        locked: then nothing begins while they are waited for, and changes that come one after the
        other have times in the same order."""
        return self._clock()

    def book(self, wanted: Mapping[str, Any], parties: Parties) -> Opened:
        """:param wanted: the loaded fields of an ``AppointmentSchema``.
        :raises InvalidInput, UnknownPatient, UnknownDoctor, NotBookable: and nothing is stored.
        :raises OutOfDate: when the doctor's timetable is another one by now, or it was not asked
            for and would refuse it, or say what a local time means.
        """
        when = self._when(wanted, parties)
        start, minutes = when["starts_at"], when["duration_minutes"]
        self._hold_timetable(parties)
        self._known.keep(parties)
        offers = self._offers(parties)
        offers.check(start, minutes, patient_id=wanted["patient_id"])
        fields = {**wanted, **when, **self._planned(start, parties)}
        try:
            booked = self._appointments.book(
                fields, now=self._now, correlation_id=self._call.correlation_id
            )
        except (SlotTaken, PatientBusy) as clash:
            raise offers.refusal(
                type(clash), start, minutes, patient_id=wanted["patient_id"]
            ) from clash
        self._note("scheduled", booked)
        return booked

    def change(
        self,
        appointment_id: int,
        changes: Mapping[str, Any],
        *,
        parties: Parties | None,
        versions: Versions,
    ) -> Appointment:
        """Move it, describe it anew, or both; what changes nothing is told to nobody.

        :param changes: the loaded fields of a ``RescheduleSchema``.
        :param parties: whom it is to be with then; not needed when only its description changes.
        :raises SchedulingError: and it is as it was before.
        :raises OutOfDate: as ``book``, and when the appointment's doctor is another by now.
        """
        if parties:
            self._hold_timetable(parties)
            self._known.keep(parties)
        found = self._to_change(appointment_id, versions)
        moves = self._moves(found, changes, parties)
        described = changes.get("description", found.description) != found.description
        if described:
            found.description = changes["description"]
        if parties and moves:
            self._move(found, moves, parties)
        elif described:
            self._appointments.changed(found, now=self._now)
            self._note("described", found)
        return found

    def cancel(
        self, appointment_id: int, *, reason: str | None, versions: Versions = None
    ) -> Appointment:
        """Keep the record and free its time; again, it changes nothing and is told to nobody.

        :raises AppointmentNotFound, Stale, MoveNotAllowed, TooLateToCancel: and nothing is changed.
        """
        found = self._locked(appointment_id)
        if found.status == CANCELLED:
            return found
        check_version(found.version, allowed=versions)
        check_may_be_cancelled(found.status, starts_at=found.starts_at, now=self._now)
        self._check_notice(found, TooLateToCancel)
        self._appointments.cancel(found, reason=reason, now=self._now)
        self._record("cancelled", found)
        return found

    def set_status(
        self, appointment_id: int, status: str, *, versions: Versions = None
    ) -> Appointment:
        """Say what became of it; again, it changes nothing and is told to nobody.

        :raises AppointmentNotFound, Stale, MoveNotAllowed: and nothing is changed.
        """
        found = self._locked(appointment_id)
        if found.status == status and status in SETTABLE:
            return found
        check_version(found.version, allowed=versions)
        check_move(status, status=found.status, starts_at=found.starts_at, now=self._now)
        found.status = status
        self._appointments.changed(found, now=self._now)
        self._record("status_changed", found)
        return found

    def _locked(self, appointment_id: int) -> Appointment:
        """:raises AppointmentNotFound: when it is not, or no longer, the caller's."""
        found, caller = self._appointments.get_locked(appointment_id), self._call.caller
        parties = {DOCTOR: found.doctor_id, PATIENT: found.patient_id}
        if not may_act(caller.role, caller.subject, parties=parties):
            raise AppointmentNotFound(appointment_id)
        return found

    def _to_change(self, appointment_id: int, versions: Versions) -> Appointment:
        found = self._locked(appointment_id)
        check_version(found.version, allowed=versions)
        if found.erased_at:
            raise UnknownPatient(found.patient_id)
        check_may_be_changed(found.status)
        return found

    def _moves(
        self, found: Appointment, changes: Mapping[str, Any], parties: Parties | None
    ) -> dict[str, Any]:
        """What becomes another time or doctor; nothing when all stays."""
        if parties is None:
            return {}
        if changes.get("doctor_id", found.doctor_id) != parties.doctor_id:
            # Somebody else has moved it to another doctor since it was asked whose time is needed.
            raise OutOfDate()
        stays = {name: getattr(found, name) for name in WHEN_AND_WITH_WHOM}
        wanted = {**self._when({**stays, **changes}, parties), "doctor_id": parties.doctor_id}
        return wanted if wanted != stays else {}

    def _move(self, found: Appointment, moves: Mapping[str, Any], parties: Parties) -> None:
        self._check_notice(found, TooLateToReschedule)
        offers = self._offers(parties)
        before = {
            "previous_start": found.starts_at,
            "previous_end": found.ends_at,
            "previous_doctor_id": found.doctor_id,
        }
        start, minutes = moves["starts_at"], moves["duration_minutes"]
        whose = {"patient_id": found.patient_id, "apart_from": found.id}
        offers.check(start, minutes, **whose)
        try:
            self._appointments.move(found, {**moves, **self._planned(start, parties)})
        except (SlotTaken, PatientBusy) as clash:
            raise offers.refusal(type(clash), start, minutes, **whose) from clash
        was_uncovered, found.uncovered = found.uncovered, False
        self._appointments.changed(found, now=self._now)
        self._record("rescheduled", found, **before)
        if was_uncovered:
            self._tell("covered", found)

    def _when(self, wanted: Mapping[str, Any], parties: Parties) -> dict[str, Any]:
        if parties.kept and not has_offset(wanted["starts_at"]):
            # The doctor may be in another time zone by now.
            raise OutOfDate()
        return _period_of(wanted, parties.timetable)

    def _planned(self, start: datetime, parties: Parties) -> dict[str, Any]:
        return {
            "schedule_version": parties.schedule_version,
            "remind_at": next_reminder(start, now=self._now, leads=self._leads),
        }

    def _hold_timetable(self, parties: Parties) -> None:
        """:raises OutOfDate: unless it stays as it was told until this is over."""
        Timetables(self._session).hold(
            parties.doctor_id,
            version=parties.schedule_version,
            alone=bool(parties.timetable.gap),
        )

    def _offers(self, parties: Parties) -> Offers:
        return Offers(
            self._session,
            parties.timetable,
            doctor_id=parties.doctor_id,
            now=self._now,
            final=parties.final,
        )

    def _check_notice(self, found: Appointment, refusal: type[TooLate]) -> None:
        """The clinic may do what it is too late for a patient to do."""
        missed = missed_deadline(found.starts_at, notice_minutes=self._notice, now=self._now)
        if missed and self._call.caller.role == PATIENT:
            raise refusal(as_instant(missed))

    def _record(self, what: str, appointment: Appointment, **told: object) -> None:
        self._note(what, appointment)
        self._tell(what, appointment, **told)

    def _note(self, what: str, appointment: Appointment | Opened) -> None:
        self._appointments.note(what, appointment, by=self._call.caller, now=self._now)

    def _tell(self, name: str, appointment: Appointment, **told: object) -> None:
        self._appointments.tell(
            name, appointment, now=self._now, correlation_id=self._call.correlation_id, **told
        )


def _period_of(wanted: Mapping[str, Any], timetable: Timetable) -> dict[str, Any]:
    start = instant_of(wanted["starts_at"], timezone=timetable.timezone, field="date")
    minutes = wanted["duration_minutes"] or timetable.slot_minutes
    starts_at, ends_at = period(start, minutes=minutes, field="date")
    return {"starts_at": starts_at, "ends_at": ends_at, "duration_minutes": minutes}
