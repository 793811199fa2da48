"""When doctors can be booked, and why not: /doctors/{id}/slots and /slots"""

from typing import Any

from werkzeug import Response

from gateway.query import Kind, moment, read
from gateway.responses import as_json
from gateway.visit import Visit

# Numbers stay text, for the services to judge.
OF_DOCTOR: dict[str, Kind] = {"from": moment, "to": moment, "durationMinutes": str}
EXPLAIN: dict[str, Kind] = {"start": moment, "durationMinutes": str}
FIRST: dict[str, Kind] = {"speciality": str, "from": moment, "durationMinutes": str, "limit": str}


def of_doctor(visit: Visit, doctor_id: int) -> Response:
    return _asked(visit, "slots", doctor_id, read(visit.request, OF_DOCTOR))


def explain(visit: Visit, doctor_id: int) -> Response:
    return _asked(visit, "explain", doctor_id, read(visit.request, EXPLAIN))


def first(visit: Visit) -> Response:
    return _asked(visit, "first_slots", read(visit.request, FIRST))


def _asked(visit: Visit, method: str, *args: Any) -> Response:
    return as_json(visit.ask("appointment", method, *args).result(), status=200)
