"""Records from copies: who is shown one, who is not, and how often their services are asked."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import Event, Semaphore

import pytest
import time_machine
from sqlalchemy import event

from config.breaker import FAILURES
from config.clock import utc_now
from config.messaging.client import Answer, NoAnswer, Request
from gateway.accounts import Accounts
from gateway.cache import CHANGES, EVENTS, KINDS, Flights, Lost, list_place, session_place
from schemas.accounts import ADMIN, DOCTOR, PATIENT, STAFF
from schemas.errors import PatientNotFound, Unavailable
from tests.unit.gateway.fakes import FakePool, as_role, new_account, token_of, visit_to
from tests.waiting import wait_for

ADA, BO, GARRETT = 7, 8, 3
GET_ADA = Request("patient", "get", (ADA,))
FIRST, SECOND = (
    {"id": ADA, "name": name, "version": v} for v, name in enumerate(("Ada", "Eva"), 1)
)
DOCTOR_RECORD = {"id": GARRETT, "name": "Dr Garrett", "speciality": "Surgery", "timezone": "UTC"}
RECORDS = pytest.mark.parametrize(
    ("path", "asked", "floor"),
    [
        ("/patients/7", "patient.get", "patient/7"),
        ("/doctors/3", "doctor.get", "doctor/3"),
        ("/doctors/3/schedule", "doctor.get_schedule", "doctor/3"),
        ("/doctors?q=g&limit=5", "doctor.find", "doctors"),
    ],
)


def pool_of():
    """Answers anew each time: what is asked twice is told twice."""
    calls = iter(range(1, 1000))

    def record(request, headers):
        return Answer({"id": ADA, "name": f"call {next(calls)}", "version": 1})

    def page(request, headers):
        return Answer({"items": [{**DOCTOR_RECORD, "name": f"call {next(calls)}"}], "next": None})

    return FakePool(
        patient_get=record, doctor_get=record, doctor_get_schedule=record, doctor_find=page,
        patient_update=Answer(SECOND), doctor_update=Answer(DOCTOR_RECORD),
        doctor_set_schedule=Answer({"version": 2}), doctor_create=Answer(DOCTOR_RECORD),
        patient_erase=Answer(None), appointment_has_met=Answer(False),
    )


@RECORDS
def test_what_was_asked_is_not_asked_again_until_it_changes(serve, office, path, asked, floor):
    pool = pool_of()
    client = serve(pool)
    told = [client.get(path).json for _ in range(3)]
    assert told[0] == told[1] == told[2] and len(pool.asked) == 1
    office.cache.changed(floor)
    assert client.get(path).json != told[0]
    assert [f"{each.service}.{each.method}" for each in pool.asked] == [asked] * 2


@RECORDS
def test_each_read_from_a_copy_is_on_record(serve, office, path, asked, floor):
    client = serve(pool_of())
    for _ in range(2):
        client.get(path)
    first, second = office.trail.entries
    assert (first.action, first.subject, first.outcome) == (
        second.action, second.subject, second.outcome
    )


@pytest.mark.parametrize(
    ("method", "path", "read"),
    [
        ("PUT", "/patients/7", "/patients/7"),
        ("DELETE", "/patients/7", "/patients/7"),
        ("PUT", "/doctors/3", "/doctors/3"),
        ("PUT", "/doctors/3", "/doctors/3/schedule"),
        ("PUT", "/doctors/3", "/doctors"),
        ("PUT", "/doctors/3/schedule", "/doctors/3/schedule"),
        ("PUT", "/doctors/3/schedule", "/doctors/3"),
        ("POST", "/doctors", "/doctors"),
    ],
)
@pytest.mark.parametrize("outcome", ["done", "unknown", "refused"])
def test_who_changes_something_is_not_shown_what_was(serve, method, path, read, outcome):
    pool = pool_of()
    client = serve(pool)
    before = client.get(read).json
    kind = {"PUT": "update", "DELETE": "erase", "POST": "create"}[method]
    kind = "set_schedule" if path.endswith("schedule") else kind
    name = f"{path.split('/')[1][:-1]}.{kind}"
    if outcome != "done":
        failure = Unavailable("database") if outcome == "unknown" else PatientNotFound(ADA)
        pool.answers[name] = Answer(error=failure)
    client.open(path, method=method, json={}, headers={"If-Match": '"1"'} if "s" in path else {})
    assert pool.asked[-1].method == kind
    assert client.get(read).json != before


def test_each_change_over_http_has_the_event_that_tells_of_the_same():
    """So that a change made elsewhere outdates what one made here does."""
    pairs = {
        ("patient", "update"): "updated", ("patient", "erase"): "erased",
        ("doctor", "create"): "registered", ("doctor", "update"): "updated",
        ("doctor", "set_schedule"): "schedule_changed",
    }
    assert {(each[0], name): CHANGES[each] for each, name in pairs.items()} == EVENTS
    raised = {floor for floors in CHANGES.values() for floor in floors}
    assert {kind.floor for kind in KINDS.values()} <= raised


def test_each_page_of_doctors_has_a_copy_of_its_own(serve):
    pool = pool_of()
    client = serve(pool)
    pages = ("", "?q=a", "?speciality=a", "?limit=5", "?q=b")
    assert len({json.dumps(client.get(f"/doctors{page}").json) for page in pages}) == len(pages)


def test_roles_are_shown_of_one_copy_what_is_theirs(serve, office):
    pool = FakePool(doctor_get=Answer({**DOCTOR_RECORD, "email": "g@example.org", "version": 1}))
    client = serve(pool)
    assert "email" in client.get("/doctors/3").json
    patient = client.get("/doctors/3", headers=as_role(office, PATIENT, subject=ADA))
    assert "email" not in patient.json and patient.headers["ETag"] == '"1.public"'
    assert len(pool.asked) == 1


# Who may not see it does not, whatever lies there


@pytest.mark.parametrize(("role", "subject"), [(PATIENT, BO), (DOCTOR, GARRETT)])
def test_a_copy_is_shown_to_nobody_who_may_not_read_the_record(serve, office, role, subject):
    pool = pool_of()
    client = serve(pool)
    shown = client.get("/patients/7")
    theirs = as_role(office, role, subject=subject)
    refused = client.get("/patients/7", headers=theirs)
    missing = serve(FakePool(
        patient_get=Answer(error=PatientNotFound(ADA)), appointment_has_met=Answer(False)
    )).get("/patients/9", headers=theirs)
    assert (refused.status_code, refused.json["code"]) == (404, "not_found")
    assert shown.json["name"] not in refused.text and "ETag" not in refused.headers
    assert refused.json.keys() == missing.json.keys()
    known = client.get("/patients/7", headers={**theirs, "If-None-Match": shown.headers["ETag"]})
    assert known.status_code == 404


def test_a_doctor_who_has_met_the_patient_is_shown_the_copy(serve, office):
    pool = pool_of()
    pool.answers["appointment.has_met"] = Answer(True)
    client = serve(pool)
    shown = client.get("/patients/7").json
    theirs = as_role(office, DOCTOR, subject=GARRETT)
    assert client.get("/patients/7", headers=theirs).json == shown
    assert [each.method for each in pool.asked] == ["get", "has_met"]


def test_nobody_is_shown_a_copy_without_signing_in(serve):
    client = serve(pool_of())
    client.get("/patients/7")
    client.headers = {}
    assert client.get("/patients/7").status_code == 401


# Conditions


@pytest.mark.parametrize("sent", ['"1"', 'W/"1"', "*"])
def test_who_has_the_current_version_is_told_so_without_any_call(serve, office, sent):
    pool = pool_of()
    client = serve(pool)
    tag = client.get("/patients/7").headers["ETag"]
    pool.asked.clear()
    answer = client.get("/patients/7", headers={"If-None-Match": sent})
    assert (answer.status_code, answer.headers["ETag"], answer.data) == (304, tag, b"")
    assert pool.asked == []


def test_a_condition_is_not_met_by_what_was_current_before_a_change(serve, office):
    pool = FakePool(patient_get=Answer(FIRST))
    client = serve(pool)
    tag = client.get("/patients/7").headers["ETag"]
    pool.answers["patient.get"] = Answer(SECOND)
    office.cache.changed("patient/7")
    answer = client.get("/patients/7", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json["name"]) == (200, "Eva")


# Side by side


class Slow:
    """A service that answers when it is told to, with what was true when it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0
        self.release = Event()

    def __call__(self, request, headers):
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if self.asked == 1:
            assert self.release.wait(10)
        return answer


