"""/doctors/{id}/schedule and /doctors/{id}/time-off"""

from werkzeug import Response

from gateway import reading
from gateway.paging import page_of, page_response
from gateway.query import read, truth
from gateway.responses import as_json, created, nothing, record
from gateway.time_off import preview, take_off, with_affected
from gateway.versions import needed_versions
from gateway.visit import Visit


def get(visit: Visit, doctor_id: int) -> Response:
    return record(visit.request, reading.read(visit, "schedule", doctor_id))


def replace(visit: Visit, doctor_id: int) -> Response:
    body, versions = visit.request.json_object(), needed_versions(visit.request)
    answer = visit.ask("doctor", "set_schedule", doctor_id, body, versions)
    return record(visit.request, answer.result())


def add_time_off(visit: Visit, doctor_id: int) -> Response:
    """With ``dryRun``, only what it would affect is told."""
    body = visit.request.json_object()
    if not read(visit.request, {"dryRun": truth}).get("dryRun"):
        taken = take_off(visit, doctor_id, body)
        return created(visit.request, taken, under=f"/doctors/{doctor_id}/time-off")
    return as_json(preview(visit, doctor_id, body), status=200)


def times_off(visit: Visit, doctor_id: int) -> Response:
    page = page_of(visit.request)
    found = visit.ask("doctor", "find_time_off", doctor_id, page.limit, page.after or 0).result()
    shown = with_affected(visit, doctor_id, found["items"])
    return page_response(visit.request, shown, following=found["next"])


def remove_time_off(visit: Visit, doctor_id: int, time_off_id: int) -> Response:
    return nothing(visit.ask("doctor", "remove_time_off", doctor_id, time_off_id))
