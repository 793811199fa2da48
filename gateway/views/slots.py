"""When doctors can be booked, and why not: /doctors/{id}/slots and /slots"""

from typing import Any

from werkzeug import Response

from gateway.query import Kind, moment, read, whole_number
from gateway.responses import as_json
from gateway.visit import Visit

OF_DOCTOR: dict[str, Kind] = {"from": moment, "to": moment, "durationMinutes": whole_number}
EXPLAIN: dict[str, Kind] = {"start": moment, "durationMinutes": whole_number}
FIRST: dict[str, Kind] = {
    "speciality": str, "from": moment, "durationMinutes": whole_number, "limit": whole_number
}


def of_doctor(visit: Visit, doctor_id: int) -> Response:
    return _asked(visit, "slots", doctor_id, read(visit.request, OF_DOCTOR))


def explain(visit: Visit, doctor_id: int) -> Response:
    return _asked(visit, "explain", doctor_id, read(visit.request, EXPLAIN))


def first(visit: Visit) -> Response:
    return _asked(visit, "first_slots", read(visit.request, FIRST))


def _asked(visit: Visit, method: str, *args: Any) -> Response:
    return as_json(visit.ask("appointment", method, *args).result(), status=200)
