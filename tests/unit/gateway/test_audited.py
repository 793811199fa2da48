"""What is asked about people is on record before the answer leaves; else there is no answer."""

import pytest

from config.messaging.client import Answer
from schemas import errors
from schemas.accounts import ADMIN, DOCTOR, PATIENT, STAFF
from tests.unit.gateway.fakes import FakePool, new_account, token_of

ADA, GARRETT = 7, 3
BOOKED = {"id": 5, "patientId": ADA, "doctorId": GARRETT}
CREATED = {"id": ADA}


def session_of(office, account):
    return office.tokens.claims_of_access(token_of(office, account)).session_id


def entry_of(office):
    (entry,) = office.trail.entries
    return entry


def test_a_read_is_on_record_with_who_what_and_whose(serve, office):
    client = serve(FakePool(patient_get=Answer(CREATED)), role=STAFF)
    client.get("/patients/7", headers={"X-Correlation-Id": "abc"})
    entry = entry_of(office)
    assert (entry.actor_role, entry.actor_account) == (STAFF, 1)
    assert entry.action == "GET /patients/<patient_id>"
    assert (entry.resource, entry.subject) == ("patient/7", "patient/7")
    assert (entry.outcome, entry.correlation_id) == ("200", "abc")


@pytest.mark.parametrize(
    ("role", "subject", "answer", "outcome"),
    [
        (None, None, None, "401"),
        (PATIENT, ADA + 1, None, "404"),
        (STAFF, None, Answer(error=errors.PatientNotFound(ADA)), "404"),
        (STAFF, None, errors.Unavailable("patient"), "503"),
        (STAFF, None, RuntimeError("Ada"), "500"),
    ],
)
def test_what_was_not_answered_is_on_record_too(serve, office, role, subject, answer, outcome):
    serve(FakePool(patient_get=answer), role=role, subject=subject).get(f"/patients/{ADA}")
    entry = entry_of(office)
    assert (entry.outcome, entry.subject) == (outcome, f"patient/{ADA}")
    assert entry.actor_role == (role or "nobody")


@pytest.mark.parametrize(
    ("method", "path", "body", "answers"),
    [
        ("POST", "/patients", {}, {"patient_create": Answer(CREATED)}),
        ("PUT", "/patients/7", {}, {"patient_update": Answer(CREATED)}),
        ("POST", "/appointments", {}, {"appointment_schedule": Answer(BOOKED)}),
        ("GET", "/appointments/5", None, {"appointment_get": Answer(BOOKED)}),
        ("DELETE", "/appointments/5", None,
         {"appointment_get": Answer(BOOKED), "appointment_cancel": Answer(BOOKED)}),
    ],
)
def test_whose_data_it_was_is_on_record(serve, office, method, path, body, answers):
    response = serve(FakePool(**answers)).open(path, method=method, json=body)
    assert response.status_code < 300
    assert entry_of(office).subject == f"patient/{ADA}"


def test_an_attempt_at_anothers_appointment_is_on_record_as_theirs(serve, office):
    client = serve(FakePool(appointment_get=Answer(BOOKED)), role=DOCTOR, subject=GARRETT + 1)
    assert client.get("/appointments/5").status_code == 404
    entry = entry_of(office)
    assert (entry.resource, entry.subject) == ("appointment/5", f"patient/{ADA}")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/livez"), ("GET", "/nowhere"), ("PATCH", "/doctors/7")]
)
def test_what_tells_nothing_about_people_is_not_on_record(serve, office, method, path):
    serve().open(path, method=method)
    assert office.trail.entries == []


@pytest.mark.parametrize(
    ("method", "path", "answers"),
    [
        ("GET", "/patients/7", {"patient_get": Answer({"id": ADA, "name": "Ada Byron"})}),
        ("POST", "/patients", {"patient_create": Answer({"id": ADA, "name": "Ada Byron"})}),
        ("GET", "/patients/7", {"patient_get": Answer(error=errors.PatientNotFound(ADA))}),
        ("GET", "/patients/7", {"patient_get": RuntimeError("Ada")}),
        ("GET", "/me", {}),
    ],
)
def test_what_cannot_be_recorded_is_not_answered(serve, office, method, path, answers):
    client = serve(FakePool(**answers), role=ADMIN)
    office.trail.refuses = True
    response = client.open(path, method=method, json={} if method == "POST" else None)
    assert (response.status_code, response.json["code"]) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert "Ada" not in response.text and "Location" not in response.headers


