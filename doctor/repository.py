"""Every query of the doctor service, in the words of the front desk."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from config.encryption import vault_of
from config.messaging.outbox import outbox_row
from config.word_index import WordIndex
from doctor.models import Doctor, DoctorWord, Outbox
from schemas.errors import DoctorNotFound, EmailTaken
from schemas.events import envelope
from schemas.people import email_key, name_words


class Doctors:
    """The registered doctors, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = WordIndex(session, DoctorWord, owner="doctor_id", purpose="name")

    def get(self, doctor_id: int) -> Doctor:
        """:raises DoctorNotFound: when there is no such doctor."""
        doctor = self._session.get(Doctor, doctor_id)
        if doctor is None:
            raise DoctorNotFound(doctor_id)
        return doctor

    def register(self, fields: Mapping[str, Any], *, now: datetime) -> Doctor:
        """:raises EmailTaken: when another doctor has this e-mail address."""
        doctor = Doctor(
            speciality=fields["speciality"],
            timezone=fields["timezone"],
            version=1,
            sequence=0,
            created_at=now,
        )
        self._session.add(doctor)
        self._save(doctor, fields, now=now)
        return doctor

    def replace(self, doctor_id: int, fields: Mapping[str, Any], *, now: datetime) -> Doctor:
        """:raises DoctorNotFound, EmailTaken: and nothing is changed."""
        # Locked, so that versions and event sequences have neither gap nor double.
        wanted = select(Doctor).where(Doctor.id == doctor_id).with_for_update()
        doctor = self._session.scalar(wanted)
        if doctor is None:
            raise DoctorNotFound(doctor_id)
        doctor.version += 1
        self._save(doctor, fields, now=now)
        return doctor

    def tell(self, name: str, doctor: Doctor, *, now: datetime, correlation_id: str) -> None:
        """Put the event ``name`` about ``doctor`` into the outbox."""
        doctor.sequence += 1
        event = envelope(
            source="doctor",
            name=name,
            subject=doctor.id,
            sequence=doctor.sequence,
            time=now,
            correlation_id=correlation_id,
            data={"doctor_id": doctor.id},
        )
        self._session.add(outbox_row(Outbox, name=name, event=event))

    def _save(self, doctor: Doctor, fields: Mapping[str, Any], *, now: datetime) -> None:
        doctor.email_key = self._email_key(fields["email"])
        doctor.updated_at = now
        try:
            # What is sealed is bound to the id, which a new row has after this.
            self._session.flush()
        except IntegrityError as taken:
            # The address is the table's only unique column.
            raise EmailTaken() from taken
        for name, value in fields.items():
            setattr(doctor, name, value)
        self._names.keep(doctor.id, name_words(doctor.name))

    def _email_key(self, email: str | None) -> str | None:
        compared = email_key(email)
        return None if compared is None else vault_of(self._session).index("email", compared)
