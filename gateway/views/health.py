"""/livez and /readyz"""

from http import HTTPStatus

from werkzeug import Response

from gateway.request import ApiRequest
from gateway.responses import as_json
from gateway.rpc import Rpc


def alive(request: ApiRequest, rpc: Rpc) -> Response:
    return as_json({"status": "ok"}, status=HTTPStatus.OK)


def ready(request: ApiRequest, rpc: Rpc) -> Response:
    checks = rpc.health()
    if all(verdict == "ok" for verdict in checks.values()):
        return as_json({"status": "ok", "checks": checks}, status=HTTPStatus.OK)
    failing = {"status": "failing", "checks": checks}
    response = as_json(failing, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = "1"
    return response
