"""Schedules, times off and slots, with the services replaced by answers written here."""

import json

import pytest

from config.messaging.client import Answer, Request
from gateway.time_off import MOST_KEPT
from schemas import errors
from schemas.accounts import ADMIN, DOCTOR, PATIENT, STAFF
from tests.unit.gateway.fakes import FakePool

GARRETT = 3
HOURS = {"timezone": "Europe/London", "slotMinutes": 30, "weekly": [], "version": 4}
NINE, TEN = "2027-03-01T09:00:00Z", "2027-03-01T10:00:00Z"
ELEVEN = "2027-03-01T11:00:00Z"
AWAY = {"id": 11, "start": NINE, "end": TEN, "reason": "A congress"}
ASKED = {"start": NINE, "end": TEN, "reason": "A congress"}
SLOT = {"start": NINE, "end": TEN, "doctorId": GARRETT}


# Schedules


def test_a_schedule_is_shown_with_its_tag(serve):
    answer = serve(FakePool(doctor_get_schedule=Answer(HOURS)), role=PATIENT, subject=7).get(
        "/doctors/3/schedule"
    )
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"4"')
    assert answer.json == {"timezone": "Europe/London", "slotMinutes": 30, "weekly": []}


def replacing(serve, **headers):
    pool = FakePool(doctor_set_schedule=Answer({**HOURS, "version": 5}))
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = serve(pool, role=DOCTOR, subject=GARRETT).put(
        "/doctors/3/schedule", json={"weekly": []}, headers=sent
    )
    return pool.asked, answer


@pytest.mark.parametrize(
    ("headers", "versions"),
    [
        ({"If_Match": '"4"'}, [4]),
        ({"If_Match": '"0"'}, [0]),
        ({"If_Match": "*"}, None),
        ({"If_None_Match": "*"}, [0]),
        ({"If_Match": '"4.public"'}, []),
    ],
)
def test_a_schedule_is_replaced_for_the_versions_that_are_named(serve, headers, versions):
    asked, answer = replacing(serve, **headers)
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"5"')
    assert "version" not in answer.json
    assert asked == [Request("doctor", "set_schedule", (GARRETT, {"weekly": []}, versions))]


def test_a_schedule_is_not_replaced_by_who_does_not_say_what_they_read(serve):
    asked, answer = replacing(serve)
    assert (answer.status_code, answer.json["code"]) == (428, "precondition_required")
    assert asked == []


def test_a_schedule_is_not_replaced_for_a_version_that_cannot_be_read(serve):
    asked, answer = replacing(serve, If_Match="4")
    assert (answer.status_code, answer.json["code"]) == (400, "unreadable")
    assert asked == []


def test_a_stale_change_is_refused_as_the_service_says(serve):
    client = serve(FakePool(doctor_set_schedule=Answer(error=errors.Stale())))
    answer = client.put("/doctors/3/schedule", json={}, headers={"If-Match": '"3"'})
    assert (answer.status_code, answer.json["code"]) == (412, "precondition_failed")


# Time off


def absences(**answers):
    affected = Answer([[5, 6]])
    return FakePool(
        doctor_add_time_off=Answer(AWAY), doctor_preview_time_off=Answer({**AWAY, "id": None}),
        appointment_affected=affected, **answers,
    )


def post(client, key=None, query="", body=ASKED):
    headers = {"Idempotency-Key": key} if key else {}
    return client.post(f"/doctors/3/time-off{query}", json=body, headers=headers)


def test_time_off_is_stored_and_tells_whom_it_affects(serve):
    pool = absences()
    answer = post(serve(pool, role=DOCTOR, subject=GARRETT))
    assert (answer.status_code, answer.json) == (201, {**AWAY, "affected": [5, 6]})
    assert answer.headers["Location"] == "/doctors/3/time-off/11"
    assert pool.asked == [
        Request("doctor", "preview_time_off", (GARRETT, ASKED)),
        Request("appointment", "affected", (GARRETT, [{"start": NINE, "end": TEN}])),
        Request("doctor", "add_time_off", (GARRETT, ASKED)),
    ]


def test_time_off_is_not_stored_when_nobody_can_tell_whom_it_affects(serve):
    pool = absences()
    pool.answers["appointment.affected"] = errors.Unavailable("appointment")
    answer = post(serve(pool))
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert "add_time_off" not in [request.method for request in pool.asked]


def test_a_dry_run_stores_nothing(serve):
    pool = absences()
    answer = post(serve(pool), query="?dryRun=true")
    assert answer.status_code == 200
    assert answer.json == {**AWAY, "id": None, "affected": [5, 6]}
    assert [request.method for request in pool.asked] == ["preview_time_off", "affected"]


def test_what_is_said_not_to_be_a_dry_run_is_none(serve):
    assert post(serve(absences()), query="?dryRun=false").status_code == 201


@pytest.mark.parametrize("sent", ["", "1", "yes", "True"])
def test_what_could_be_a_dry_run_or_not_is_refused(serve, sent):
    pool = absences()
    answer = post(serve(pool), query=f"?dryRun={sent}")
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "dryRun")
    assert pool.asked == []


