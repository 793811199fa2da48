"""/doctors"""

from collections.abc import Mapping
from typing import Any

from werkzeug import Response

from gateway.paging import page_of, page_response
from gateway.reading import read, read_list
from gateway.responses import created, record
from gateway.versions import VERSION, meant_versions
from gateway.visit import Visit
from schemas.accounts import DOCTOR, PATIENT

# What patients are told of a doctor, and the tags of this form of the record.
PUBLIC, PUBLIC_FORM = frozenset(("id", "name", "speciality", "timezone", VERSION)), "public"


def create(visit: Visit) -> Response:
    doctor = visit.ask("doctor", "create", visit.request.json_object()).result()
    return created(visit.request, doctor, under="/doctors")


def listed(visit: Visit) -> Response:
    """By words of the name and by speciality; without either, all."""
    page = page_of(visit.request)
    q, speciality = (visit.request.parameter(name) for name in ("q", "speciality"))
    found = read_list(visit, "doctors", q, speciality, page.limit, page.after or 0)
    for doctor in found["items"]:
        visit.concern(DOCTOR, doctor["id"])
    shown = [_shown(visit, doctor) for doctor in found["items"]]
    return page_response(visit.request, shown, following=found["next"])


def get(visit: Visit, doctor_id: int) -> Response:
    doctor = read(visit, "doctor", doctor_id)
    form = PUBLIC_FORM if visit.caller.role == PATIENT else ""
    return record(visit.request, _shown(visit, doctor), form=form)


def replace(visit: Visit, doctor_id: int) -> Response:
    body, versions = visit.request.json_object(), meant_versions(visit.request)
    return record(visit.request, visit.ask("doctor", "update", doctor_id, body, versions).result())


def _shown(visit: Visit, doctor: Mapping[str, Any]) -> Mapping[str, Any]:
    if visit.caller.role != PATIENT:
        return doctor
    return {name: value for name, value in doctor.items() if name in PUBLIC}
