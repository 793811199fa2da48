"""Versions of records over HTTP, lists of doctors and appointments, and what changes the latter."""

import json

import pytest

from config.messaging.client import Answer, Request
from schemas import errors
from schemas.accounts import ADMIN, DOCTOR, PATIENT, STAFF
from tests.unit.gateway.fakes import FakePool

ADA, GARRETT = 7, 3
NINE = "2027-03-01T09:00:00Z"
PATIENT_RECORD = {"id": ADA, "name": "Ada Byron", "version": 2}
DOCTOR_RECORD = {
    "id": GARRETT, "name": "Dr Garrett", "email": "garrett@example.org", "version": 2,
    "speciality": "Surgery", "timezone": "Europe/London",
}
PUBLIC = {"id": GARRETT, "name": "Dr Garrett", "speciality": "Surgery", "timezone": "Europe/London"}
BOOKED = {
    "id": 5, "patientId": ADA, "doctorId": GARRETT, "date": NINE, "status": "booked", "version": 2
}
RECORDS = pytest.mark.parametrize(
    ("path", "asked", "stored"),
    [
        ("/patients/7", "patient_get", PATIENT_RECORD),
        ("/doctors/3", "doctor_get", DOCTOR_RECORD),
        ("/doctors/3/schedule", "doctor_get_schedule", {"weekly": None, "version": 2}),
        ("/appointments/5", "appointment_get", BOOKED),
    ],
)


def bare(stored):
    return {name: value for name, value in stored.items() if name != "version"}


# Reading


@RECORDS
def test_a_record_comes_with_its_tag(serve, path, asked, stored):
    answer = serve(FakePool(**{asked: Answer(stored)})).get(path)
    assert (answer.status_code, answer.json) == (200, bare(stored))
    assert answer.headers.getlist("ETag") == ['"2"']


@RECORDS
@pytest.mark.parametrize("sent", ['"2"', 'W/"2"', "*", '"1", "2"'])
def test_who_has_a_record_is_told_so_and_it_is_on_record(serve, office, path, asked, stored, sent):
    client = serve(FakePool(**{asked: Answer(stored)}))
    answer = client.get(path, headers={"If-None-Match": sent})
    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == '"2"' and "Content-Type" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert [entry.outcome for entry in office.trail.entries] == ["304"]


@RECORDS
def test_who_has_an_older_version_is_sent_the_newer(serve, path, asked, stored):
    client = serve(FakePool(**{asked: Answer(stored)}))
    assert client.get(path, headers={"If-None-Match": '"1"'}).status_code == 200
    assert client.head(path, headers={"If-None-Match": '"2"'}).status_code == 304


@RECORDS
def test_a_condition_that_cannot_be_read_is_told(serve, path, asked, stored):
    client = serve(FakePool(**{asked: Answer(stored)}))
    answer = client.get(path, headers={"If-None-Match": "2"})
    assert (answer.status_code, answer.json["code"]) == (400, "unreadable")


def test_what_patients_are_told_of_a_doctor_has_tags_of_its_own(serve):
    client = serve(FakePool(doctor_get=Answer(DOCTOR_RECORD)), role=PATIENT, subject=ADA)
    answer = client.get("/doctors/3", headers={"If-None-Match": '"2"'})
    assert (answer.status_code, answer.json) == (200, PUBLIC)
    assert answer.headers["ETag"] == '"2.public"'
    again = client.get("/doctors/3", headers={"If-None-Match": '"2.public"'})
    assert (again.status_code, again.headers["ETag"]) == (304, '"2.public"')


# Making and replacing


@pytest.mark.parametrize(
    ("path", "asked", "stored"),
    [
        ("/patients", "patient_create", PATIENT_RECORD),
        ("/doctors", "doctor_create", DOCTOR_RECORD),
        ("/appointments", "appointment_schedule", BOOKED),
    ],
)
def test_a_new_record_comes_with_its_tag(serve, path, asked, stored):
    answer = serve(FakePool(**{asked: Answer(stored)})).post(path, json={})
    assert (answer.status_code, answer.json) == (201, bare(stored))
    assert answer.headers["ETag"] == '"2"'


def test_an_answer_kept_from_before_there_were_versions_has_no_tag(serve):
    pool = FakePool(patient_create=Answer(bare(PATIENT_RECORD), replayed=True))
    answer = serve(pool).post("/patients", json={})
    assert answer.status_code == 201 and "ETag" not in answer.headers


@pytest.mark.parametrize(
    ("path", "service", "stored"),
    [("/patients/7", "patient", PATIENT_RECORD), ("/doctors/3", "doctor", DOCTOR_RECORD)],
)
@pytest.mark.parametrize(
    ("headers", "versions"),
    [({}, None), ({"If-Match": "*"}, None), ({"If-Match": '"1", "2"'}, [1, 2]),
     ({"If-Match": 'W/"2"'}, []), ({"If-None-Match": "*"}, [0])],
)
def test_a_record_is_replaced_for_the_versions_that_are_named(
    serve, path, service, stored, headers, versions
):
    pool = FakePool(**{f"{service}_update": Answer({**stored, "version": 3})})
    answer = serve(pool).put(path, json={"name": "Ada"}, headers=headers)
    assert (answer.status_code, answer.json) == (200, bare(stored))
    assert answer.headers["ETag"] == '"3"'
    assert pool.asked == [Request(service, "update", (stored["id"], {"name": "Ada"}, versions))]