def test_the_same_time_off_sent_again_is_answered_as_before_without_asking_anybody(serve):
    pool = absences()
    client = serve(pool)
    first = post(client, key="k")
    pool.answers["appointment.affected"] = Answer([[]])
    again = post(client, key="k")
    assert (again.status_code, again.json) == (first.status_code, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(pool.asked) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "start"), ({**ASKED, "\ud800": 1}, "\ud800"), ({**ASKED, "reason": "\ud800"}, "reason")],
)
def test_a_time_off_that_is_none_goes_to_no_service(serve, body, field):
    pool = absences()
    answer = post(serve(pool), key="k", body=body)
    assert answer.status_code == 422
    assert json.loads(answer.data)["errors"][0]["field"] == field
    assert pool.asked == []


def test_the_same_time_off_sent_again_meanwhile_is_answered_alike(serve):
    pool, answers = absences(), []
    client = serve(pool)

    def affected(request, headers):
        if not answers:
            answers.append(None)
            answers[0] = post(client, key="k")
        return Answer([[5, 6]])

    pool.answers["appointment.affected"] = affected
    first = post(client, key="k")
    assert (first.status_code, first.json) == (201, answers[0].json)
    assert first.headers["Idempotent-Replayed"] == "true"


def test_another_time_off_with_the_same_key_is_refused(serve):
    client = serve(absences())
    post(client, key="k")
    answer = post(client, key="k", body={**ASKED, "end": ELEVEN})
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")


def test_a_time_off_that_affects_more_than_can_be_kept_is_replayed_all_the_same(serve):
    pool, many = absences(), list(range(2**62, 2**62 + MOST_KEPT + 1))
    pool.answers["appointment.affected"] = Answer([many])
    client = serve(pool)
    assert post(client, key="k").json["affected"] == many
    again = post(client, key="k")
    assert again.json == {**AWAY, "affected": many}
    assert again.headers["Idempotent-Replayed"] == "true"


def test_as_many_as_can_be_kept_are(serve):
    pool, many = absences(), list(range(2**62, 2**62 + MOST_KEPT))
    pool.answers["appointment.affected"] = Answer([many])
    client = serve(pool)
    post(client, key="k", body={**ASKED, "reason": "\U0001f642" * 500})
    assert post(client, key="k", body={**ASKED, "reason": "\U0001f642" * 500}).json[
        "affected"
    ] == many
    assert len(pool.asked) == 3


def test_what_was_stored_without_an_answer_is_told_when_it_is_sent_again(serve):
    pool = absences()
    pool.answers["doctor.add_time_off"] = errors.Unavailable("doctor")
    client = serve(pool)
    assert post(client, key="k").status_code == 503
    pool.answers["doctor.add_time_off"] = Answer(AWAY, replayed=True)
    assert post(client, key="k").json == {**AWAY, "affected": [5, 6]}
    keys = {headers["nameko.idempotency_key"] for headers in pool.headers}
    assert len(keys) == 1


def test_times_off_are_listed_with_whom_they_affect_in_one_question(serve):
    later = {**AWAY, "id": 12, "start": TEN, "end": ELEVEN}
    pool = FakePool(
        doctor_find_time_off=Answer({"items": [AWAY, later], "next": 12}),
        appointment_affected=Answer([[5], []]),
    )
    answer = serve(pool, role=STAFF).get("/doctors/3/time-off?limit=2")
    assert answer.json["items"] == [{**AWAY, "affected": [5]}, {**later, "affected": []}]
    assert answer.json["nextCursor"] in answer.headers["Link"]
    periods = [{"start": NINE, "end": TEN}, {"start": TEN, "end": ELEVEN}]
    assert pool.asked == [
        Request("doctor", "find_time_off", (GARRETT, 2, 0)),
        Request("appointment", "affected", (GARRETT, periods)),
    ]


def test_where_there_is_no_time_off_nobody_is_asked_whom_it_affects(serve):
    pool = FakePool(doctor_find_time_off=Answer({"items": [], "next": None}))
    assert serve(pool).get("/doctors/3/time-off").json == {"items": [], "nextCursor": None}
    assert len(pool.asked) == 1


def test_removed_time_off_leaves_nothing_to_say(serve):
    pool = FakePool(doctor_remove_time_off=Answer(None))
    answer = serve(pool).delete("/doctors/3/time-off/11")
    assert (answer.status_code, answer.data) == (204, b"")
    assert pool.asked == [Request("doctor", "remove_time_off", (GARRETT, 11))]


@pytest.mark.parametrize("role", [PATIENT, DOCTOR])
@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/doctors/3/schedule"), ("POST", "/doctors/3/time-off"),
     ("GET", "/doctors/3/time-off"), ("DELETE", "/doctors/3/time-off/11")],
)
def test_nobody_elses_hours_are_changed(serve, role, method, path):
    pool = FakePool()
    answer = serve(pool, role=role, subject=GARRETT + 1).open(path, method=method, json={})
    assert answer.status_code == (403 if role == PATIENT else 404)
    assert pool.asked == []


