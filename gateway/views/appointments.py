"""/appointments"""

from typing import Any

from werkzeug import Response

from gateway.responses import as_json, created, nothing
from gateway.visit import Visit
from schemas.accounts import PATIENT
from schemas.errors import UnknownPatient
from schemas.fields import is_id
from schemas.loading import load_id


def create(visit: Visit) -> Response:
    body = visit.request.json_object()
    if visit.caller.role == PATIENT:
        body = {"patientId": visit.caller.subject, **body}
    if is_id(body.get("patientId")):
        # Whatever comes of it: a refusal may tell that they are busy.
        visit.concern(PATIENT, body["patientId"])
    if visit.caller.role == PATIENT:
        _check_for_themselves(visit, body)
    answer = visit.ask("appointment", "schedule", body)
    visit.concern(PATIENT, answer.result()["patientId"])
    return created(answer, under="/appointments")


def get(visit: Visit, appointment_id: int) -> Response:
    return as_json(visit.appointment(appointment_id), status=200)


def cancel(visit: Visit, appointment_id: int) -> Response:
    reason = visit.request.parameter("reason")
    visit.appointment(appointment_id)
    return nothing(visit.ask("appointment", "cancel", appointment_id, reason))


def _check_for_themselves(visit: Visit, body: dict[str, Any]) -> None:
    """:raises UnknownPatient: for somebody else, as for somebody who is not there."""
    asked = load_id(body["patientId"], "patientId")
    if asked != visit.caller.subject:
        raise UnknownPatient(asked)
