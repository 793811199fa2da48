"""/livez and /readyz"""

from http import HTTPStatus

from werkzeug import Response

from gateway.responses import as_json
from gateway.visit import Visit


def alive(visit: Visit) -> Response:
    return as_json({"status": "ok"}, status=HTTPStatus.OK)


def ready(visit: Visit) -> Response:
    checks = visit.rpc().health() | visit.databases_answer()
    if all(verdict == "ok" for verdict in checks.values()):
        return as_json({"status": "ok", "checks": checks}, status=HTTPStatus.OK)
    failing = {"status": "failing", "checks": checks}
    response = as_json(failing, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = "1"
    return response
