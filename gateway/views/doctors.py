"""/doctors"""

from werkzeug import Response

from gateway.request import ApiRequest
from gateway.responses import created, record
from gateway.rpc import Rpc


def create(request: ApiRequest, rpc: Rpc) -> Response:
    return created(rpc.ask("doctor", "create", request.json_object()), under="/doctors")


def get(request: ApiRequest, rpc: Rpc, doctor_id: int) -> Response:
    return record(rpc.ask("doctor", "get", doctor_id))


def replace(request: ApiRequest, rpc: Rpc, doctor_id: int) -> Response:
    return record(rpc.ask("doctor", "update", doctor_id, request.json_object()))
