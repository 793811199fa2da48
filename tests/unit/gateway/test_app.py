"""The gateway as clients meet it, with the services replaced by answers written here."""

import gc
import json
import re
import time

import pytest
from werkzeug.test import EnvironBuilder

from config.breaker import FAILURES
from config.messaging.call import DeadlineExceeded
from config.messaging.client import Answer, Request
from gateway.request import ApiRequest
from schemas import errors
from tests.unit.gateway.fakes import FakePool

SECRET = "Ada Byron, 1985-12-10"


ADA = {"id": 7, "name": "Ada", "patientId": 7}
CHECKS = {
    "broker": "ok", "patient": "ok", "doctor": "ok", "appointment": "ok", "gateway": "ok",
    "audit": "ok",
}


def healthy():
    ok = Answer("ok")
    return FakePool(patient_health=ok, doctor_health=ok, appointment_health=ok)


# Without any service


def test_a_gateway_that_is_alive_says_so_without_asking_anybody(serve):
    pool = FakePool()
    response = serve(pool).get("/livez")
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    assert pool.asked == []


def test_an_unknown_path_is_a_problem_document(client):
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address.",
        "code": "not_found",
        "correlationId": response.headers["X-Correlation-Id"],
    }


def test_an_unknown_path_is_not_repeated_in_the_answer(client):
    assert b"Ada" not in client.get("/Ada%20Byron").data


def test_a_method_not_allowed_is_told_which_ones_are(client):
    response = client.patch("/doctors/7")
    assert (response.status_code, response.json["code"]) == (405, "method_not_allowed")
    allowed = {word.strip() for word in response.headers["Allow"].split(",")}
    assert allowed == {"GET", "HEAD", "PUT"}


@pytest.mark.parametrize("path", ["/livez", "/patients", "/patients/7", "/nowhere", "*"])
def test_a_request_is_not_echoed(serve, path):
    response = serve().open(path, method="TRACE")
    assert response.status_code in (404, 405)
    assert b"Bearer" not in response.data


def test_a_head_request_gets_the_headers_alone(client):
    response = client.head("/livez")
    assert (response.status_code, response.data) == (200, b"")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "unreadable"),
        (b"[]", "application/json", 400, "unreadable"),
        (b'{"id": 1, "id": 2}', "application/json", 400, "unreadable"),
        (b"[" * 50_000, "application/json", 400, "unreadable"),
        (b"{}" + b" " * 65_536, "application/json", 413, "too_large"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", None, 415, "unsupported_media_type"),
    ],
)
def test_a_body_that_cannot_be_read_goes_to_no_service(serve, body, content_type, status, code):
    pool = FakePool()
    response = serve(pool).post("/patients", data=body, content_type=content_type)
    assert (response.status_code, response.json["code"]) == (status, code)
    assert response.content_type == "application/problem+json"
    assert pool.asked == []


@pytest.mark.parametrize("key", ["", "two words", "x" * 256])
def test_a_bad_idempotency_key_goes_to_no_service(serve, key):
    pool = FakePool()
    response = serve(pool).post("/patients", json={}, headers={"Idempotency-Key": key})
    assert (response.status_code, response.json["code"]) == (400, "unreadable")
    assert "Idempotency-Key" in response.json["detail"]
    assert pool.asked == []


# What the services answer


def test_a_record_is_passed_on(serve):
    pool = FakePool(patient_get=Answer({"id": 7, "name": "Zoë 😀"}))
    response = serve(pool).get("/patients/7")
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert json.loads(response.data.decode("utf-8")) == {"id": 7, "name": "Zoë 😀"}
    assert pool.asked == [Request("patient", "get", (7,))]


