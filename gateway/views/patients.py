"""/patients"""

from werkzeug import Response

from gateway.request import ApiRequest
from gateway.responses import created, record
from gateway.rpc import Rpc


def create(request: ApiRequest, rpc: Rpc) -> Response:
    return created(rpc.ask("patient", "create", request.json_object()), under="/patients")


def get(request: ApiRequest, rpc: Rpc, patient_id: int) -> Response:
    return record(rpc.ask("patient", "get", patient_id))


def replace(request: ApiRequest, rpc: Rpc, patient_id: int) -> Response:
    return record(rpc.ask("patient", "update", patient_id, request.json_object()))
