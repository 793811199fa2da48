"""What the appointment service does unasked: publish its outbox, forget old answers."""

from nameko.timer import timer

from appointment.models import Answer, AppointmentBase, Outbox
from config.clock import Clock
from config.idempotency import Database, forget_answers
from config.messaging.current_call import CurrentCall
from config.messaging.outbox import OutboxRelay
from schemas import errors

HOUR = 3600


class AppointmentBackground:
    name = "appointment_background"

    relay = OutboxRelay(AppointmentBase, outbox=Outbox, source="appointment")
    store = Database(AppointmentBase, answers=Answer, errors=errors)
    clock = Clock()
    call = CurrentCall()

    @timer(interval=HOUR)
    def forget_old_answers(self) -> None:
        self.store.read(lambda session: forget_answers(session, Answer, now=self.clock()))