@contextmanager
def reading_beside(client, slow, *, readers=1):
    """``readers`` who wait for the first answer; what they were told, once it was given."""
    with ThreadPoolExecutor(readers) as crowd:
        told = [crowd.submit(client.get, "/patients/7") for _ in range(readers)]
        wait_for(lambda: slow.asked, seconds=10)
        yield told
        slow.release.set()


def waiting(office):
    """How many wait for somebody else's read."""
    return sum(len(each.landed._condition._waiters) for each in office.flights._under_way.values())


def test_those_who_miss_at_once_make_one_call(serve, office):
    slow = Slow(Answer(FIRST))
    client = serve(FakePool(patient_get=slow))
    with reading_beside(client, slow, readers=8) as told:
        wait_for(lambda: waiting(office) == 7, seconds=10)
    assert {each.result().json["name"] for each in told} == {"Ada"}
    assert slow.asked == 1


def test_who_comes_after_a_change_does_not_wait_for_a_read_from_before_it(serve, office):
    slow = Slow(Answer(FIRST), Answer(SECOND))
    client = serve(FakePool(patient_get=slow))
    with reading_beside(client, slow) as (before,):
        office.cache.changed("patient/7")
        assert client.get("/patients/7").json["name"] == "Eva"
    assert before.result().json["name"] == "Ada"
    # The one from before was kept last.
    assert client.get("/patients/7").json["name"] == "Eva"


