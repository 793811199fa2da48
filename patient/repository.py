"""Every query of the patient service, in the words of the front desk."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from config.encryption import SEALED, Opened, opened, vault_of
from config.messaging.outbox_tables import publish
from config.word_index import WordIndex
from patient.models import Outbox, Patient, PatientWord
from schemas.errors import EmailTaken, PatientNotFound
from schemas.events import envelope
from schemas.people import email_key, name_words

_ROWS: Any = Patient.__table__
# Of the table itself, which sees nothing that is not flushed; and made once: that takes longer
# than to send it.
_BY_ID = select(_ROWS).where(_ROWS.c.id == bindparam("id"))


class Patients:
    """The registered patients, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = WordIndex(session, PatientWord, owner="patient_id", purpose="name")

    def get(self, patient_id: int) -> Opened:
        """To be read only.

        :raises PatientNotFound: when there is no such patient, or not any more.
        """
        row = self._session.execute(_BY_ID, {"id": patient_id}).one_or_none()
        if row is None or row.erased_at is not None:
            raise PatientNotFound(patient_id)
        return opened(Patient, row, vault=vault_of(self._session))

    def get_locked(self, patient_id: int) -> Patient:
        """To be changed, and nobody else changes it until this transaction ends: so versions and
        event sequences have neither gap nor double."""
        return _present(self._locked(patient_id), patient_id)

    def get_to_erase(self, patient_id: int) -> Patient:
        """As ``get_locked``, and one who was erased before is found too."""
        patient = self._locked(patient_id)
        if patient is None:
            raise PatientNotFound(patient_id)
        return patient

    def registered(self, patient_id: int) -> bool:
        found = select(Patient.id).where(Patient.id == patient_id, Patient.erased_at.is_(None))
        return self._session.scalar(found) is not None

    def find(
        self, *, name: str | None, email: str | None, after: int, limit: int
    ) -> Sequence[Patient]:
        """Those with every word of ``name`` and with the address ``email``, by id, above
        ``after``."""
        found = select(Patient).where(Patient.id > after, Patient.erased_at.is_(None))
        if name is not None:
            found = found.where(Patient.id.in_(self._names.owners(name_words(name), after=after)))
        if email is not None:
            found = found.where(Patient.email_key == self._email_key(email))
        return self._session.scalars(found.order_by(Patient.id).limit(limit)).all()

    def register(self, fields: Mapping[str, Any], *, now: datetime) -> Patient:
        """:raises EmailTaken: when another patient has this e-mail address."""
        patient = Patient(version=1, sequence=0, created_at=now)
        self._session.add(patient)
        self._save(patient, fields, now=now)
        return patient

    def replace(self, patient: Patient, fields: Mapping[str, Any], *, now: datetime) -> None:
        """Give a locked ``patient`` these fields.

        :raises EmailTaken: and nothing is changed.
        """
        patient.version += 1
        self._save(patient, fields, now=now)

    def hold(self, patient: Patient, *, reason: str, now: datetime) -> None:
        """Keep the record from being erased, from the first time on."""
        patient.held_since = patient.held_since or now
        patient.hold_reason = reason

    def release(self, patient: Patient) -> None:
        patient.held_since = patient.hold_reason = None

    def erase(self, patient: Patient, *, now: datetime) -> None:
        """Leave the number, and when it was erased."""
        patient.erased_at = patient.erased_at or now
        patient.created_at = patient.updated_at = patient.erased_at
        patient.version += 1
        patient.email_key = patient.held_since = None
        for column in Patient.__table__.columns:
            if column.info.get(SEALED):
                setattr(patient, column.name, None if column.nullable else b"")
        self._session.execute(delete(PatientWord).where(PatientWord.patient_id == patient.id))

    def tell(self, name: str, patient: Patient, *, now: datetime, correlation_id: str) -> None:
        """Put the event ``name`` about ``patient`` into the outbox."""
        patient.sequence += 1
        event = envelope(
            source="patient",
            name=name,
            subject=patient.id,
            sequence=patient.sequence,
            time=now,
            correlation_id=correlation_id,
            data={"patient_id": patient.id},
        )
        publish(self._session, Outbox, name=name, event=event)

    def _locked(self, patient_id: int) -> Patient | None:
        wanted = select(Patient).where(Patient.id == patient_id).with_for_update()
        return self._session.scalar(wanted)

    def _save(self, patient: Patient, fields: Mapping[str, Any], *, now: datetime) -> None:
        patient.email_key = self._email_key(fields["email"])
        patient.updated_at = now
        try:
            # What is sealed is bound to the id, which a new row has after this.
            self._session.flush()
        except IntegrityError as taken:
            # The address is the table's only unique column.
            raise EmailTaken() from taken
        for name, value in fields.items():
            setattr(patient, name, value)
        self._names.keep(patient.id, name_words(patient.name))

    def _email_key(self, email: str | None) -> str | None:
        compared = email_key(email)
        return None if compared is None else vault_of(self._session).index("email", compared)


def _present(patient: Patient | None, patient_id: int) -> Patient:
    if patient is None or patient.erased_at is not None:
        raise PatientNotFound(patient_id)
    return patient
