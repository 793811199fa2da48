"""/appointments"""

from typing import Any

from werkzeug import Response

from gateway.calendar import MEDIA_TYPE, as_calendar
from gateway.paging import page_of, page_response
from gateway.query import Kind, moment, read, truth, whole_number
from gateway.responses import as_json, created, nothing, record, tagged
from gateway.versions import meant_versions, needed_versions, tag_of
from gateway.visit import Visit
from schemas.accounts import DOCTOR, PATIENT
from schemas.appointment import Place, StatusSchema
from schemas.errors import UnknownPatient
from schemas.fields import is_id
from schemas.loading import load, load_id

FILTERS: dict[str, Kind] = {
    "patientId": whole_number,
    "doctorId": whole_number,
    "status": str,
    "from": moment,
    "to": moment,
    "unresolved": truth,
    "uncovered": truth,
}
# By which these find their own, whatever they ask for.
OWN = {PATIENT: "patientId", DOCTOR: "doctorId"}


def create(visit: Visit) -> Response:
    body = visit.request.json_object()
    if visit.caller.role == PATIENT:
        body = {"patientId": visit.caller.subject, **body}
    if is_id(body.get("patientId")):
        # Whatever comes of it: a refusal may tell that they are busy.
        visit.concern(PATIENT, body["patientId"])
    if visit.caller.role == PATIENT:
        _check_for_themselves(visit, body)
    booked = visit.ask("appointment", "schedule", body).result()
    visit.concern(PATIENT, booked["patientId"])
    return created(visit.request, booked, under="/appointments")


def listed(visit: Visit) -> Response:
    page, role = page_of(visit.request, place=Place()), visit.caller.role
    asked = read(visit.request, FILTERS)
    if role in OWN:
        asked[OWN[role]] = visit.caller.subject
    if is_id(asked.get("patientId")):
        visit.concern(PATIENT, asked["patientId"])
    asked |= {"limit": page.limit, "after": page.after}
    found = visit.ask("appointment", "find", asked).result()
    for appointment in found["items"]:
        visit.concern(PATIENT, appointment["patientId"])
    return page_response(visit.request, found["items"], following=found["next"])


def get(visit: Visit, appointment_id: int) -> Response:
    return record(visit.request, visit.appointment(appointment_id))


def history(visit: Visit, appointment_id: int) -> Response:
    visit.appointment(appointment_id)
    return as_json(visit.ask("appointment", "history", appointment_id).result(), status=200)


def calendar(visit: Visit, appointment_id: int) -> Response:
    appointment = visit.appointment(appointment_id)
    # Keyed: no two clinics give the same one, and nobody can tell the id from it.
    uid = visit.office.vault.index("calendar", str(appointment_id))[:32]
    response = Response(as_calendar(appointment, uid=uid), status=200, content_type=MEDIA_TYPE)
    name = f"appointment-{appointment_id}.ics"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return tagged(visit.request, response, tag_of(appointment))


def reschedule(visit: Visit, appointment_id: int) -> Response:
    visit.appointment(appointment_id)
    body, versions = visit.request.json_object(), needed_versions(visit.request)
    answer = visit.ask("appointment", "reschedule", appointment_id, body, versions)
    return record(visit.request, answer.result())


def set_status(visit: Visit, appointment_id: int) -> Response:
    visit.appointment(appointment_id)
    status = load(StatusSchema(), visit.request.json_object())["status"]
    versions = meant_versions(visit.request)
    answer = visit.ask("appointment", "set_status", appointment_id, status, versions)
    return record(visit.request, answer.result())


def cancel(visit: Visit, appointment_id: int) -> Response:
    reason, versions = visit.request.parameter("reason"), meant_versions(visit.request)
    visit.appointment(appointment_id)
    return nothing(visit.ask("appointment", "cancel", appointment_id, reason, versions))


def _check_for_themselves(visit: Visit, body: dict[str, Any]) -> None:
    """:raises UnknownPatient: for somebody else, as for somebody who is not there."""
    asked = load_id(body["patientId"], "patientId")
    if asked != visit.caller.subject:
        raise UnknownPatient(asked)
