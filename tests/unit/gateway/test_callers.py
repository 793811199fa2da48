"""Who calls: what each is let do and told, and what the services learn of them."""

import pytest
import time_machine

from config.clock import utc_now
from config.messaging.call import receive
from config.messaging.caller import NOBODY, Caller
from config.messaging.client import Answer, Request
from gateway.accounts import Accounts, Sessions
from schemas import errors
from schemas.accounts import ADMIN, DOCTOR, PATIENT, ROLES, STAFF
from tests.unit.gateway.fakes import FakePool, new_account, token_of, visit_to

ADA, GARRETT = 7, 3
DOCTOR_RECORD = {
    "id": GARRETT, "name": "Dr Garrett", "speciality": "Surgery", "timezone": "Europe/London",
    "email": "garrett@example.org", "phone": "+442079460321", "createdAt": "2027-03-01T09:00:00Z",
}
BOOKED = {"id": 5, "patientId": ADA, "doctorId": GARRETT, "status": "booked"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# Signing in with a token


def test_a_stranger_is_told_to_sign_in_and_nobody_is_asked(serve):
    pool = FakePool()
    response = serve(pool, role=None).get("/patients/7")
    assert (response.status_code, response.json["code"]) == (401, "unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert pool.asked == []


@pytest.mark.parametrize("header", ["Bearer x", "Bearer", "Basic YTpi", "Bearer a.b.c", ""])
def test_a_bad_token_is_no_sign_in(serve, header):
    response = serve(role=None).get("/patients/7", headers={"Authorization": header})
    assert response.status_code == 401


def test_a_token_is_good_for_as_long_as_it_says(serve, office):
    client = serve(FakePool(doctor_get=Answer(DOCTOR_RECORD)), role=None)
    token = token_of(office, new_account(office, STAFF))
    with time_machine.travel(utc_now(), tick=False) as clock:
        clock.shift(14 * 60)
        assert client.get("/doctors/3", headers=bearer(token)).status_code == 200
        clock.shift(2 * 60)
        assert client.get("/doctors/3", headers=bearer(token)).status_code == 401


def test_a_refresh_token_is_no_access_token(serve, office):
    token = office.tokens.issue("0" * 32, account_id=1, refreshes=0).refresh
    assert serve(role=None).get("/me", headers=bearer(token)).status_code == 401


def test_a_token_of_a_session_that_never_was_is_not_good(serve, office):
    token = office.tokens.issue("0" * 32, account_id=1, refreshes=0).access
    assert serve(role=None).get("/me", headers=bearer(token)).status_code == 401


@pytest.mark.parametrize("how", ["ended", "disabled", "removed"])
def test_a_token_is_dead_with_the_next_request(serve, office, how):
    account_id = new_account(office, STAFF)
    token, client = token_of(office, account_id), serve(role=None)
    assert client.get("/me", headers=bearer(token)).status_code == 200

    def change(transaction):
        account = Accounts(transaction).get_locked(account_id)
        if how == "ended":
            Sessions(transaction).end_all(account_id, now=utc_now())
        elif how == "disabled":
            account.disabled = True
        else:
            Accounts(transaction).remove(account)

    visit = visit_to(office)
    visit.run(change)
    visit.sessions_changed(account_id)
    assert client.get("/me", headers=bearer(token)).status_code == 401


def test_a_session_over_is_over_whatever_its_token_says(serve, office):
    token = token_of(office, new_account(office, STAFF))
    session = office.tokens.claims_of_access(token).session_id
    with time_machine.travel(utc_now(), tick=False) as clock:
        clock.shift(14 * 24 * 3600 + 1)
        late = office.tokens.issue(session, account_id=1, refreshes=0).access
        assert serve(role=None).get("/me", headers=bearer(late)).status_code == 401


@pytest.mark.parametrize("role", ROLES)
def test_everybody_is_told_who_they_are(serve, role):
    subject = ADA if role in (PATIENT, DOCTOR) else None
    response = serve(role=role, subject=subject).get("/me")
    assert response.status_code == 200
    assert (response.json["role"], response.json["subjectId"]) == (role, subject)
    assert response.json["email"].startswith(role)


def test_a_database_that_is_away_is_no_refusal(serve, office, settings):
    client = serve()
    office.sessions._new.kw["bind"].dispose()
    for file in settings.data_dir.glob("gateway.sqlite3*"):
        file.unlink()
    response = client.get("/me")
    assert (response.status_code, response.json["code"]) == (503, "unavailable")
    assert int(response.headers["Retry-After"]) >= 1


# What they may do


@pytest.mark.parametrize(
    ("role", "subject", "status"),
    [(None, None, 401), (PATIENT, ADA, 200), (PATIENT, ADA + 1, 404), (PATIENT, None, 404),
     (DOCTOR, GARRETT, 200), (STAFF, None, 200), (ADMIN, None, 200)],
)
def test_a_patients_record_is_for_those_who_may(serve, role, subject, status):
    pool = FakePool(patient_get=Answer({"id": ADA}), appointment_has_met=Answer(True))
    response = serve(pool, role=role, subject=subject).get(f"/patients/{ADA}")
    assert response.status_code == status


def test_anothers_record_answers_like_one_that_is_missing(serve):
    pool = FakePool(patient_get=Answer(error=errors.PatientNotFound(ADA + 1)))
    others = serve(pool, role=PATIENT, subject=ADA).get(f"/patients/{ADA + 1}").json
    missing = serve(pool, role=STAFF).get(f"/patients/{ADA + 1}").json
    assert {**others, "correlationId": ""} == {**missing, "correlationId": ""}


def test_a_doctor_who_does_not_meet_a_patient_does_not_learn_of_them(serve):
    pool = FakePool(appointment_has_met=Answer(False))
    response = serve(pool, role=DOCTOR, subject=GARRETT).get(f"/patients/{ADA}")
    assert (response.status_code, response.json["code"]) == (404, "not_found")
    assert [asked.service for asked in pool.asked] == ["appointment"]


def test_whether_a_doctor_meets_a_patient_is_not_guessed(serve):
    pool = FakePool(appointment_has_met=errors.Unavailable("appointment"))
    response = serve(pool, role=DOCTOR, subject=GARRETT).get(f"/patients/{ADA}")
    assert response.status_code == 503


@pytest.mark.parametrize("role", [PATIENT, DOCTOR, STAFF])
def test_what_is_for_administrators_is_forbidden_to_others(serve, role):
    pool = FakePool()
    client = serve(pool, role=role, subject=ADA)
    for method, path in (("POST", "/doctors"), ("GET", "/accounts"), ("GET", "/audit")):
        response = client.open(path, method=method)
        assert (response.status_code, response.json["code"]) == (403, "forbidden")
    assert pool.asked == []


@pytest.mark.parametrize("role", [DOCTOR, STAFF, ADMIN])
def test_who_works_here_sees_all_of_a_doctor(serve, role):
    response = serve(FakePool(doctor_get=Answer(DOCTOR_RECORD)), role=role, subject=9).get(
        "/doctors/3"
    )
    assert response.json == DOCTOR_RECORD


def test_a_patient_sees_a_doctors_card(serve):
    client = serve(FakePool(doctor_get=Answer(DOCTOR_RECORD)), role=PATIENT, subject=ADA)
    card = {name: DOCTOR_RECORD[name] for name in ("id", "name", "speciality", "timezone")}
    assert client.get("/doctors/3").json == card


def test_an_appointment_is_asked_for_once(serve):
    pool = FakePool(appointment_get=Answer(BOOKED))
    response = serve(pool, role=PATIENT, subject=ADA).get("/appointments/5")
    assert (response.status_code, response.json) == (200, BOOKED)
    assert pool.asked == [Request("appointment", "get", (5,))]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_anothers_appointment_is_not_there(serve, method):
    pool = FakePool(appointment_get=Answer(BOOKED))
    client = serve(pool, role=PATIENT, subject=ADA + 1)
    assert client.open("/appointments/5", method=method).status_code == 404
    assert [asked.method for asked in pool.asked] == ["get"]


@pytest.mark.parametrize("sent", [{}, {"patientId": ADA}])
def test_a_patient_books_for_themselves(serve, sent):
    pool = FakePool(appointment_schedule=Answer(BOOKED))
    client = serve(pool, role=PATIENT, subject=ADA)
    response = client.post("/appointments", json={**sent, "doctorId": GARRETT})
    assert response.status_code == 201
    wish = {"doctorId": GARRETT, "patientId": ADA}
    assert pool.asked == [Request("appointment", "schedule", (wish,))]


@pytest.mark.parametrize(
    ("patient", "code"), [(ADA + 1, "unknown_patient"), (None, "invalid"), (str(ADA), "invalid"),
                          (True, "invalid"), (float(ADA), "invalid"), ([ADA], "invalid")]
)
def test_a_patient_books_for_nobody_else(serve, patient, code):
    pool = FakePool()
    client = serve(pool, role=PATIENT, subject=ADA)
    response = client.post("/appointments", json={"patientId": patient, "doctorId": GARRETT})
    assert (response.status_code, response.json["code"]) == (422, code)
    assert pool.asked == []


def test_a_doctor_does_not_book(serve):
    client = serve(role=DOCTOR, subject=GARRETT)
    assert client.post("/appointments", json={"doctorId": GARRETT}).status_code == 403


def test_a_patient_without_a_record_yet_books_nothing(serve):
    client = serve(role=PATIENT)
    assert client.post("/appointments", json={"doctorId": GARRETT}).status_code == 422


@pytest.mark.parametrize(
    ("role", "status"), [(None, 422), (PATIENT, 403), (DOCTOR, 403), (STAFF, 201), (ADMIN, 201)]
)
def test_the_front_desk_registers_others(serve, role, status):
    pool = FakePool(patient_create=Answer({"id": ADA}))
    response = serve(pool, role=role, subject=ADA).post("/patients", json={"name": "Ada"})
    assert response.status_code == status
    assert len(pool.asked) == (status == 201)


# What the services learn


def test_every_call_carries_who_calls_signed_for_it(serve, office):
    pool = FakePool(patient_get=Answer({"id": ADA}))
    serve(pool, role=PATIENT, subject=ADA).get(f"/patients/{ADA}")
    assert caller_of(office, pool) == Caller(PATIENT, 1, ADA)


def test_a_stranger_is_nobody_to_the_services(serve, office):
    pool = FakePool(
        patient_health=Answer("ok"), doctor_health=Answer("ok"), appointment_health=Answer("ok")
    )
    serve(pool, role=None).get("/readyz")
    assert caller_of(office, pool) == NOBODY


def caller_of(office, pool):
    sent = {name.removeprefix("nameko."): value for name, value in pool.headers[0].items()}
    ring = office.settings.keys.caller
    return receive(sent, seconds=1, ring=ring, message_id="m")["checked_caller"]


# The edge


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL",
             "X-Rewrite-URL"]
)
def test_a_request_that_asks_to_be_taken_for_another_is_refused(serve, name):
    pool = FakePool(patient_get=Answer({"id": ADA}))
    response = serve(pool).get("/patients/7", headers={name: "DELETE"})
    assert (response.status_code, response.json["code"]) == (400, "unreadable")
    assert pool.asked == []


