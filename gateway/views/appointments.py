"""/appointments"""

from typing import Any

from werkzeug import Response

from config.messaging.client import Answer
from gateway.responses import as_json, created, nothing
from gateway.visit import Visit
from schemas.accounts import PATIENT
from schemas.errors import UnknownPatient
from schemas.loading import load_id


def create(visit: Visit) -> Response:
    body = visit.request.json_object()
    if visit.caller.role == PATIENT:
        body = _for_themselves(visit, body)
    answer = visit.ask("appointment", "schedule", body)
    _concerning(visit, answer)
    return created(answer, under="/appointments")


def get(visit: Visit, appointment_id: int) -> Response:
    appointment = visit.known("appointment", "get", appointment_id)
    visit.concern(PATIENT, appointment["patientId"])
    return as_json(appointment, status=200)


def cancel(visit: Visit, appointment_id: int) -> Response:
    reason = visit.request.parameter("reason")
    answer = visit.ask("appointment", "cancel", appointment_id, reason)
    _concerning(visit, answer)
    return nothing(answer)


def _for_themselves(visit: Visit, body: dict[str, Any]) -> dict[str, Any]:
    """:raises UnknownPatient: for somebody else, as for somebody who is not there."""
    own = visit.caller.subject
    asked = load_id(body.get("patientId", own), "patientId")
    if asked != own:
        raise UnknownPatient(asked)
    return {**body, "patientId": own}


def _concerning(visit: Visit, answer: Answer) -> None:
    if answer.error is None:
        visit.concern(PATIENT, answer.value["patientId"])
