"""Every query about who the doctors are, in the words of the front desk; ``timetables`` has those
about when they can be booked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from config.encryption import Opened, opened, vault_of
from config.messaging.outbox_tables import publish
from config.word_index import WordIndex
from doctor.models import Doctor, DoctorWord, Outbox
from schemas.errors import DoctorNotFound, EmailTaken
from schemas.events import envelope
from schemas.people import email_key, name_words, speciality_key

TIMETABLE_CHANGES = ("schedule_changed", "time_off_changed")

_ROWS: Any = Doctor.__table__
# Of the table itself, which sees nothing that is not flushed; and made once: that takes longer
# than to send it.
_BY_ID = select(_ROWS).where(_ROWS.c.id == bindparam("id"))


class Doctors:
    """The registered doctors, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = WordIndex(session, DoctorWord, owner="doctor_id", purpose="name")

    def get(self, doctor_id: int) -> Opened:
        """To be read only.

        :raises DoctorNotFound: when there is no such doctor.
        """
        row = self._session.execute(_BY_ID, {"id": doctor_id}).one_or_none()
        if row is None:
            raise DoctorNotFound(doctor_id)
        return opened(Doctor, row, vault=vault_of(self._session))

    def check_there(self, doctor_id: int) -> None:
        """:raises DoctorNotFound: when there is no such doctor."""
        if self._session.scalar(select(Doctor.id).where(Doctor.id == doctor_id)) is None:
            raise DoctorNotFound(doctor_id)

    def get_locked(self, doctor_id: int) -> Doctor:
        """To be changed, and nobody else changes it, or its timetable, until this transaction ends:
        so versions and event sequences have neither gap nor double."""
        doctor = self._session.scalar(
            select(Doctor).where(Doctor.id == doctor_id).with_for_update()
        )
        if doctor is None:
            raise DoctorNotFound(doctor_id)
        return doctor

    def find(
        self, *, name: str | None, speciality: str | None, after: int, limit: int
    ) -> Sequence[Doctor]:
        """Those with every word of ``name`` and of this ``speciality``, by id, above ``after``."""
        found = select(Doctor).where(Doctor.id > after)
        if name is not None:
            found = found.where(Doctor.id.in_(self._names.owners(name_words(name), after=after)))
        if speciality is not None:
            found = found.where(Doctor.speciality_key == speciality_key(speciality))
        return self._session.scalars(found.order_by(Doctor.id).limit(limit)).all()

    def register(self, fields: Mapping[str, Any], *, now: datetime) -> Doctor:
        """:raises EmailTaken: when another doctor has this e-mail address."""
        doctor = Doctor(version=1, sequence=0, created_at=now)
        self._session.add(doctor)
        self._save(doctor, fields, now=now)
        return doctor

    def replace(self, doctor: Doctor, fields: Mapping[str, Any], *, now: datetime) -> None:
        """Give a locked ``doctor`` these fields.

        :raises EmailTaken: and nothing is changed.
        """
        doctor.version += 1
        self._save(doctor, fields, now=now)

    def move(self, doctor: Doctor, timezone: str, *, now: datetime) -> None:
        """From now on a locked ``doctor`` is in another time zone."""
        doctor.timezone = timezone
        doctor.version += 1
        doctor.updated_at = now

    def tell(self, name: str, doctor: Doctor, *, now: datetime, correlation_id: str) -> None:
        """Put the event ``name`` about ``doctor`` into the outbox."""
        doctor.sequence += 1
        told = {"doctor_id": doctor.id}
        if name in TIMETABLE_CHANGES:
            told["schedule_version"] = doctor.schedule_version
        event = envelope(
            source="doctor",
            name=name,
            subject=doctor.id,
            sequence=doctor.sequence,
            time=now,
            correlation_id=correlation_id,
            data=told,
        )
        publish(self._session, Outbox, name=name, event=event)

    def _save(self, doctor: Doctor, fields: Mapping[str, Any], *, now: datetime) -> None:
        doctor.email_key = self._email_key(fields["email"])
        doctor.speciality, doctor.timezone = fields["speciality"], fields["timezone"]
        doctor.speciality_key = speciality_key(doctor.speciality)
        doctor.updated_at = now
        try:
            # What is sealed is bound to the id, which a new row has after this.
            self._session.flush()
        except IntegrityError as taken:
            # The address is the table's only unique column.
            raise EmailTaken() from taken
        doctor.name, doctor.email, doctor.phone = fields["name"], fields["email"], fields["phone"]
        self._names.keep(doctor.id, name_words(doctor.name))

    def _email_key(self, email: str | None) -> str | None:
        compared = email_key(email)
        return None if compared is None else vault_of(self._session).index("email", compared)