@pytest.mark.parametrize(
    ("path", "service", "method"),
    [
        ("/patients", "patient", "create"),
        ("/doctors", "doctor", "create"),
        ("/appointments", "appointment", "schedule"),
    ],
)
def test_a_new_record_is_created_with_its_address(serve, path, service, method):
    pool = FakePool(**{f"{service}_{method}": Answer(ADA)})
    response = serve(pool).post(path, json={"name": "Ada"})
    assert (response.status_code, response.json) == (201, ADA)
    assert response.headers["Location"] == f"{path}/7"
    assert "Idempotent-Replayed" not in response.headers
    assert pool.asked == [Request(service, method, ({"name": "Ada"},))]


def test_an_answer_that_was_kept_says_so(serve):
    pool = FakePool(patient_create=Answer(ADA, replayed=True))
    response = serve(pool).post("/patients", json={}, headers={"Idempotency-Key": "k"})
    assert (response.status_code, response.json) == (201, ADA)
    assert response.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("service", ["patient", "doctor"])
def test_a_replaced_record_comes_back(serve, service):
    pool = FakePool(**{f"{service}_update": Answer(ADA)})
    response = serve(pool).put(f"/{service}s/7", json={"name": "Ada"})
    assert (response.status_code, response.json) == (200, ADA)
    assert pool.asked == [Request(service, "update", (7, {"name": "Ada"}, None))]


@pytest.mark.parametrize(
    ("query", "reason"), [("", None), ("?reason=ill", "ill"), ("?reason=", "")]
)
def test_a_cancelled_appointment_leaves_nothing_to_say(serve, query, reason):
    record = {"id": 7, "patientId": 1, "status": "cancelled"}
    pool = FakePool(appointment_get=Answer(record), appointment_cancel=Answer(record))
    response = serve(pool).delete(f"/appointments/7{query}")
    assert (response.status_code, response.data) == (204, b"")
    assert pool.asked[-1] == Request("appointment", "cancel", (7, reason, None))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidInput({"patientId": "Must be a whole number."}), 422),
        (errors.UnknownPatient(1), 422),
        (errors.InThePast(), 422),
        (errors.SlotTaken(), 409),
        (errors.RequestInFlight(), 409),
        (errors.Unavailable("doctor"), 503),
        (DeadlineExceeded(), 503),
    ],
)
@pytest.mark.parametrize("raised_by_the_pool", [True, False])
def test_a_refusal_of_a_service_reaches_the_client(serve, error, status, raised_by_the_pool):
    pool = FakePool(appointment_schedule=error if raised_by_the_pool else Answer(error=error))
    response = serve(pool).post("/appointments", json={})
    assert response.status_code == response.json["status"] == status
    assert response.content_type == "application/problem+json"
    assert ("Retry-After" in response.headers) == isinstance(
        error, errors.Unavailable | errors.RequestInFlight | DeadlineExceeded
    )


def test_invalid_fields_are_listed_for_the_client(serve):
    refusal = errors.InvalidInput({"email": "Not a valid e-mail address."})
    response = serve(FakePool(patient_create=Answer(error=refusal))).post("/patients", json={})
    assert response.json["errors"] == [
        {"field": "email", "message": "Not a valid e-mail address."}
    ]


def test_an_unexpected_error_is_told_to_nobody(serve, log):
    client = serve(FakePool(patient_get=RuntimeError(SECRET)))
    response = client.get("/patients/7", headers={"X-Correlation-Id": "abc"})
    assert (response.status_code, response.json["code"]) == (500, "internal_error")
    assert response.json["correlationId"] == "abc"
    assert "RuntimeError" in log.getvalue() and "[abc]" in log.getvalue()
    for text in (response.text, log.getvalue()):
        assert "Ada" not in text and "1985" not in text


def test_after_an_unexpected_error_the_next_request_goes_well(serve):
    pool = FakePool(patient_get=RuntimeError(SECRET))
    client = serve(pool)
    client.get("/patients/7")
    pool.answers["patient.get"] = Answer(ADA)
    assert client.get("/patients/7").status_code == 200


# Readiness


def test_a_gateway_is_ready_when_everything_it_needs_is(serve):
    response = serve(healthy()).get("/readyz")
    assert (response.status_code, response.json) == (200, {"status": "ok", "checks": CHECKS})


