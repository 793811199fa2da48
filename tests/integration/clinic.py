"""The services on databases of a test's own, as Nameko hands them to a worker, without a broker."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from appointment import models as appointment_models
from appointment.background import AppointmentBackground
from appointment.service import AppointmentService
from config.cache import Cache
from config.cache_provider import Copies
from config.cache_shelf import Shelf
from config.clock import utc_now
from config.encryption import SEALED, VAULT, Unreadable, Vault
from config.idempotency import Store
from config.messaging.call import Call
from config.messaging.caller import OPERATOR, SYSTEM, Caller
from config.messaging.client import Answer, Request
from config.programs import catalogue
from config.redis_trip import Trips
from doctor import models as doctor_models
from doctor.service import DoctorService
from gateway import models as gateway_models
from gateway.background import GatewayBackground
from gateway.cache import CACHE
from patient import models as patient_models
from patient.service import PatientService
from schemas import errors
from tests.integration.databases import transactions
from tests.vaults import vault_for
from tests.waiting import PATIENCE

DATABASES = ("patient", "doctor", "appointment", "gateway")
# What the appointment service is told by Nameko's configuration.
CONFIG = {
    "CANCEL_NOTICE_MINUTES": 1440,
    "REMINDER_MINUTES": (1440, 120),
    "CLINIC_TIMEZONE": "Europe/London",
}


@dataclass(frozen=True)
class Clinic:
    """``engines`` by the name of the database, each migrated and with its vault of the run."""

    engines: Mapping[str, Engine]
    # Of the gateway, in this process.
    cache: Cache = field(
        default_factory=lambda: Cache(vault_for(CACHE), Trips(None), shelf=Shelf())
    )
    clock: Callable[[], datetime] = utc_now

    def patients(self, key: str | None = None) -> PatientService:
        """:param key: the idempotency key of the next change, or a new one for each."""
        service = PatientService()
        self._equip(service, "patient", patient_models.Answer, subject="id", key=key)
        service.config = {"PHONE_REGION": None}
        return service

    def doctors(self, key: str | None = None) -> DoctorService:
        """:param key: as for the patients."""
        service = DoctorService()
        self._equip(service, "doctor", doctor_models.Answer, subject="id", key=key)
        service.config = {"PHONE_REGION": None, "CLINIC_TIMEZONE": "Europe/London"}
        return service

    def appointments(
        self, key: str | None = None, *, caller: Caller = OPERATOR
    ) -> AppointmentService:
        """It asks those who are above."""
        service = AppointmentService()
        self._equip(
            service,
            "appointment",
            appointment_models.Answer,
            subject="patientId",
            key=key,
            caller=caller,
        )
        service.ask, service.config = self._answer, CONFIG
        return service

    def appointment_background(self, key: str | None = None) -> AppointmentBackground:
        """:param key: the id of the next event, or a new one for each."""
        service = AppointmentBackground()
        self._equip(
            service,
            "appointment",
            appointment_models.Answer,
            subject="patientId",
            key=key,
            caller=SYSTEM,
            inbox=appointment_models.Inbox,
        )
        service.ask, service.config = self._answer, CONFIG
        return service

    def gateway_background(self, key: str | None = None) -> GatewayBackground:
        """:param key: as for the appointments."""
        service = GatewayBackground()
        inbox = gateway_models.Inbox
        self._equip(service, "gateway", gateway_models.Answer, key=key, inbox=inbox)
        service.copies = Copies(self.cache, Trips(None))
        return service

    def _answer(self, *requests: Request) -> list[Answer]:
        return [self._answer_one(request) for request in requests]

    def _answer_one(self, request: Request) -> Answer:
        services = {"patient": self.patients, "doctor": self.doctors}
        try:
            asked: Any = services[request.service]()
            return Answer(getattr(asked, request.method)(*request.args))
        except errors.SchedulingError as refusal:
            return Answer(error=refusal)

    def _equip(
        self,
        service: Any,
        database: str,
        answers: Any,
        *,
        subject: str | None = None,
        key: str | None = None,
        caller: Caller = OPERATOR,
        inbox: Any = None,
    ) -> None:
        def call() -> Call:
            made = uuid.uuid4().hex
            return Call(
                correlation_id=made,
                deadline=time.time() + PATIENCE,
                key=key or made,
                context={},
                caller=caller,
            )

        service.store = Store(
            transactions(self.engines[database], vault_for(database)),
            call=call,
            answers=answers,
            errors=errors,
            vault=vault_for(database),
            subject=subject,
            inbox=inbox,
            handler=service.name,
        )
        service.call, service.clock = call(), self.clock

    def session(self, database: str) -> Session:
        return Session(self.engines[database], info={VAULT: vault_for(database)})

    def events(self, table: Any, database: str, **of: Any) -> list[dict[str, Any]]:
        """What the relay would publish, in order."""
        with self.session(database) as session:
            rows = session.scalars(select(table).filter_by(**of).order_by(table.position))
            return [json.loads(row.body) for row in rows]

    def told_of(self, patient_id: int) -> list[dict[str, Any]]:
        return self.events(patient_models.Outbox, "patient", subject=str(patient_id))

    def everything(self, *, but: str = "") -> Iterator[str]:
        """All that can be read in any table by who has the keys.

        :param but: a table that is passed over.
        """
        for database, engine in self.engines.items():
            yield from readable(engine, vault_for(database), but=but)


def readable(engine: Engine, vault: Vault, *, but: str = "") -> Iterator[str]:
    """All that can be read in a database by who has its keys."""
    for table in catalogue().tables(vault.database).sorted_tables:
        if table.name == but:
            continue
        keys = list(table.primary_key.columns)
        with engine.connect() as connection:
            rows = connection.execute(select(table)).mappings().all()
        for row in rows:
            for column in table.columns:
                yield repr(row[column])
                if column.info.get(SEALED) and row[column]:
                    with suppress(Unreadable):
                        place = {"table": table.name, "column": column.name}
                        yield vault.open(row[column], row=row[keys[0]], **place)
