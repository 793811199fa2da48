"""When everything that was under way has arrived."""

import httpx
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from appointment.models import Outbox
from config.messaging.topology import DEAD_LETTERS
from doctor.models import Outbox as DoctorOutbox
from patient.models import Outbox as PatientOutbox
from tests.drill.stage import WITNESS, Stage
from tests.drill.witness import Tally

OUTBOXES = {"patient": PatientOutbox, "doctor": DoctorOutbox, "appointment": Outbox}


def drained(stage: Stage) -> bool:
    """No event waits in an outbox, in a queue, or to be counted."""
    try:
        waiting = any(
            each.messages for each in stage.broker.depths() if each.queue != DEAD_LETTERS
        )
        if waiting or not published(stage):
            return False
        if not stage.supervisor.of(WITNESS):
            return True
        events = sum(_count(stage, name) for name in OUTBOXES)
        engine = stage.database(WITNESS)
        with engine.connect() as connection:
            counted = connection.scalar(select(func.count()).select_from(Tally)) or 0
        engine.dispose()
        return counted >= events
    except (httpx.HTTPError, DBAPIError):
        return False


def published(stage: Stage) -> bool:
    """No event waits in an outbox."""
    return not any(_count(stage, name, unpublished=True) for name in OUTBOXES)


def _count(stage: Stage, name: str, *, unpublished: bool = False) -> int:
    outbox, engine = OUTBOXES[name], stage.database(name)
    wanted = select(func.count()).select_from(outbox)
    if unpublished:
        wanted = wanted.where(outbox.published_at.is_(None))
    with engine.connect() as connection:
        count = connection.scalar(wanted) or 0
    engine.dispose()
    return count
