"""/doctors"""

from werkzeug import Response

from gateway.responses import as_json, created, record
from gateway.visit import Visit
from schemas.accounts import PATIENT

# What patients are told of a doctor.
PUBLIC = ("id", "name", "speciality", "timezone")


def create(visit: Visit) -> Response:
    return created(visit.ask("doctor", "create", visit.request.json_object()), under="/doctors")


def get(visit: Visit, doctor_id: int) -> Response:
    answer = visit.ask("doctor", "get", doctor_id)
    if visit.caller.role == PATIENT:
        doctor = answer.result()
        return as_json({name: doctor[name] for name in PUBLIC}, status=200)
    return record(answer)


def replace(visit: Visit, doctor_id: int) -> Response:
    return record(visit.ask("doctor", "update", doctor_id, visit.request.json_object()))