def test_one_whose_read_fails_does_not_fail_the_others(serve, office):
    slow = Slow(Unavailable("patient"), Answer(FIRST))
    client = serve(FakePool(patient_get=slow))
    with reading_beside(client, slow, readers=4) as told:
        wait_for(lambda: waiting(office) == 3, seconds=10)
    statuses = sorted(each.result().status_code for each in told)
    assert statuses == [200, 200, 200, 503]
    # One of the others asked for all of them.
    assert slow.asked == 2


def test_who_hears_late_that_a_read_failed_is_told_what_was_read_instead(office):
    flights, asked, heard, go = Flights(), [], Semaphore(1), Event()
    (look,) = office.trips.ask(office.cache.look(list_place("doctors", (1,), office.vault)))[0]

    def fail():
        assert go.wait(10)
        raise Unavailable("doctor")

    def one_by_one(landed, seconds):
        try:
            return Future.result(landed, seconds)
        except Lost:
            assert heard.acquire(timeout=10)
            raise

    with ThreadPoolExecutor(3) as crowd:
        crowd.submit(flights.read, look, fail, seconds=20)
        (flight,) = wait_for(lambda: [*flights._under_way.values()], seconds=10)
        landed = flight.landed
        landed.result = partial(one_by_one, landed)
        told = [
            crowd.submit(flights.read, look, lambda: asked.append(1) or "told", seconds=20)
            for _ in range(2)
        ]
        wait_for(lambda: len(landed._condition._waiters) == 2, seconds=10)
        go.set()
        wait_for(lambda: any(each.done() for each in told), seconds=10)
        heard.release()
    assert ([each.result() for each in told], len(asked)) == (["told"] * 2, 1)
    assert not flights._under_way