@pytest.mark.parametrize("service", ["patient", "doctor", "appointment"])
@pytest.mark.parametrize("silent", [True, False])
def test_a_service_that_fails_is_named(serve, service, silent):
    pool, failure = healthy(), errors.Unavailable("database")
    pool.answers[f"{service}.health"] = failure if silent else Answer(error=failure)
    response = serve(pool).get("/readyz")
    assert response.status_code == 503
    assert response.json == {"status": "failing", "checks": CHECKS | {service: "failing"}}
    assert int(response.headers["Retry-After"]) >= 1


def test_a_broker_that_fails_is_named(serve):
    pool = healthy()
    pool.broker_failure = ConnectionRefusedError()
    response = serve(pool).get("/readyz")
    assert response.status_code == 503
    assert response.json["checks"] == CHECKS | {"broker": "failing"}


def test_a_kind_of_call_that_is_left_alone_is_told_of_and_does_not_make_it_unready(serve):
    pool = healthy()
    for _ in range(FAILURES):
        pool.breakers["patient", "get"].admit(seconds=1).failed(TimeoutError())
    response = serve(pool).get("/readyz")
    assert (response.status_code, response.json) == (
        200, {"status": "ok", "checks": CHECKS, "breakers": {"patient.get": "open"}}
    )


# What travels to the services


def test_a_call_ends_when_the_time_for_a_request_is_over(serve):
    pool, before = FakePool(patient_get=Answer(ADA)), time.time()
    serve(pool).get("/patients/7")
    (deadline,) = pool.deadlines
    assert before + 60 <= deadline <= time.time() + 60
    assert pool.headers[0]["nameko.deadline"] == pytest.approx(deadline, abs=0.01)


def test_the_correlation_id_travels_along(serve):
    pool = FakePool(patient_get=Answer(ADA))
    serve(pool).get("/patients/7", headers={"X-Correlation-Id": "abc"})
    assert pool.headers[0]["nameko.correlation_id"] == "abc"


def keys_sent(serve, *headers):
    pool = FakePool(patient_create=Answer(ADA))
    client = serve(pool)
    for one in headers:
        client.post("/patients", json={}, headers=one)
    return [sent["nameko.idempotency_key"] for sent in pool.headers]


