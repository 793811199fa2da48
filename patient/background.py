"""What the patient service does unasked."""

from config.housekeeping import Housekeeping
from config.idempotency import Database
from config.messaging.outbox import OutboxRelay
from patient.models import Answer, Outbox, PatientBase
from schemas import errors


class PatientBackground(Housekeeping):
    name = "patient_background"

    relay = OutboxRelay(PatientBase, outbox=Outbox, source="patient")
    store = Database(PatientBase, answers=Answer, errors=errors)
