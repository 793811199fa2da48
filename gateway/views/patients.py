"""/patients"""

from werkzeug import Response

from gateway.paging import page_of, page_response
from gateway.reading import read
from gateway.registration import register
from gateway.responses import created, record
from gateway.versions import meant_versions
from gateway.visit import Visit
from schemas.accounts import ADMIN, PATIENT, STAFF
from schemas.errors import Forbidden, InvalidInput


def create(visit: Visit) -> Response:
    """With ``password`` for oneself; without one, the front desk for somebody else."""
    body = visit.request.json_object()
    if "password" in body:
        answer = register(visit, body)
    elif visit.caller.role in (STAFF, ADMIN):
        answer = visit.ask("patient", "create", body)
    elif visit.signed_in is None:
        raise InvalidInput({"password": "Is needed to register yourself."})  # nosec B105 # words
    else:
        raise Forbidden()
    patient = answer.result()
    visit.concern(PATIENT, patient["id"])
    return created(visit.request, patient, under="/patients")


def listed(visit: Visit) -> Response:
    """By words of the name and by e-mail address; without either, all."""
    page = page_of(visit.request)
    q, email = (visit.request.parameter(name) for name in ("q", "email"))
    found = visit.ask("patient", "find", q, email, page.limit, page.after or 0).result()
    for patient in found["items"]:
        visit.concern(PATIENT, patient["id"])
    return page_response(visit.request, found["items"], following=found["next"])


def get(visit: Visit, patient_id: int) -> Response:
    return record(visit.request, read(visit, "patient", patient_id))


def replace(visit: Visit, patient_id: int) -> Response:
    body, versions = visit.request.json_object(), meant_versions(visit.request)
    if visit.caller.role == PATIENT:
        visit.office.limits.own_record(account=visit.caller.identity)
    answer = visit.ask("patient", "update", patient_id, body, versions)
    return record(visit.request, answer.result())
