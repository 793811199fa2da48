"""Appointments as they are booked, changed and told of, and the patients who were erased."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from appointment.claims import Claims
from appointment.domain import ERASED, is_upcoming
from appointment.models import Appointment, Change, Erasure, Outbox
from config.encryption import Opened, opened, vault_of
from config.messaging.caller import SYSTEM, Caller
from config.messaging.outbox_tables import publish
from schemas.errors import AppointmentNotFound, NotBookable, UnknownPatient
from schemas.events import envelope
from schemas.statuses import BOOKED, CANCELLED

# Of the tables themselves, and made once: for these, all that the classes would add takes longer
# than the database does. What is read by them sees nothing that is not flushed.
_ROWS: Any = Appointment.__table__
_HISTORY: Any = Change.__table__
_ERASURES: Any = Erasure.__table__
_BY_ID = select(_ROWS).where(_ROWS.c.id == bindparam("id"))
_BOOK, _NOTE = insert(_ROWS), insert(_HISTORY)
_DESCRIBE = update(_ROWS).where(_ROWS.c.id == bindparam("of_id"))
_UNBOOK = delete(_ROWS).where(_ROWS.c.id == bindparam("of_id"))
_ERASED = (
    select(_ERASURES.c.patient_id)
    .where(_ERASURES.c.patient_id == bindparam("patient_id"))
    .with_for_update(read=True)
)


class Appointments:
    """The stored appointments, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._claims = Claims(session)

    def get(self, appointment_id: int) -> Opened:
        """To be read only.

        :raises AppointmentNotFound:
        """
        row = self._session.execute(_BY_ID, {"id": appointment_id}).one_or_none()
        if row is None:
            raise AppointmentNotFound(appointment_id)
        return opened(Appointment, row, vault=vault_of(self._session))

    def check_there(self, appointment_id: int) -> None:
        """:raises AppointmentNotFound:"""
        wanted = select(_ROWS.c.id).where(_ROWS.c.id == appointment_id)
        if self._session.scalar(wanted) is None:
            raise AppointmentNotFound(appointment_id)

    def get_locked(self, appointment_id: int) -> Appointment:
        """To be changed, and nobody else changes it until this transaction ends.

        :raises AppointmentNotFound:
        """
        wanted = select(Appointment).where(Appointment.id == appointment_id).with_for_update()
        found = self._session.scalar(wanted)
        if found is None:
            raise AppointmentNotFound(appointment_id)
        return found

    def parties(self, appointment_id: int) -> tuple[int, int]:
        """The ids of its patient and its doctor, who may be another by the time it is locked.

        :raises AppointmentNotFound:
        """
        wanted = select(Appointment.patient_id, Appointment.doctor_id)
        found = self._session.execute(wanted.where(Appointment.id == appointment_id)).one_or_none()
        if found is None:
            raise AppointmentNotFound(appointment_id)
        return found.patient_id, found.doctor_id

    def book(
        self, fields: Mapping[str, Any], *, now: datetime, correlation_id: str
    ) -> Opened:
        """Store the appointment, claim its time, and tell of it.

        :raises UnknownPatient, SlotTaken, PatientBusy: and nothing is stored.
        """
        # The row counts what is told below: one statement less.
        new = {"status": BOOKED, "version": 1, "sequence": 1, "created_at": now, "updated_at": now}
        plain = {name: value for name, value in fields.items() if name != "description"}
        booked = self._insert({**plain, **new})
        self._check_not_erased(booked.patient_id)
        try:
            self._claims.take(booked)
        except NotBookable:
            # Who now looks for other times must not find it in their way.
            self._session.execute(_UNBOOK, {"of_id": booked.id})
            raise
        self._describe(booked, fields["description"])
        self._publish("scheduled", booked, now=now, correlation_id=correlation_id)
        return booked

    def move(self, appointment: Appointment, fields: Mapping[str, Any]) -> None:
        """Give up its time, and take that which ``fields`` say, and what else they say with it.

        :raises SlotTaken, PatientBusy: roll back to what was before.
        """
        for name, value in fields.items():
            setattr(appointment, name, value)
        self._claims.free([appointment.id])
        self._claims.take(appointment)

    def changed(self, appointment: Appointment, *, now: datetime) -> None:
        """Count the change. What is no longer booked needs neither a reminder nor another time."""
        appointment.version += 1
        appointment.updated_at = now
        if appointment.status != BOOKED:
            appointment.remind_at, appointment.uncovered = None, False

    def cancel(self, appointment: Appointment, *, reason: str | None, now: datetime) -> None:
        """Keep the record and free its time."""
        appointment.status = CANCELLED
        # About an erased patient nothing is written again.
        appointment.cancel_reason = None if appointment.erased_at else reason
        self.changed(appointment, now=now)
        self._claims.free([appointment.id])

    def erase(
        self, patient_id: int, *, clock: Callable[[], datetime], correlation_id: str
    ) -> None:
        """Cancel what the patient has still to come, and leave nothing that was written; when and
        with whom they met stays. What was erased before is left alone."""
        written = select(Appointment).where(
            Appointment.patient_id == patient_id, Appointment.erased_at.is_(None)
        )
        # Locked, so that a booking under way is waited for; and it is later when that is over.
        found = self._session.scalars(written.order_by(Appointment.id).with_for_update()).all()
        now = clock()
        upcoming = {
            each.id
            for each in found
            if is_upcoming(status=each.status, starts_at=each.starts_at, now=now)
        }
        self._claims.free(sorted(upcoming))
        for each in found:
            each.description, each.cancel_reason = ERASED, None
            each.erased_at, each.remind_at = now, None
            if each.id in upcoming:
                each.status = CANCELLED
                self.tell("cancelled", each, now=now, correlation_id=correlation_id)
            self.changed(each, now=now)
            what = "cancelled" if each.id in upcoming else "erased"
            self.note(what, each, by=SYSTEM, now=now)

    def tell(
        self,
        name: str,
        appointment: Appointment,
        *,
        now: datetime,
        correlation_id: str,
        **told: object,
    ) -> None:
        """Put the event ``name`` about ``appointment`` into the outbox.

        :param told: what it tells besides, by the names of ``AppointmentEventData``.
        """
        appointment.sequence += 1
        self._publish(name, appointment, now=now, correlation_id=correlation_id, **told)

    def note(
        self, what: str, appointment: Appointment | Opened, *, by: Caller, now: datetime
    ) -> None:
        """Add to the history what ``appointment`` is from now on, and who made it so."""
        self._session.execute(_NOTE, {
            "appointment_id": appointment.id,
            "at": now,
            "what": what,
            "actor_role": by.role,
            "actor_account": by.account,
            "doctor_id": appointment.doctor_id,
            "starts_at": appointment.starts_at,
            "ends_at": appointment.ends_at,
            "status": appointment.status,
            "version": appointment.version,
        })

    def _insert(self, row: Mapping[str, Any]) -> Opened:
        """As it was stored: with the columns' own values, or none, where ``row`` has nothing."""
        inserted: Any = self._session.execute(_BOOK, row)
        stored = dict.fromkeys(_ROWS.columns.keys()) | inserted.last_inserted_params()
        stored["id"] = inserted.inserted_primary_key.id
        return Opened(**stored, cancel_reason=None)

    def _describe(self, booked: Opened, description: str) -> None:
        """What is sealed is bound to the id, which the row has now."""
        sealed = vault_of(self._session).seal(
            description, table=_ROWS.name, column="description_sealed", row=booked.id
        )
        self._session.execute(_DESCRIBE, {"of_id": booked.id, "description_sealed": sealed})
        booked.description, booked.description_sealed = description, sealed

    def _publish(
        self,
        name: str,
        appointment: Appointment | Opened,
        *,
        now: datetime,
        correlation_id: str,
        **told: object,
    ) -> None:
        """As the event of the number that the row has counted up to."""
        event = envelope(
            source="appointment",
            name=name,
            subject=appointment.id,
            sequence=appointment.sequence,
            time=now,
            correlation_id=correlation_id,
            data={
                "appointment_id": appointment.id,
                "patient_id": appointment.patient_id,
                "doctor_id": appointment.doctor_id,
                "start": appointment.starts_at,
                "end": appointment.ends_at,
                "status": appointment.status,
                **told,
            },
        )
        publish(self._session, Outbox, name=name, event=event)

    def _check_not_erased(self, patient_id: int) -> None:
        """Call after the row is there. An erasure first says that it is one, then looks for rows;
        a booking first has its row, then looks for erasures. Both look with locks, so of two at
        once one finds the other, or waits for it."""
        if Erasures(self._session).include(patient_id):
            raise UnknownPatient(patient_id)


class Erasures:
    """Patients who were erased, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remember(self, patient_id: int, *, now: datetime) -> None:
        """From now on, nobody can be booked for; told again, nothing changes."""
        try:
            with self._session.begin_nested():
                self._session.add(Erasure(patient_id=patient_id, erased_at=now))
        except IntegrityError:
            # It is known; the database has just locked the row that says so.
            return

    def include(self, patient_id: int) -> bool:
        """Whether the patient was erased; an erasure under way is waited for."""
        return self._session.scalar(_ERASED, {"patient_id": patient_id}) is not None

    def unsettled(self, *, before: datetime, limit: int) -> Sequence[int]:
        """Patients who were erased ``before``, and were not looked at since."""
        waiting = select(Erasure.patient_id).where(
            Erasure.settled_at.is_(None), Erasure.erased_at < before
        )
        return self._session.scalars(waiting.order_by(Erasure.erased_at).limit(limit)).all()

    def settle(self, patient_id: int, *, now: datetime) -> None:
        done = update(Erasure).where(Erasure.patient_id == patient_id).values(settled_at=now)
        self._session.execute(done)
