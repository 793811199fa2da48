"""Every query of the patient service, in the words of the front desk."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from config.messaging.outbox import outbox_row
from patient.models import Outbox, Patient
from schemas.errors import EmailTaken, PatientNotFound
from schemas.events import envelope
from schemas.people import email_key


class Patients:
    """The registered patients, inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, patient_id: int) -> Patient:
        """:raises PatientNotFound: when there is no such patient."""
        patient = self._session.get(Patient, patient_id)
        if patient is None:
            raise PatientNotFound(patient_id)
        return patient

    def registered(self, patient_id: int) -> bool:
        found = select(Patient.id).where(Patient.id == patient_id)
        return self._session.scalar(found) is not None

    def register(self, fields: Mapping[str, Any], *, now: datetime) -> Patient:
        """:raises EmailTaken: when another patient has this e-mail address."""
        patient = Patient(**fields, version=1, sequence=0, created_at=now)
        self._session.add(patient)
        self._save(patient, now=now)
        return patient

    def replace(self, patient_id: int, fields: Mapping[str, Any], *, now: datetime) -> Patient:
        """:raises PatientNotFound, EmailTaken: and nothing is changed."""
        # Locked, so that versions and event sequences have neither gap nor double.
        wanted = select(Patient).where(Patient.id == patient_id).with_for_update()
        patient = self._session.scalar(wanted)
        if patient is None:
            raise PatientNotFound(patient_id)
        for name, value in fields.items():
            setattr(patient, name, value)
        patient.version += 1
        self._save(patient, now=now)
        return patient

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
        self._session.add(outbox_row(Outbox, name=name, event=event))

    def _save(self, patient: Patient, *, now: datetime) -> None:
        patient.email_key = email_key(patient.email)
        patient.updated_at = now
        try:
            self._session.flush()
        except IntegrityError as taken:
            # The address is the table's only unique column.
            raise EmailTaken() from taken
