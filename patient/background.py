"""What the patient service does unasked: publish its outbox, forget old answers."""

from nameko.timer import timer

from config.clock import Clock
from config.idempotency import Database, forget_answers
from config.messaging.current_call import CurrentCall
from config.messaging.outbox import OutboxRelay
from patient.models import Answer, Outbox, PatientBase
from schemas import errors

HOUR = 3600


class PatientBackground:
    name = "patient_background"

    relay = OutboxRelay(PatientBase, outbox=Outbox, source="patient")
    store = Database(PatientBase, answers=Answer, errors=errors)
    clock = Clock()
    call = CurrentCall()

    @timer(interval=HOUR)
    def forget_old_answers(self) -> None:
        self.store.read(lambda session: forget_answers(session, Answer, now=self.clock()))
