"""What the doctor service does unasked: publish its outbox, forget old answers."""

from nameko.timer import timer

from config.clock import Clock
from config.idempotency import Database, forget_answers
from config.messaging.current_call import CurrentCall
from config.messaging.outbox import OutboxRelay
from doctor.models import Answer, DoctorBase, Outbox
from schemas import errors

HOUR = 3600


class DoctorBackground:
    name = "doctor_background"

    relay = OutboxRelay(DoctorBase, outbox=Outbox, source="doctor")
    store = Database(DoctorBase, answers=Answer, errors=errors)
    clock = Clock()
    call = CurrentCall()

    @timer(interval=HOUR)
    def forget_old_answers(self) -> None:
        self.store.read(lambda session: forget_answers(session, Answer, now=self.clock()))
