"""Pages of other origins may call when the settings name them, and only then."""

import pytest
from werkzeug import Response
from werkzeug.test import EnvironBuilder

from gateway.cors import open_to, preflight
from gateway.request import ApiRequest

OURS = "https://app.example"
ORIGINS = frozenset((OURS, "http://localhost:3000"))
FOREIGN = [
    None, "", "null", "https://evil.example", "http://app.example", "https://app.example:8443",
    "https://app.example.evil.example", "https://APP.example", "https://app.example/", "*",
    f"{OURS}, {OURS}", f"{OURS} https://evil.example",
]


def request(origin, *, method="GET", **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if origin is not None:
        sent["Origin"] = origin
    return ApiRequest(EnvironBuilder(method=method, headers=sent).get_environ())


def asks(origin):
    return request(origin, method="OPTIONS", Access_Control_Request_Method="PUT")


def opened(origin, origins=ORIGINS):
    response = Response()
    open_to(request(origin), response, origins)
    return response.headers


def cors_headers(headers):
    return [name for name in headers.keys() if name.lower().startswith("access-control")]


@pytest.mark.parametrize("origin", [OURS, *FOREIGN])
def test_nothing_is_said_unless_origins_are_configured(origin):
    headers = opened(origin, frozenset())
    assert cors_headers(headers) == [] and "Vary" not in headers
    assert preflight(asks(origin), frozenset()) is None


@pytest.mark.parametrize("origin", sorted(ORIGINS))
def test_a_page_of_ours_may_read_the_answer(origin):
    headers = opened(origin)
    assert headers.getlist("Access-Control-Allow-Origin") == [origin]
    for name in ("ETag", "Retry-After", "X-Correlation-Id", "Idempotent-Replayed", "Link"):
        assert name in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_may_not(origin):
    assert cors_headers(opened(origin)) == []
    assert preflight(asks(origin), ORIGINS) is None


@pytest.mark.parametrize("origin", [OURS, *FOREIGN])
def test_no_page_may_send_cookies(origin):
    assert "Access-Control-Allow-Credentials" not in opened(origin)


@pytest.mark.parametrize("origin", [OURS, None, "https://evil.example"])
def test_caches_are_told_that_answers_differ_by_origin(origin):
    assert opened(origin)["Vary"] == "Origin"


def test_a_page_of_ours_is_told_before_it_calls_what_it_may_send():
    answer = preflight(asks(OURS), ORIGINS)
    assert answer.status_code == 204
    methods = answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert methods == ["GET", "POST", "PUT", "PATCH", "DELETE"]
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"Authorization", "Content-Type", "Idempotency-Key", "If-Match"} <= set(allowed)
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(
    "other",
    [request(OURS), request(OURS, method="OPTIONS"),
     request(OURS, method="POST", Access_Control_Request_Method="PUT")],
)
def test_what_does_not_ask_is_no_preflight(other):
    assert preflight(other, ORIGINS) is None