def test_a_refusal_is_for_all_who_waited(serve, office):
    slow = Slow(Answer(error=PatientNotFound(ADA)))
    client = serve(FakePool(patient_get=slow))
    with reading_beside(client, slow, readers=4) as told:
        wait_for(lambda: waiting(office) == 3, seconds=10)
    assert {each.result().status_code for each in told} == {404}
    assert slow.asked == 1


def test_no_read_is_left_behind(office):
    flights, ran = Flights(), []
    (look,) = office.trips.ask(office.cache.look(list_place("doctors", (1,), office.vault)))[0]
    for failure in (RuntimeError, KeyboardInterrupt):

        def fail(failure=failure):
            raise failure

        with pytest.raises(failure):
            flights.read(look, fail, seconds=1)
        assert flights.read(look, lambda: ran.append(1) or "told", seconds=1) == "told"
    assert len(ran) == 2


# Services that cannot be asked


def break_off(pool, kind):
    for _ in range(FAILURES):
        with pool.breakers[kind].admit(seconds=1) as permit:
            permit.failed(NoAnswer(kind[0]))


def test_while_its_service_is_left_alone_a_copy_is_shown_for_what_it_is(serve):
    pool = FakePool(patient_get=Answer(FIRST))
    client = serve(pool)
    with time_machine.travel(utc_now(), tick=False) as clock:
        plain = client.get("/patients/7")
        assert "Age" not in plain.headers and "Warning" not in plain.headers
        break_off(pool, ("patient", "get"))
        pool.answers["patient.get"] = Unavailable("patient")
        clock.shift(12)
        shown = client.get("/patients/7")
    assert (shown.status_code, shown.json) == (200, plain.json)
    assert shown.headers["Age"] == "12" and shown.headers["Warning"].startswith("111 ")


def test_who_reads_a_copy_finds_out_when_its_service_is_back(serve):
    pool = FakePool(patient_get=Answer(FIRST))
    client = serve(pool)
    client.get("/patients/7")
    break_off(pool, ("patient", "get"))
    pool.answers["patient.get"] = Answer(SECOND)
    answer = client.get("/patients/7")
    assert answer.json["name"] == "Eva" and "Warning" not in answer.headers


def test_what_there_is_no_copy_of_is_503(serve):
    client = serve(FakePool(patient_get=Unavailable("patient")))
    answer = client.get("/patients/7")
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Age" not in answer.headers and "Warning" not in answer.headers


def test_what_was_changed_since_is_not_shown_by_a_service_that_cannot_be_asked(serve, office):
    pool = FakePool(patient_get=Answer(FIRST))
    client = serve(pool)
    client.get("/patients/7")
    office.cache.changed("patient/7")
    pool.answers["patient.get"] = Unavailable("patient")
    assert client.get("/patients/7").status_code == 503


def test_that_there_is_no_such_record_is_not_kept(serve):
    pool = FakePool(patient_get=Answer(error=PatientNotFound(ADA)))
    client = serve(pool)
    assert client.get("/patients/7").status_code == 404
    pool.answers["patient.get"] = Answer(FIRST)
    assert client.get("/patients/7").status_code == 200


def test_a_copy_that_does_not_open_is_asked_anew(serve, office):
    pool = FakePool(patient_get=Answer(FIRST))
    client = serve(pool)
    client.get("/patients/7")
    spoil(office)
    assert client.get("/patients/7").json["name"] == "Ada"
    assert client.get("/patients/7").json["name"] == "Ada"
    assert pool.asked == [GET_ADA] * 2


def spoil(office):
    """A bit of every copy, sessions' too."""
    shelf = office.cache._shelf
    for key, (value, until) in shelf._kept.items():
        shelf._kept[key] = (value[:-1] + bytes([value[-1] ^ 1]), until)


# Sessions


@pytest.fixture
def statements(office):
    """What the gateway's own database is asked for while somebody comes in."""
    asked = []
    engine = office.sessions._engine

    def note(connection, cursor, statement, *_):
        if statement.startswith("SELECT"):
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return asked