def test_an_export_shows_records_as_they_are_shown_elsewhere(serve):
    line = {"what": "scheduled", "version": 1}
    pool = FakePool(
        patient_export=Answer({"patient": PATIENT_RECORD, "legalHold": None}),
        appointment_export=Answer([{**BOOKED, "history": [line]}]),
    )
    told = serve(pool).get("/patients/7/export").json
    assert told["patient"] == bare(PATIENT_RECORD)
    assert told["appointments"] == [{**bare(BOOKED), "history": [line]}]


# Lists


@pytest.mark.parametrize("role", [DOCTOR, STAFF, ADMIN])
def test_doctors_are_found_by_name_and_speciality(serve, role):
    pool = FakePool(doctor_find=Answer({"items": [DOCTOR_RECORD], "next": 3}))
    answer = serve(pool, role=role, subject=9).get("/doctors?q=garrett&speciality=Surgery&limit=1")
    assert answer.json["items"] == [bare(DOCTOR_RECORD)]
    assert answer.headers["Link"].endswith('>; rel="next"') and answer.json["nextCursor"]
    assert pool.asked == [Request("doctor", "find", ("garrett", "Surgery", 1, 0))]


def test_patients_find_only_what_helps_to_choose_a_doctor(serve, office):
    pool = FakePool(doctor_find=Answer({"items": [DOCTOR_RECORD], "next": None}))
    answer = serve(pool, role=PATIENT, subject=ADA).get("/doctors")
    assert answer.json == {"items": [PUBLIC], "nextCursor": None}
    assert pool.asked == [Request("doctor", "find", (None, None, 20, 0))]
    assert [entry.subject for entry in office.trail.entries] == ["doctor/3"]


def found(serve, query, *, role=STAFF, subject=None, items=(BOOKED,), following=None):
    """What was asked of the service, and the answer."""
    pool = FakePool(appointment_find=Answer({"items": list(items), "next": following}))
    answer = serve(pool, role=role, subject=subject).get(f"/appointments{query}")
    return [request.args[0] for request in pool.asked], answer


def test_appointments_are_found_by_what_was_asked_for(serve):
    (asked,), answer = found(
        serve,
        "?patientId=7&doctorId=3&status=booked&from=2027-03-01&to=2027-03-02T09:00+01:00"
        "&unresolved=true&uncovered=false&limit=5",
    )
    assert asked == {
        "patientId": 7, "doctorId": 3, "status": "booked", "from": "2027-03-01",
        "to": "2027-03-02T09:00+01:00", "unresolved": True, "uncovered": False, "limit": 5,
        "after": None,
    }
    assert answer.json == {"items": [bare(BOOKED)], "nextCursor": None}


def test_the_next_page_of_appointments_begins_where_the_last_one_ended(serve):
    _, first = found(serve, "?limit=1", following=[NINE, "5"])
    (asked,), _ = found(serve, f"?limit=1&cursor={first.json['nextCursor']}")
    assert (asked["after"], asked["limit"]) == ([NINE, "5"], 1)


@pytest.mark.parametrize(
    ("role", "name"), [(PATIENT, "patientId"), (DOCTOR, "doctorId")]
)
@pytest.mark.parametrize("query", ["", "?patientId=8&doctorId=8"])
def test_patients_and_doctors_find_their_own_whatever_they_ask_for(serve, role, name, query):
    (asked,), _ = found(serve, query, role=role, subject=4)
    assert asked[name] == 4


def test_the_other_filter_is_theirs(serve):
    (asked,), _ = found(serve, "?doctorId=3", role=PATIENT, subject=ADA)
    assert (asked["patientId"], asked["doctorId"]) == (ADA, 3)


@pytest.mark.parametrize(
    ("query", "field"),
    [("patientId=x", "patientId"), ("doctorId=-1", "doctorId"), ("unresolved=1", "unresolved"),
     ("uncovered=", "uncovered"), ("limit=101", "limit"), ("cursor=x", "cursor"),
     ("page=2", "page")],
)
def test_a_filter_that_cannot_be_read_is_not_passed_over(serve, query, field):
    asked, answer = found(serve, f"?{query}")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert asked == []


def test_each_patient_of_a_list_has_a_line(serve, office):
    found(serve, "", items=[BOOKED, {**BOOKED, "id": 6}, {**BOOKED, "id": 8, "patientId": 8}])
    assert [entry.subject for entry in office.trail.entries] == ["patient/7", "patient/8"]


