"""What the appointment service does unasked."""

from appointment.models import Answer, AppointmentBase, Outbox
from config.housekeeping import Housekeeping
from config.messaging.outbox import OutboxRelay
from config.service_database import Database
from schemas import errors


class AppointmentBackground(Housekeeping):
    name = "appointment_background"

    relay = OutboxRelay(AppointmentBase, outbox=Outbox, source="appointment")
    store = Database(AppointmentBase, answers=Answer, errors=errors, subject="patientId")
