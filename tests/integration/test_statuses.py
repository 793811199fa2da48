"""What becomes of appointments: cancelled, arrived, fulfilled, not shown up; and who said so."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from appointment.models import Appointment
from appointment.repository import Appointments
from config.encryption import Unreadable
from config.messaging.caller import Caller
from schemas.errors import (
    AppointmentNotFound,
    InvalidInput,
    MoveNotAllowed,
    Stale,
    TooLateToCancel,
)
from schemas.fields import as_instant
from schemas.statuses import ARRIVED, BOOKED, CANCELLED, FULFILLED, NOSHOW, STATUSES
from tests.integration.practice import NOW, PATIENTS, Practice, later, open_practice
from tests.waiting import PATIENCE

NINE = later(days=7)
TICK = timedelta(microseconds=1)
NEVER = 2**62
DESK = Caller("staff", 3)


@pytest.fixture(scope="module")
def opened(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


@pytest.fixture
def practice(opened: Practice) -> Practice:
    opened.now = NOW
    return opened


@pytest.fixture
def booked(practice: Practice) -> int:
    return practice.book(practice.doctor(), NINE)


def doctor_of(practice: Practice, booked: int) -> Caller:
    return Caller("doctor", 8, practice.stored(booked).doctor_id)


def patient_of(practice: Practice, booked: int) -> Caller:
    return Caller("patient", 5, practice.stored(booked).patient_id)


def at(practice: Practice, booked: int, status: str) -> None:
    """Bring it there, by the way there is."""
    practice.now = NINE
    if status == CANCELLED:
        practice.appointments().cancel(booked)
    elif status != BOOKED:
        practice.appointments().set_status(booked, status)


def names(practice: Practice, booked: int) -> list[str]:
    return [name for name, _ in practice.events(booked)]


# The version that it is meant for


@pytest.mark.parametrize("act", [
    lambda service, booked, versions: service.cancel(booked, versions=versions),
    lambda service, booked, versions: service.set_status(booked, ARRIVED, versions),
], ids=["cancel", "set_status"])
def test_who_knows_another_version_changes_nothing(
    practice: Practice, booked: int, act: Callable[[Any, int, list[int]], object]
) -> None:
    with pytest.raises(Stale):
        act(practice.appointments(), booked, [7])
    assert (practice.stored(booked).status, practice.stored(booked).version) == (BOOKED, 1)
    act(practice.appointments(), booked, [1])
    assert practice.stored(booked).version == 2
    # Done already, it is done whoever asks.
    act(practice.appointments(), booked, [1])
    assert practice.stored(booked).version == 2


# The status


@pytest.mark.parametrize("status", [ARRIVED, FULFILLED, NOSHOW])
def test_what_became_of_it_is_stored_told_and_kept(
    practice: Practice, booked: int, status: str
) -> None:
    practice.now = NINE
    told = practice.appointments(caller=doctor_of(practice, booked)).set_status(booked, status)
    assert (told["status"], told["version"]) == (status, 2)
    assert told["updatedAt"] == as_instant(NINE)
    assert practice.appointments().get(booked) == told
    assert practice.stored(booked).remind_at is None
    (_, _), (name, data) = practice.events(booked)
    assert (name, data["status"], data["start"]) == ("status_changed", status, as_instant(NINE))
    line = practice.appointments().history(booked)["items"][-1]
    assert (line["what"], line["status"], line["version"]) == ("status_changed", status, 2)
    assert (line["actorRole"], line["actorAccountId"]) == ("doctor", 8)
    assert practice.claims(practice.stored(booked).doctor_id), "only cancelling frees the time"


MOVES = {
    BOOKED: {ARRIVED, FULFILLED, NOSHOW},
    ARRIVED: {FULFILLED},
    NOSHOW: {ARRIVED, FULFILLED},
    FULFILLED: set(),
    CANCELLED: set(),
}


@pytest.mark.parametrize("wanted", STATUSES)
@pytest.mark.parametrize("status", STATUSES)
def test_from_the_start_on_each_move_is_allowed_or_refused_by_name(
    practice: Practice, booked: int, status: str, wanted: str
) -> None:
    at(practice, booked, status)
    before, version = names(practice, booked), practice.stored(booked).version
    if wanted in MOVES[status]:
        told = practice.appointments().set_status(booked, wanted)
        assert (told["status"], told["version"]) == (wanted, version + 1)
        return
    if wanted == status and status not in (BOOKED, CANCELLED):
        assert practice.appointments().set_status(booked, wanted)["version"] == version
    else:
        with pytest.raises(MoveNotAllowed) as refused:
            practice.appointments().set_status(booked, wanted)
        members = refused.value.members
        assert (members["current"], set(members["allowed"])) == (status, MOVES[status])
    assert practice.stored(booked).version == version
    assert names(practice, booked) == before


@pytest.mark.parametrize("status", [FULFILLED, NOSHOW])
def test_before_the_start_nobody_knows_and_at_the_start_somebody_may(
    practice: Practice, booked: int, status: str
) -> None:
    practice.now = NINE - TICK
    with pytest.raises(MoveNotAllowed) as refused:
        practice.appointments().set_status(booked, status)
    assert refused.value.members == {"current": BOOKED, "allowed": [ARRIVED]}
    practice.now = NINE
    assert practice.appointments().set_status(booked, status)["status"] == status


def test_patients_may_arrive_days_before(practice: Practice, booked: int) -> None:
    assert practice.appointments().set_status(booked, ARRIVED)["status"] == ARRIVED
    with pytest.raises(MoveNotAllowed) as refused:
        practice.appointments().set_status(booked, FULFILLED)
    assert refused.value.members["allowed"] == []


@pytest.mark.parametrize("junk", ["", "gone", "Booked", None, 7, ["booked"]], ids=repr)
def test_what_is_no_status_is_refused(practice: Practice, booked: int, junk: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        practice.appointments().set_status(booked, junk)
    assert list(refused.value.errors) == ["status"]


@pytest.mark.parametrize("method", ["cancel", "history", "get"])
def test_of_what_is_not_there_nothing_becomes(practice: Practice, method: str) -> None:
    with pytest.raises(AppointmentNotFound):
        getattr(practice.appointments(), method)(NEVER)
    with pytest.raises(AppointmentNotFound):
        practice.appointments().set_status(NEVER, ARRIVED)


# Cancelling


def test_cancelling_frees_the_time_and_keeps_reason_and_actor(
    practice: Practice, booked: int
) -> None:
    told = practice.appointments(caller=DESK).cancel(booked, " ill ")
    assert (told["status"], told["cancelReason"], told["version"]) == (CANCELLED, "ill", 2)
    stored = practice.stored(booked)
    assert practice.claims(stored.doctor_id) == [] and stored.remind_at is None
    line = practice.appointments().history(booked)["items"][-1]
    assert (line["what"], line["actorRole"], line["actorAccountId"]) == ("cancelled", "staff", 3)
    assert practice.book(stored.doctor_id, NINE) != booked


def test_cancelled_again_nothing_changes_and_nobody_is_told(
    practice: Practice, booked: int
) -> None:
    first = practice.appointments().cancel(booked, "ill")
    practice.now = NINE + timedelta(days=1)
    patient = Caller("patient", 5, first["patientId"])
    for caller in (patient, DESK):
        assert practice.appointments(caller=caller).cancel(booked, "again") == first
    assert names(practice, booked) == ["scheduled", "cancelled"]
    assert practice.history(booked) == ["scheduled", "cancelled"]


@pytest.mark.parametrize("status", [FULFILLED, NOSHOW])
def test_what_is_over_cannot_be_cancelled(practice: Practice, booked: int, status: str) -> None:
    at(practice, booked, status)
    with pytest.raises(MoveNotAllowed) as refused:
        practice.appointments().cancel(booked)
    members = refused.value.members
    assert (members["current"], set(members["allowed"])) == (status, MOVES[status])
    assert practice.stored(booked).status == status


def test_who_has_arrived_may_still_leave(practice: Practice, booked: int) -> None:
    at(practice, booked, ARRIVED)
    assert practice.appointments(caller=DESK).cancel(booked)["status"] == CANCELLED


def test_at_exactly_the_notice_a_patient_may_still_cancel(practice: Practice, booked: int) -> None:
    practice.now = NINE - timedelta(days=1)
    patient = patient_of(practice, booked)
    assert practice.appointments(caller=patient).cancel(booked)["status"] == CANCELLED
    (line,) = practice.appointments().history(booked)["items"][1:]
    assert (line["actorRole"], line["actorAccountId"]) == ("patient", 5)


def test_later_a_patient_is_told_until_when_and_the_others_still_may(practice: Practice) -> None:
    doctor = practice.doctor()
    for caller in (DESK, Caller("doctor", 8, doctor), Caller("admin", 1), Caller("operator")):
        booked = practice.book(doctor, NINE)
        practice.now = NINE - timedelta(days=1) + TICK
        patient = patient_of(practice, booked)
        with pytest.raises(TooLateToCancel) as late:
            practice.appointments(caller=patient).cancel(booked)
        assert late.value.members == {"deadline": as_instant(NINE - timedelta(days=1))}
        assert practice.stored(booked).version == 1 and practice.claims(doctor)
        assert practice.appointments(caller=caller).cancel(booked)["status"] == CANCELLED
        practice.now = NOW


def test_the_notice_is_as_it_is_set(practice: Practice, booked: int) -> None:
    practice.now = NINE
    service = practice.appointments(caller=patient_of(practice, booked))
    service.config = {**practice.config, "CANCEL_NOTICE_MINUTES": 0}
    assert service.cancel(booked)["status"] == CANCELLED


def test_what_is_cancelled_needs_no_other_time(practice: Practice) -> None:
    doctor = practice.doctor()
    booked = practice.book(doctor, NINE)
    off = {"start": as_instant(NINE), "end": as_instant(NINE + timedelta(hours=1))}
    practice.doctors().add_time_off(doctor, off)
    practice.told(doctor, "time_off_changed")
    assert practice.appointments().get(booked)["uncovered"]
    assert practice.appointments().cancel(booked)["uncovered"] is False
    assert names(practice, booked) == ["scheduled", "uncovered", "cancelled"]


@pytest.mark.parametrize("status", [ARRIVED, FULFILLED, NOSHOW])
def test_of_whom_something_became_no_other_time_is_needed(
    practice: Practice, status: str
) -> None:
    doctor = practice.doctor()
    booked = practice.book(doctor, NINE)
    off = {"start": as_instant(NINE), "end": as_instant(NINE + timedelta(hours=1))}
    practice.doctors().add_time_off(doctor, off)
    practice.told(doctor, "time_off_changed")
    assert practice.appointments().find({"doctorId": doctor, "uncovered": True})["items"]
    practice.now = NINE
    told = practice.appointments().set_status(booked, status)
    assert (told["uncovered"], told["version"]) == (False, 3)
    assert names(practice, booked) == ["scheduled", "uncovered", "status_changed"]
    assert practice.appointments().find({"doctorId": doctor, "uncovered": True})["items"] == []


# Who says so, and when


WEDNESDAY = {"date": as_instant(later(days=9))}
ACTS: dict[str, Callable[[Any, int], Any]] = {
    "cancelled": lambda service, booked: service.cancel(booked),
    "arrived": lambda service, booked: service.set_status(booked, ARRIVED),
    "moved": lambda service, booked: service.reschedule(booked, WEDNESDAY),
    "described": lambda service, booked: service.reschedule(booked, {"description": "Other"}),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_whose_appointment_it_is_not_or_no_longer_finds_none(
    practice: Practice, booked: int, act: Callable[[Any, int], Any]
) -> None:
    before = doctor_of(practice, booked)
    # Whoever let the call in had seen the one they had then.
    practice.appointments().reschedule(booked, {"doctorId": practice.doctor()})
    events = names(practice, booked)
    for caller in (before, Caller("patient", 5, 2**62), Caller("patient", 5)):
        with pytest.raises(AppointmentNotFound):
            act(practice.appointments(caller=caller), booked)
    stored = practice.stored(booked)
    assert (stored.status, stored.version, names(practice, booked)) == (BOOKED, 2, events)
    assert act(practice.appointments(caller=doctor_of(practice, booked)), booked)["version"] == 3


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_what_waited_for_another_change_comes_after_it(
    practice: Practice, booked: int, act: Callable[[Any, int], Any]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with practice.session() as session, session.begin():
            appointments = Appointments(session)
            changing = appointments.get_locked(booked)
            waiting = pool.submit(act, practice.appointments(), booked)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            practice.now = NOW + timedelta(minutes=1)
            appointments.changed(changing, now=practice.now)
            practice.now = NOW + timedelta(minutes=2)
        told = waiting.result(timeout=PATIENCE)
    assert (told["version"], told["updatedAt"]) == (3, as_instant(NOW + timedelta(minutes=2)))
    assert practice.appointments().history(booked)["items"][-1]["at"] == told["updatedAt"]


# The history, and what a patient is given of it


def test_an_export_has_the_history_of_each(practice: Practice) -> None:
    doctor, patient = practice.doctor(), next(PATIENTS)
    ids = []
    for hours in (3, 1):
        wanted = {
            "patientId": patient, "doctorId": doctor, "description": "x",
            "date": as_instant(NINE + timedelta(hours=hours)),
        }
        ids.append(practice.appointments().schedule(wanted)["id"])
    practice.appointments(caller=DESK).cancel(ids[0], "ill")
    exported = practice.appointments().export(patient)
    assert [each["id"] for each in exported] == ids[::-1]
    for each in exported:
        history = each.pop("history")
        assert history == practice.appointments().history(each["id"])["items"]
        assert each == practice.appointments().get(each["id"])
    assert [line["what"] for line in history] == ["scheduled", "cancelled"]


def test_the_history_is_told_of_an_appointment_whose_description_does_not_open(
    practice: Practice, booked: int
) -> None:
    with practice.session() as session, session.begin():
        session.get_one(Appointment, booked).description_sealed = b"spoilt"
    (line,) = practice.appointments().history(booked)["items"]
    assert line["what"] == "scheduled"
    with pytest.raises(Unreadable):
        practice.appointments().get(booked)
    with pytest.raises(AppointmentNotFound):
        practice.appointments().history(NEVER)


def test_whom_a_doctor_has_met_is_whom_they_did_not_cancel(
    practice: Practice, booked: int
) -> None:
    stored = practice.stored(booked)
    met = (stored.doctor_id, stored.patient_id)
    assert practice.appointments().has_met(*met)
    practice.appointments().cancel(booked)
    assert not practice.appointments().has_met(*met)
