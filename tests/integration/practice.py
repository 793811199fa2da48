"""Doctors and their appointments on real databases, at whatever time it is to be."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Engine, delete, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from appointment import models as appointment_models
from appointment.background import AppointmentBackground
from appointment.models import Appointment, Change, Claim, Inbox, KeptTimetable, Outbox
from appointment.service import AppointmentService
from config.database import connect
from config.encryption import VAULT
from config.idempotency import Store
from config.messaging.call import Call
from config.messaging.caller import OPERATOR, Caller
from config.messaging.client import Answer, Request
from doctor import models as doctor_models
from doctor.service import DoctorService
from schemas import errors
from schemas.events import envelope
from tests.integration.databases import migrated, transactions
from tests.vaults import vault_for
from tests.waiting import PATIENCE

# A Monday morning, an hour before work begins.
NOW = datetime(2027, 3, 1, 8, tzinfo=UTC)
WEEK = [
    {"day": day, "start": "09:00", "end": "17:00"} for day in ("mon", "tue", "wed", "thu", "fri")
]
PATIENTS = count(1)


@dataclass
class Practice:
    """Every patient is known in it, and the doctors who were registered."""

    engines: Mapping[str, Engine]
    now: datetime = NOW
    config: dict[str, Any] = field(default_factory=lambda: {
        "PHONE_REGION": None,
        "CLINIC_TIMEZONE": "UTC",
        "CANCEL_NOTICE_MINUTES": 1440,
        "REMINDER_MINUTES": (1440, 120),
    })

    def doctors(self) -> DoctorService:
        return self._equipped(DoctorService(), "doctor", doctor_models.Answer, subject="id")

    def appointments(
        self, *, caller: Caller = OPERATOR, key: str | None = None
    ) -> AppointmentService:
        """:param key: the idempotency key of the next change, or a new one for each."""
        service = AppointmentService()
        self._equipped(
            service,
            "appointment",
            appointment_models.Answer,
            subject="patientId",
            caller=caller,
            key=key,
        )
        service.ask = self.ask
        return service

    def background(self, key: str | None = None) -> AppointmentBackground:
        """:param key: the id of the next event, or a new one for each."""
        service = AppointmentBackground()
        self._equipped(
            service, "appointment", appointment_models.Answer, subject="patientId", key=key
        )
        service.ask = self.ask
        return service

    def ask(self, *requests: Request) -> list[Answer]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        if request.service == "patient":
            return Answer(True)
        try:
            told = getattr(self.doctors(), request.method)(*request.args)
        except errors.SchedulingError as refusal:
            return Answer(error=refusal)
        return Answer(json.loads(json.dumps(told)))

    def doctor(self, *, timezone: str = "UTC", **schedule: Any) -> int:
        """A new one; with ``weekly`` hours, they have a schedule."""
        fields = {
            "name": "Dr Elizabeth Garrett", "phone": "+442079460958",
            "speciality": uuid.uuid4().hex, "timezone": timezone,
        }
        doctor_id = int(self.doctors().create(fields)["id"])
        if schedule:
            self.doctors().set_schedule(doctor_id, schedule)
        return doctor_id

    def book(self, doctor_id: int, start: datetime, minutes: int | None = None) -> int:
        wanted = {
            "patientId": next(PATIENTS), "doctorId": doctor_id, "date": start.isoformat(),
            "description": "Check-up", "durationMinutes": minutes,
        }
        return int(self.appointments().schedule(wanted)["id"])

    def told(self, doctor_id: int, name: str, **data: Any) -> None:
        """The background hears that the doctor's timetable has changed."""
        event = envelope(
            source="doctor", name=name, subject=doctor_id, sequence=1, time=self.now,
            correlation_id="told-by-test", data={"doctor_id": doctor_id, **data},
        )
        getattr(self.background(), name)(event)

    def forget_timetable(self, doctor_id: int) -> None:
        """So that who is booked next has it asked for."""
        with self.session() as session, session.begin():
            session.execute(delete(KeptTimetable).filter_by(doctor_id=doctor_id))

    @contextmanager
    def session(self, database: str = "appointment") -> Iterator[Session]:
        with Session(self.engines[database], info={VAULT: vault_for(database)}) as session:
            yield session

    def stored(self, appointment_id: int) -> Appointment:
        with self.session() as session:
            return session.get_one(Appointment, appointment_id)

    def of(self, doctor_id: int) -> list[Appointment]:
        """The doctor's, cancelled ones too, in the order of their starts."""
        theirs = select(Appointment).filter_by(doctor_id=doctor_id)
        with self.session() as session:
            return list(session.scalars(theirs.order_by(Appointment.starts_at, Appointment.id)))

    def claims(self, doctor_id: int) -> list[Claim]:
        with self.session() as session:
            return list(session.scalars(select(Claim).filter_by(kind="D", resource_id=doctor_id)))

    def events(self, appointment_id: int) -> list[tuple[str, dict[str, Any]]]:
        """What was told of it, names and data, in the order of the sequence."""
        mine = select(Outbox).filter_by(subject=str(appointment_id)).order_by(Outbox.sequence)
        with self.session() as session:
            rows = list(session.scalars(mine))
        assert [row.sequence for row in rows] == list(range(1, len(rows) + 1))
        return [(row.name, json.loads(row.body)["data"]) for row in rows]

    def history(self, appointment_id: int) -> list[str]:
        mine = select(Change.what).filter_by(appointment_id=appointment_id).order_by(Change.id)
        with self.session() as session:
            return list(session.scalars(mine))

    def _equipped(
        self,
        service: Any,
        database: str,
        answers: Any,
        *,
        subject: str,
        caller: Caller = OPERATOR,
        key: str | None = None,
    ) -> Any:
        def call() -> Call:
            made = uuid.uuid4().hex
            return Call(
                correlation_id=made,
                deadline=time.time() + PATIENCE,
                key=key or made,
                context={},
                caller=caller,
            )

        vault = vault_for(database)
        service.store = Store(
            transactions(self.engines[database], vault),
            call=call, answers=answers, errors=errors, vault=vault, subject=subject,
            inbox=Inbox, handler=service.name,
        )
        service.call, service.clock, service.config = call(), lambda: self.now, self.config
        return service


@contextmanager
def open_practice(addresses: Mapping[str, str]) -> Iterator[Practice]:
    """On databases of its own: a relay of other tests must not tell what happens in them."""
    url = make_url(addresses["DATABASE_URL"])
    urls = {
        name: url.set(database=f"{url.database}_{uuid.uuid4().hex[:8]}_{name}")
        for name in ("doctor", "appointment")
    }
    with ExitStack() as databases:
        yield Practice({
            name: databases.enter_context(migrated(name, own, vault_for(name)))
            for name, own in urls.items()
        })
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        for own in urls.values():
            connection.execute(text(f"DROP DATABASE `{own.database}`"))
    server.dispose()


def later(**time: int) -> datetime:
    """So long after nine on the first Monday."""
    return datetime(2027, 3, 1, 9, tzinfo=UTC) + timedelta(**time)