@pytest.mark.parametrize(
    ("options", "subject"),
    [({"role": PATIENT, "subject": ADA}, "patient/7"), ({}, None)],
)
def test_an_empty_list_is_about_who_was_asked_for(serve, office, options, subject):
    found(serve, "", items=[], **options)
    assert [entry.subject for entry in office.trail.entries] == [subject]


def test_that_somebody_has_no_appointment_is_about_them_too(serve, office):
    found(serve, "?patientId=8", items=[])
    assert [entry.subject for entry in office.trail.entries] == ["patient/8"]


# Changes of an appointment


def changing(serve, body, role=PATIENT, subject=ADA, **headers):
    pool = FakePool(
        appointment_get=Answer(BOOKED),
        appointment_reschedule=Answer({**BOOKED, "version": 3}),
        appointment_set_status=Answer({**BOOKED, "version": 3}),
    )
    client = serve(pool, role=role, subject=subject)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return pool, client, sent, body


def test_an_appointment_is_moved_for_the_version_that_was_read(serve, office):
    pool, client, headers, body = changing(serve, {"date": NINE}, If_Match='"2"')
    answer = client.patch("/appointments/5", json=body, headers=headers)
    assert (answer.status_code, answer.json) == (200, bare(BOOKED))
    assert answer.headers["ETag"] == '"3"'
    assert pool.asked[-1] == Request("appointment", "reschedule", (5, {"date": NINE}, [2]))
    assert [entry.subject for entry in office.trail.entries] == ["patient/7"]


def test_an_appointment_is_not_moved_by_who_does_not_say_what_they_read(serve):
    pool, client, headers, body = changing(serve, {"date": NINE})
    answer = client.patch("/appointments/5", json=body, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (428, "precondition_required")
    assert [request.method for request in pool.asked] == ["get"]


def test_others_do_not_learn_that_there_is_something_to_move(serve):
    _, client, headers, body = changing(serve, {"date": NINE}, subject=ADA + 1)
    answer = client.patch("/appointments/5", json=body, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_refused_move_tells_what_would_do(serve):
    slot = {"start": NINE, "end": "2027-03-01T09:30:00Z", "doctorId": GARRETT}
    refused = errors.SlotTaken({"rule": "slot_taken", "passed": False}, [slot])
    pool = FakePool(appointment_get=Answer(BOOKED), appointment_reschedule=Answer(error=refused))
    answer = serve(pool).patch("/appointments/5", json={}, headers={"If-Match": '"2"'})
    assert (answer.status_code, answer.json["code"]) == (409, "slot_taken")
    assert answer.json["alternatives"] == [slot]
    assert answer.json["rule"] == {"rule": "slot_taken", "passed": False}


def test_cancelling_and_statuses_may_be_meant_for_one_version(serve):
    pool = FakePool(
        appointment_get=Answer(BOOKED),
        appointment_set_status=Answer(BOOKED),
        appointment_cancel=Answer(BOOKED),
    )
    client, meant = serve(pool), {"If-Match": '"2"'}
    client.post("/appointments/5/status", json={"status": "arrived"}, headers=meant)
    assert pool.asked[-1] == Request("appointment", "set_status", (5, "arrived", [2]))
    client.delete("/appointments/5", headers=meant)
    assert pool.asked[-1] == Request("appointment", "cancel", (5, None, [2]))


def test_a_status_is_set(serve, office):
    pool, client, _, body = changing(serve, {"status": "arrived"}, DOCTOR, GARRETT)
    answer = client.post("/appointments/5/status", json=body)
    assert (answer.status_code, answer.json, answer.headers["ETag"]) == (200, bare(BOOKED), '"3"')
    assert pool.asked[-1] == Request("appointment", "set_status", (5, "arrived", None))
    assert [entry.subject for entry in office.trail.entries] == ["patient/7"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "status"), ({"status": "late"}, "status"), ({"status": None}, "status"),
     ({"status": ["arrived"]}, "status"), ({"status": "arrived", "why": "x"}, "why")],
)
def test_a_status_that_is_none_goes_to_no_service(serve, body, field):
    pool, client, _, _ = changing(serve, body, STAFF, None)
    answer = client.post("/appointments/5/status", json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)
    assert [request.method for request in pool.asked] == ["get"]


def test_a_patient_sets_no_status(serve):
    _, client, _, body = changing(serve, {"status": "arrived"})
    assert client.post("/appointments/5/status", json=body).status_code == 403


def test_the_history_of_an_appointment_is_told_to_whom_the_appointment_is(serve, office):
    told = {"items": [{"what": "scheduled", "version": 1}]}
    pool = FakePool(appointment_get=Answer(BOOKED), appointment_history=Answer(told))
    answer = serve(pool, role=DOCTOR, subject=GARRETT).get("/appointments/5/history")
    assert (answer.status_code, answer.json) == (200, told)
    stranger = serve(pool, role=DOCTOR, subject=GARRETT + 1).get("/appointments/5/history")
    assert stranger.status_code == 404 and "scheduled" not in json.dumps(stranger.json)
    assert {entry.subject for entry in office.trail.entries} == {"patient/7"}
