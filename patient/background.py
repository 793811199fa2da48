"""What the patient service does unasked."""

from config.housekeeping import Housekeeping
from config.messaging.outbox import OutboxRelay
from config.service_database import Database
from patient.models import Answer, Outbox, PatientBase, RelayTurn
from schemas import errors


class PatientBackground(Housekeeping):
    name = "patient_background"

    relay = OutboxRelay(
        PatientBase,
        outbox=Outbox,
        turn=RelayTurn,
        source="patient",
        awaited={
            "registered": ("evt-patient-registered--appointment_background.patient_registered",),
            "updated": ("evt-patient-updated--gateway_background.patient_updated",),
            "erased": (
                "evt-patient-erased--appointment_background.patient_erased",
                "evt-patient-erased--gateway_background.patient_erased",
            ),
        },
    )
    store = Database(PatientBase, answers=Answer, errors=errors, subject="id")