def test_the_clients_key_travels_along_the_same_each_time_but_not_as_it_is(serve):
    first, again = keys_sent(serve, {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"})
    assert first == again != "k"


def test_requests_without_a_key_are_told_apart(serve):
    first, second = keys_sent(serve, {}, {})
    assert first != second


# What every answer carries

EVERY_KIND = [
    pytest.param("GET", "/livez", 200, id="200"),
    pytest.param("POST", "/doctors", 201, id="201"),
    pytest.param("DELETE", "/appointments/7", 204, id="204"),
    pytest.param("POST", "/patients", 409, id="409"),
    pytest.param("GET", "/nowhere", 404, id="404"),
    pytest.param("POST", "/livez", 405, id="405"),
    pytest.param("PUT", "/doctors/7", 415, id="415"),
    pytest.param("GET", "/patients/7", 500, id="500"),
    pytest.param("GET", "/doctors/7", 503, id="503"),
]


@pytest.fixture
def ask_for(serve):
    client = serve(
        FakePool(
            doctor_create=Answer(ADA),
            appointment_get=Answer({"patientId": 1}),
            appointment_cancel=Answer({"patientId": 1}),
            patient_create=Answer(error=errors.EmailTaken()),
            patient_get=RuntimeError(SECRET),
            doctor_get=errors.Unavailable("doctor"),
        )
    )

    def ask_for(method, path, **headers):
        body = {"json": {}} if method == "POST" else {}
        return client.open(path, method=method, headers=headers, **body)

    return ask_for


@pytest.mark.parametrize(("method", "path", "status"), EVERY_KIND)
def test_every_answer_has_the_security_headers_once(ask_for, method, path, status):
    response = ask_for(method, path)
    assert response.status_code == status
    for name, value in {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }.items():
        assert response.headers.getlist(name) == [value]


@pytest.mark.parametrize(("method", "path", "status"), EVERY_KIND)
def test_every_answer_has_the_correlation_id_that_was_sent(ask_for, method, path, status):
    response = ask_for(method, path, **{"X-Correlation-Id": "Abc-1._9"})
    assert response.status_code == status
    assert response.headers.getlist("X-Correlation-Id") == ["Abc-1._9"]
    if status >= 400:
        assert response.json["correlationId"] == "Abc-1._9"


@pytest.mark.parametrize("sent", ["", "two words", "x" * 65, "a\nSet-Cookie: x=1"])
def test_a_correlation_id_that_is_not_sane_is_replaced(client, sent):
    response = client.get("/nowhere", environ_overrides={"HTTP_X_CORRELATION_ID": sent})
    used = response.headers["X-Correlation-Id"]
    assert re.fullmatch("[0-9a-f]{32}", used)
    assert response.json["correlationId"] == used
    assert "Set-Cookie" not in response.headers


# The log


def test_a_request_leaves_one_line_with_its_route_instead_of_its_address(serve, log):
    serve(FakePool(patient_get=Answer(ADA))).get(
        "/patients/4711?email=ada@example.com", headers={"X-Correlation-Id": "abc"}
    )
    (line,) = (line for line in log.getvalue().splitlines() if "gateway request" in line)
    assert "gateway request method=GET route=/patients/<patient_id> status=422" in line
    assert " caller=account/1 ms=" in line
    assert line.endswith("[abc]")
    assert "4711" not in log.getvalue() and "ada" not in log.getvalue()


def test_an_address_that_leads_nowhere_is_not_logged(client, log):
    client.get("/Ada%20Byron?born=1985")
    assert "route=- status=404" in log.getvalue()
    assert "Ada" not in log.getvalue() and "1985" not in log.getvalue()


def test_half_a_character_in_the_name_of_a_field_comes_back_as_an_escape(serve):
    refusal = errors.InvalidInput({"\ud800": "Unknown field."})
    client = serve(FakePool(patient_create=refusal))
    answer = client.post("/patients", data=b'{"\\ud800": 1}', content_type="application/json")
    assert answer.status_code == 422
    assert json.loads(answer.data)["errors"][0]["field"] == "\ud800"


def test_a_deadline_that_has_passed_is_told_in_words(serve):
    client = serve(FakePool(patient_get=DeadlineExceeded()))
    assert "deadline" in client.get("/patients/1").json["detail"]


STALE = {"Authorization": "Bearer of-another-time"}


@pytest.mark.parametrize("path", ["/auth/login", "/auth/refresh"])
def test_a_stale_token_does_not_keep_anybody_from_getting_a_new_one(client, path):
    answer = client.post(path, json={}, headers=STALE)
    assert answer.status_code == 422


def test_a_stale_token_is_no_concern_of_a_probe(client):
    assert client.get("/livez", headers=STALE).status_code == 200


def test_a_stale_token_is_refused_where_it_matters_who_calls(client):
    assert client.post("/patients", json={}, headers=STALE).status_code == 401


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/patients?foo=1", "foo"),
        ("/patients?q=ada&q=bo", "q"),
        ("/patients?Q=ada", "Q"),
        ("/patients/7?q=ada", "q"),
        ("/accounts?page=2", "page"),
    ],
)
def test_a_parameter_that_is_not_known_is_not_passed_over(serve, path, named):
    answer = serve(FakePool()).get(path)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [named]


def requests_in_memory():
    return sum(type(each) is ApiRequest for each in gc.get_objects())


def test_a_request_is_gone_with_its_answer_and_leaves_nothing_to_collect(client):
    environ = EnvironBuilder("/livez").get_environ()
    gc.collect()
    gc.disable()
    try:
        before = requests_in_memory()
        client.application(environ, lambda status, headers: None).close()
        assert requests_in_memory() == before
    finally:
        gc.enable()
