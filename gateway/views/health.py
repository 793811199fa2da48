"""/livez and /readyz"""

from http import HTTPStatus

from werkzeug import Response

from gateway.responses import as_json
from gateway.visit import Visit


def alive(visit: Visit) -> Response:
    return as_json({"status": "ok"}, status=HTTPStatus.OK)


def ready(visit: Visit) -> Response:
    """Besides the checks it tells of open breakers, which do not fail it: they close by calls that
    go well, and a gateway that is sent none would never be ready again."""
    checks = visit.rpc().health() | visit.databases_answer()
    breakers = visit.rpc().breakers()
    told = {"checks": checks} | ({"breakers": breakers} if breakers else {})
    if all(verdict == "ok" for verdict in checks.values()):
        return as_json({"status": "ok", **told}, status=HTTPStatus.OK)
    response = as_json({"status": "failing", **told}, status=HTTPStatus.SERVICE_UNAVAILABLE)
    response.headers["Retry-After"] = "1"
    return response