def test_a_gateway_that_cannot_record_is_alive(serve, office):
    client = serve()
    office.trail.refuses = True
    assert client.get("/livez").status_code == 200


def test_what_is_typed_into_an_address_is_not_on_record(serve, office):
    pool = FakePool(appointment_cancel=Answer(BOOKED))
    serve(pool).delete("/appointments/5?reason=Ada+is+ill")
    assert "ill" not in repr(entry_of(office))


def test_each_person_in_a_list_has_a_line(serve, office):
    found = {"items": [{"id": ADA}, {"id": ADA + 1}], "next": None}
    serve(FakePool(patient_find=Answer(found)), role=STAFF).get("/patients?q=ada")
    assert [entry.subject for entry in office.trail.entries] == ["patient/7", "patient/8"]
    assert {entry.action for entry in office.trail.entries} == {"GET /patients"}


def test_an_empty_list_has_a_line_too(serve, office):
    serve(FakePool(patient_find=Answer({"items": [], "next": None})), role=STAFF).get("/patients")
    assert entry_of(office).subject is None


def test_an_answer_that_is_not_on_record_is_not_called_a_replay(serve, office):
    office.trail.refuses = True
    answer = serve(FakePool(patient_create=Answer(CREATED, replayed=True))).post(
        "/patients", json={}
    )
    assert answer.status_code == 503
    assert "Idempotent-Replayed" not in answer.headers


def test_an_unexpected_failure_of_the_trail_is_answered_like_any_other(serve, office):
    office.trail.record = None
    answer = serve(FakePool(patient_get=Answer(CREATED))).get(f"/patients/{ADA}")
    assert answer.status_code == 500
    assert answer.content_type == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "answer", [Answer(error=errors.PatientBusy()), Answer(error=errors.InvalidInput({"date": "-"}))]
)
def test_a_refused_booking_names_whom_it_was_for(serve, office, answer):
    client = serve(FakePool(appointment_schedule=answer), role=STAFF)
    client.post("/appointments", json={"patientId": ADA})
    assert entry_of(office).subject == f"patient/{ADA}"


@pytest.mark.parametrize("sent", [None, "7", True, 0, 2**63, [7], {"id": 7}])
def test_what_is_no_patients_id_is_not_put_on_record(serve, office, sent):
    refused = Answer(error=errors.InvalidInput({"patientId": "-"}))
    serve(FakePool(appointment_schedule=refused)).post("/appointments", json={"patientId": sent})
    assert entry_of(office).subject is None


def test_a_look_at_a_doctor_is_about_the_doctor(serve, office):
    serve(FakePool(doctor_get=Answer({"id": GARRETT}))).get(f"/doctors/{GARRETT}")
    assert entry_of(office).subject == f"doctor/{GARRETT}"


def test_whoever_looks_at_logins_looks_at_the_people_behind_them(serve, office):
    ada = new_account(office, PATIENT, subject=ADA)
    serve().get("/accounts")
    about = [entry.subject for entry in office.trail.entries]
    assert {f"account/{ada}", f"patient/{ADA}"} <= set(about)
    assert serve().patch(f"/accounts/{ada}", json={"disabled": True}).status_code == 200
    assert [entry.subject for entry in office.trail.entries[-2:]] == [
        f"account/{ada}", f"patient/{ADA}"
    ]


def test_a_refresh_token_used_twice_names_the_login(serve, office, log):
    account = new_account(office, STAFF)
    pair = office.tokens.issue(session_of(office, account), account_id=account, refreshes=1)
    answer = serve(role=None).post("/auth/refresh", json={"refreshToken": pair.refresh})
    assert answer.status_code == 401
    assert entry_of(office).subject == f"account/{account}"
    assert "refresh token used twice" in log.getvalue()
