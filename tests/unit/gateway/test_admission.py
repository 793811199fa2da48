"""How many requests one process works on at once, and what the next one is told."""

from contextlib import ExitStack

import pytest

from config.messaging.client import Answer
from gateway.admission import Admission
from gateway.app import MOST_IN_FLIGHT
from schemas.accounts import STAFF
from schemas.errors import PatientNotFound
from tests.unit.gateway.fakes import FakePool

ADA = {"id": 7, "name": "Ada Byron", "version": 2}


@pytest.fixture
def full():
    """Fills a gateway but for so many places, for as long as the test takes."""
    with ExitStack() as ending:

        def full(client, but=0):
            for _ in range(MOST_IN_FLIGHT - but):
                assert ending.enter_context(client.application.admission.entering())

        yield full


def test_there_is_room_for_so_many_and_again_when_one_leaves():
    admission = Admission(2)
    with admission.entering() as first:
        with admission.entering() as second, admission.entering() as third:
            assert (first, second, third) == (True, True, False)
        with admission.entering() as fourth:
            assert fourth


def test_whoever_leaves_makes_room_however_they_leave():
    admission = Admission(1)
    for _ in range(3):
        with pytest.raises(RuntimeError), admission.entering() as admitted:
            assert admitted
            raise RuntimeError("the request failed")
    with admission.entering(), pytest.raises(RuntimeError), admission.entering() as second:
        assert not second
        raise RuntimeError("the refusal failed")
    with admission.entering() as admitted:
        assert admitted


def test_the_next_one_is_told_to_come_back_at_once_and_nothing_is_done_for_it(serve, office, full):
    pool = FakePool(patient_get=Answer(ADA))
    client = serve(pool, role=STAFF)
    full(client)
    answer = client.get("/patients/7")
    assert (answer.status_code, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert pool.asked == [] and office.trail.entries == []


def test_one_more_place_serves_any_number_one_after_the_other(serve, full):
    client = serve(FakePool(patient_get=Answer(error=PatientNotFound(7))), role=STAFF)
    full(client, but=1)
    assert [client.get("/patients/7").status_code for _ in range(5)] == [404] * 5
    assert [client.get("/nowhere").status_code for _ in range(5)] == [404] * 5
    assert [client.post("/patients", data="{").status_code for _ in range(5)] == [415] * 5


def test_probes_are_answered_however_many_others_there_are(serve, full):
    ok = Answer("ok")
    client = serve(FakePool(patient_health=ok, doctor_health=ok, appointment_health=ok), role=None)
    full(client)
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200


def test_a_request_that_fails_leaves_its_place(serve, full, log):
    client = serve(FakePool(patient_get=RuntimeError("unexpected")), role=STAFF)
    full(client, but=1)
    assert [client.get("/patients/7").status_code for _ in range(3)] == [500] * 3
