"""What the doctor service does unasked."""

from config.housekeeping import Housekeeping
from config.messaging.outbox import OutboxRelay
from config.service_database import Database
from doctor.models import Answer, DoctorBase, Outbox, RelayTurn
from schemas import errors


class DoctorBackground(Housekeeping):
    name = "doctor_background"

    relay = OutboxRelay(
        DoctorBase,
        outbox=Outbox,
        turn=RelayTurn,
        source="doctor",
        awaited={
            "registered": ("evt-doctor-registered--gateway_background.doctor_registered",),
            "updated": ("evt-doctor-updated--gateway_background.doctor_updated",),
            "schedule_changed": (
                "evt-doctor-schedule_changed--appointment_background.schedule_changed",
                "evt-doctor-schedule_changed--gateway_background.doctor_schedule_changed",
            ),
            "time_off_changed": (
                "evt-doctor-time_off_changed--appointment_background.time_off_changed",
            ),
        },
    )
    store = Database(DoctorBase, answers=Answer, errors=errors, subject="id")
