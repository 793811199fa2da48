"""A downstream consumer whose effect is not repeatable by nature: it counts each event it is told.
"""

import random
from typing import Any

from sqlalchemy import String, update
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from config.answers import AnswerColumns
from config.database import MYSQL_TABLE
from config.messaging.events import event_handler
from config.messaging.inbox import LONGEST_EVENT_ID, InboxColumns
from config.programs import Program
from config.service_database import Database
from schemas import errors

# So many deliveries fail, so that events rest in the delay queues whatever is being broken.
FAILING = 0.01

PROGRAM = Program("witness", "tests.drill.witness:Witness", "witness")


class WitnessBase(DeclarativeBase):
    pass


class Tally(WitnessBase):
    """How many times an event had its effect."""

    __tablename__ = "tally"
    __table_args__ = (MYSQL_TABLE,)

    event_id: Mapped[str] = mapped_column(String(LONGEST_EVENT_ID), primary_key=True)
    times: Mapped[int]


class Inbox(InboxColumns, WitnessBase):
    __tablename__ = "inbox"
    __table_args__ = (MYSQL_TABLE,)


class Answer(AnswerColumns, WitnessBase):
    __tablename__ = "answer"
    __table_args__ = (MYSQL_TABLE,)


class Witness:
    name = "witness"

    store = Database(WitnessBase, answers=Answer, errors=errors, inbox=Inbox)

    @event_handler("patient", "registered")
    @event_handler("patient", "erased")
    @event_handler("doctor", "registered")
    @event_handler("doctor", "schedule_changed")
    @event_handler("doctor", "time_off_changed")
    @event_handler("appointment", "scheduled")
    @event_handler("appointment", "rescheduled")
    @event_handler("appointment", "cancelled")
    @event_handler("appointment", "status_changed")
    @event_handler("appointment", "uncovered")
    @event_handler("appointment", "covered")
    def count(self, event: Any) -> None:
        if random.random() < FAILING:
            raise RuntimeError("on purpose")
        self.store.once(lambda session: count_up(session, event["id"]))


def count_up(session: Session, event_id: str) -> None:
    # Two statements, so that one more comes on top of whatever is there.
    session.execute(insert(Tally).values(event_id=event_id, times=0).prefix_with("IGNORE"))
    session.execute(
        update(Tally).where(Tally.event_id == event_id).values(times=Tally.times + 1)
    )
