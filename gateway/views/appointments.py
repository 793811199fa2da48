"""/appointments"""

from werkzeug import Response

from gateway.request import ApiRequest
from gateway.responses import created, nothing, record
from gateway.rpc import Rpc


def create(request: ApiRequest, rpc: Rpc) -> Response:
    return created(rpc.ask("appointment", "schedule", request.json_object()), under="/appointments")


def get(request: ApiRequest, rpc: Rpc, appointment_id: int) -> Response:
    return record(rpc.ask("appointment", "get", appointment_id))


def cancel(request: ApiRequest, rpc: Rpc, appointment_id: int) -> Response:
    reason = request.parameter("reason")
    return nothing(rpc.ask("appointment", "cancel", appointment_id, reason))