# Slots


def test_slots_are_asked_for_as_they_were_asked_for(serve):
    pool = FakePool(appointment_slots=Answer({"items": [SLOT]}))
    query = "from=2027-03-01T00:00:00+01:00&to=2027-03-08&durationMinutes=45"
    answer = serve(pool, role=PATIENT, subject=7).get(f"/doctors/3/slots?{query}")
    assert answer.json == {"items": [SLOT]}
    asked = {"from": "2027-03-01T00:00:00+01:00", "to": "2027-03-08", "durationMinutes": 45}
    assert pool.asked == [Request("appointment", "slots", (GARRETT, asked))]


def test_a_start_is_explained(serve):
    told = {"doctorId": GARRETT, "bookable": True, "rules": [], "nearest": SLOT}
    pool = FakePool(appointment_explain=Answer(told))
    answer = serve(pool, role=ADMIN).get(f"/doctors/3/slots/explain?start={NINE}")
    assert answer.json == told
    assert pool.asked == [Request("appointment", "explain", (GARRETT, {"start": NINE}))]


def test_the_first_slots_are_those_of_all_doctors(serve):
    pool = FakePool(appointment_first_slots=Answer({"items": [SLOT]}))
    answer = serve(pool, role=PATIENT, subject=7).get("/slots?speciality=Eyes&limit=5")
    assert answer.json == {"items": [SLOT]}
    asked = {"speciality": "Eyes", "limit": 5}
    assert pool.asked == [Request("appointment", "first_slots", (asked,))]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/slots?limit=five", "limit"),
        ("/slots?durationMinutes=5.0", "durationMinutes"),
        ("/doctors/3/slots?durationMinutes=+5", "durationMinutes"),
        (f"/doctors/3/slots/explain?start={NINE}&durationMinutes=\u0665", "durationMinutes"),
    ],
)
def test_a_number_that_is_none_is_refused_before_anybody_is_asked(serve, path, field):
    pool = FakePool()
    answer = serve(pool).get(path)
    assert answer.json["errors"] == [{"field": field, "message": "Must be a whole number."}]
    assert pool.asked == []


@pytest.mark.parametrize(
    "path", ["/slots?doctor=3", "/doctors/3/slots?limit=5", "/doctors/3/slots/explain?from=x"]
)
def test_a_parameter_that_slots_do_not_have_is_refused(serve, path):
    assert serve().get(path).status_code == 422


# What is on record


@pytest.mark.parametrize(
    ("method", "path", "answers"),
    [
        ("GET", "/doctors/3/schedule", {"doctor_get_schedule": Answer(HOURS)}),
        ("POST", "/doctors/3/time-off",
         {"doctor_preview_time_off": Answer({**AWAY, "id": None}),
          "doctor_add_time_off": Answer(AWAY), "appointment_affected": Answer([[5]])}),
        ("DELETE", "/doctors/3/time-off/11", {"doctor_remove_time_off": Answer(None)}),
        ("GET", "/doctors/3/slots", {"appointment_slots": Answer({"items": []})}),
    ],
)
def test_what_is_asked_about_a_doctors_time_is_about_the_doctor(
    serve, office, method, path, answers
):
    serve(FakePool(**answers)).open(path, method=method, json={})
    (entry,) = office.trail.entries
    assert (entry.subject, entry.resource) == ("doctor/3", "doctor/3")


def test_the_first_slots_of_all_are_about_nobody(serve, office):
    serve(FakePool(appointment_first_slots=Answer({"items": [SLOT]}))).get("/slots?speciality=Eyes")
    (entry,) = office.trail.entries
    assert entry.subject is None


# Who has changed a timetable books by the new one


@pytest.mark.parametrize(("method", "path", "service_method", "body"), [
    ("PUT", "/doctors/3/schedule", "doctor_set_schedule", {"weekly": []}),
    ("POST", "/doctors/3/time-off", "doctor_add_time_off", ASKED),
    ("DELETE", "/doctors/3/time-off/11", "doctor_remove_time_off", None),
])
def test_bookings_ask_for_a_timetable_that_was_changed_and_for_no_other(
    serve, method, path, service_method, body
):
    stored = {**AWAY, "version": 1}
    answers = {"doctor_preview_time_off": Answer(stored), "appointment_affected": Answer([[]])}
    pool = FakePool(**answers, **{service_method: Answer(stored)})
    headers = {"If-Match": "*"}
    assert serve(pool).open(path, method=method, json=body, headers=headers).status_code < 300
    assert pool.renewed == [GARRETT]
    refused = FakePool(**answers, **{service_method: Answer(error=errors.DoctorNotFound(GARRETT))})
    assert serve(refused).open(path, method=method, json=body, headers=headers).status_code == 404
    assert refused.renewed == []


def test_a_timetable_is_changed_though_bookings_cannot_be_told(serve, log):
    pool = FakePool(
        doctor_remove_time_off=Answer(None), appointment_renew=errors.Unavailable("appointment")
    )
    assert serve(pool).delete("/doctors/3/time-off/11").status_code == 204