def test_a_session_is_looked_up_once_in_a_while(serve, office, statements):
    client = serve(pool_of(), role=STAFF)
    statements.clear()
    with time_machine.travel(utc_now(), tick=False) as clock:
        for _ in range(3):
            assert client.get("/patients/7").status_code == 200
        once = len(statements)
        clock.shift(10)
        client.get("/patients/7")
    assert (once, len(statements)) == (1, 2)


def test_of_one_session_those_who_come_at_once_look_it_up_together(serve, office, statements):
    client, release = serve(pool_of(), role=STAFF), Event()
    statements.clear()
    event.listen(office.sessions._engine, "before_cursor_execute", lambda *_: hold(release))
    with ThreadPoolExecutor(8) as crowd:
        told = [crowd.submit(client.get, "/doctors/3") for _ in range(8)]
        wait_for(lambda: waiting(office) == 7, seconds=10)
        release.set()
    assert {each.result().status_code for each in told} == {200}
    assert len(statements) == 1


def hold(release):
    assert release.wait(10)


@pytest.mark.parametrize("how", ["sign out", "disable", "demote", "password", "erase"])
def test_who_was_seen_a_moment_ago_is_refused_with_the_next_request(serve, office, how):
    account = new_account(office, PATIENT, subject=ADA)
    token = {"Authorization": f"Bearer {token_of(office, account)}"}
    pool = pool_of()
    client = serve(pool, role=ADMIN)
    assert client.get("/patients/7", headers=token).status_code == 200
    changes = {
        "disable": {"disabled": True}, "demote": {"role": STAFF, "subjectId": None},
        "password": {"password": "another heron 32"},
    }
    if how == "sign out":
        assert client.post("/auth/logout", headers=token).status_code == 204
    elif how == "erase":
        assert client.delete("/patients/7").status_code == 202
    else:
        changed = client.patch(f"/accounts/{account}", json=changes[how])
        assert changed.status_code == 200, changed.text
    assert client.get("/patients/7", headers=token).status_code == 401


def test_whose_logins_the_event_has_removed_before_the_request_is_refused_when_it_is_told(
    serve, office
):
    account = new_account(office, PATIENT, subject=ADA)
    theirs = {"Authorization": f"Bearer {token_of(office, account)}"}
    pool = pool_of()

    def told_by_event(request, headers):
        visit_to(office).run(lambda transaction: Accounts(transaction).close_for(PATIENT, ADA))
        return Answer(None)

    pool.answers["patient.erase"] = told_by_event
    client = serve(pool)
    assert client.get("/patients/7", headers=theirs).status_code == 200
    assert client.delete("/patients/7").status_code == 202
    assert client.get("/patients/7", headers=theirs).status_code == 401


def test_a_session_is_not_believed_beyond_its_own_end(serve, office):
    account = new_account(office, STAFF)
    client = serve(pool_of(), role=None)
    with time_machine.travel(utc_now(), tick=False) as clock:
        session = office.tokens.claims_of_access(token_of(office, account)).session_id
        clock.shift(14 * 24 * 3600 - 5)
        late = office.tokens.issue(session, account_id=account, refreshes=0).access
        told = []
        for _ in range(2):
            answer = client.get("/patients/7", headers={"Authorization": f"Bearer {late}"})
            told.append(answer.status_code)
            clock.shift(6)
    assert told == [200, 401]


def test_a_spoilt_session_copy_is_asked_of_the_database(serve, office):
    client = serve(pool_of(), role=STAFF)
    assert client.get("/patients/7").status_code == 200
    spoil(office)
    assert client.get("/patients/7").status_code == 200


def test_the_place_of_a_session_does_not_tell_its_id(office):
    place = session_place("0123456789abcdef", 7, office.vault)
    assert "0123456789abcdef" not in place.name
    assert list_place("doctors", ("Garrett",), office.vault).name.count("Garrett") == 0
