"""The same operations as one writes them with stock Nameko, and without our guarantees.

No sign-in, limits, audit, deadlines, idempotency, events or encryption; and two that book one time
at one moment may both get it.
"""

import json
from datetime import datetime, timedelta
from typing import Any

from nameko.rpc import RpcProxy, rpc
from nameko.web.handlers import http
from nameko_sqlalchemy import Database
from sqlalchemy import select
from werkzeug import Request, Response

from tests.bench.stock_tables import Appointment, Patient, StockBase

LENGTH = timedelta(minutes=30)


class Records:
    name = "records"

    database = Database(StockBase)

    @rpc
    def echo(self, value: Any) -> Any:
        return value

    @rpc
    def patient(self, patient_id: int) -> dict[str, Any] | None:
        with self.database.get_session() as session:
            found = session.get(Patient, patient_id)
            if found is None:
                return None
            told = {name: getattr(found, name) for name in ("id", "name", "email", "phone")}
            return {**told, "dob": found.dob.isoformat(), "address": found.address}

    @rpc
    def book(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
        start = datetime.fromisoformat(wanted["date"]).replace(tzinfo=None)
        end = start + LENGTH
        with self.database.get_session() as session:
            meets = (Appointment.starts_at < end, Appointment.ends_at > start)
            for whose in (Appointment.doctor_id == wanted["doctorId"],
                          Appointment.patient_id == wanted["patientId"]):
                if session.scalar(select(Appointment.id).where(whose, *meets).limit(1)):
                    return None
            booked = Appointment(
                patient_id=wanted["patientId"], doctor_id=wanted["doctorId"],
                starts_at=start, ends_at=end, description=wanted["description"],
            )
            session.add(booked)
            session.flush()
            return {"id": booked.id, "end": end.isoformat()}


class Web:
    name = "web"

    records = RpcProxy("records")

    @http("GET", "/patients/<int:patient_id>")
    def patient(self, request: Request, patient_id: int) -> Response:
        return _answer(self.records.patient(patient_id), 200, missing=404)

    @http("POST", "/appointments")
    def book(self, request: Request) -> Response:
        return _answer(self.records.book(json.loads(request.get_data())), 201, missing=409)


def _answer(told: dict[str, Any] | None, status: int, *, missing: int) -> Response:
    found = told is not None
    return Response(
        json.dumps(told), status=status if found else missing, mimetype="application/json"
    )