def test_pages_of_other_origins_are_told_nothing_unless_configured(serve):
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    for response in (
        serve().open("/doctors/3", method="OPTIONS", headers=asked),
        serve(FakePool(doctor_get=Answer(DOCTOR_RECORD))).get("/doctors/3", headers=asked),
    ):
        assert not [name for name in response.headers.keys() if name.startswith("Access-")]


def test_a_page_of_ours_asks_and_then_calls(serve):
    origins = frozenset(("https://app.example",))
    client = serve(FakePool(doctor_get=Answer(DOCTOR_RECORD)), cors_origins=origins)
    headers = {"Origin": "https://app.example"}
    asks = {**headers, "Access-Control-Request-Method": "GET"}
    asked = client.open("/doctors/3", method="OPTIONS", headers=asks)
    assert asked.status_code == 204
    found, missing = (client.get(path, headers=headers) for path in ("/doctors/3", "/no"))
    for response in (asked, found, missing):
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted_apart"),
    [(0, "10.1.1.{}", False), (1, "10.1.1.{}", True), (1, "10.1.1.{}, 10.2.2.2", False)],
)
def test_an_address_is_believed_from_as_many_proxies_as_are_ours(
    serve, proxies, forwarded, counted_apart
):
    client = serve(role=None, trusted_proxies=proxies)
    body = {"email": "nobody@example.org"}
    answers = [
        client.post(
            "/patients", json={**body, "password": "x"},
            headers={"X-Forwarded-For": forwarded.format(number)},
        ).status_code
        for number in range(21)
    ]
    assert answers == [422] * 20 + [422 if counted_apart else 429]
