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
            name: (f"evt-doctor-{name}--appointment_background.{name}",)
            for name in ("schedule_changed", "time_off_changed")
        },
    )
    store = Database(DoctorBase, answers=Answer, errors=errors, subject="id")
