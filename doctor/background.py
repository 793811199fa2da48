"""What the doctor service does unasked."""

from config.housekeeping import Housekeeping
from config.idempotency import Database
from config.messaging.outbox import OutboxRelay
from doctor.models import Answer, DoctorBase, Outbox
from schemas import errors


class DoctorBackground(Housekeeping):
    name = "doctor_background"

    relay = OutboxRelay(DoctorBase, outbox=Outbox, source="doctor")
    store = Database(DoctorBase, answers=Answer, errors=errors)
