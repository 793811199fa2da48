"""What booking learns from the patient and doctor services, and what it makes of it."""

from datetime import UTC, datetime

import pytest

from appointment.clients import ask_of, ask_timetables, ask_timezone
from appointment.parties import DOCTOR, PATIENT, Parties, as_text
from config.messaging.client import Answer, Request
from schemas.errors import DoctorNotFound, Unavailable, UnknownDoctor, UnknownPatient
from schemas.timetable import Timetable, Window

NOW = datetime(2027, 3, 1, 7, tzinfo=UTC)
GARRETT = {
    "doctorId": 2,
    "scheduleVersion": 7,
    "timezone": "Europe/London",
    "schedule": {"slotMinutes": 20, "weekly": [{"day": "tue", "start": "09:00", "end": "12:00"}]},
    "timeOff": [],
}
NOBODY_ASKED = Parties(
    patient_id=1, doctor_id=2, patient_known=False, availability=None, open=(PATIENT, DOCTOR)
)


class FakePeers:
    """Answers by service, and keeps what was asked together."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, *requests):
        self.asked.append(requests)
        return [self.answers[request.service] for request in requests]


def asked(patient=Answer(True), doctor=Answer(GARRETT)):
    peers = FakePeers(patient=patient, doctor=doctor)
    return ask_of(peers, NOBODY_ASKED, (PATIENT, DOCTOR), now=NOW)


def test_both_services_are_asked_at_once():
    peers = FakePeers(patient=Answer(True), doctor=Answer(GARRETT))
    ask_of(peers, NOBODY_ASKED, (PATIENT, DOCTOR), now=NOW)
    (together,) = peers.asked
    assert together == (
        Request("patient", "exists", (1,)),
        Request("doctor", "availability", (2,)),
    )


def test_known_parties_meet_by_the_doctors_timetable():
    parties = asked()
    assert parties.timetable == Timetable(
        "Europe/London", slot_minutes=20, weekly={1: (Window(540, 720),)}
    )
    assert parties.schedule_version == 7
    assert (parties.open, parties.told_at, parties.kept) == ((), NOW, False)


def test_who_is_known_is_not_asked_about():
    peers = FakePeers(doctor=Answer(GARRETT))
    known = Parties(
        patient_id=1, doctor_id=2, patient_known=True, availability=None, open=(DOCTOR,)
    )
    parties = ask_of(peers, known, (DOCTOR,), now=NOW)
    assert peers.asked == [(Request("doctor", "availability", (2,)),)]
    assert parties.timetable == asked().timetable


def test_what_was_told_one_after_the_other_counts_from_the_first():
    peers, later = FakePeers(patient=Answer(True), doctor=Answer(GARRETT)), NOW.replace(hour=8)
    first = ask_of(peers, NOBODY_ASKED, (PATIENT,), now=NOW)
    assert ask_of(peers, first, (DOCTOR,), now=later).told_at == NOW


def test_a_kept_timetable_stays_one_when_only_the_patient_was_asked_about():
    peers = FakePeers(patient=Answer(True))
    known = Parties(
        patient_id=1, doctor_id=2, patient_known=False, availability=as_text(GARRETT),
        open=(PATIENT,),
    )
    parties = ask_of(peers, known, (PATIENT,), now=NOW)
    assert parties.kept and parties.timetable == asked().timetable


UNKNOWN = Answer(error=DoctorNotFound(2))


@pytest.mark.parametrize("what", ["timetable", "schedule_version"])
def test_a_patient_nobody_knows_is_refused_by_id(what):
    with pytest.raises(UnknownPatient, match="No patient 1 is registered."):
        getattr(asked(patient=Answer(False)), what)


@pytest.mark.parametrize("what", ["timetable", "schedule_version"])
def test_a_doctor_nobody_knows_is_refused_by_id(what):
    with pytest.raises(UnknownDoctor, match="No doctor 2 is registered."):
        getattr(asked(doctor=UNKNOWN), what)


def test_when_nobody_is_known_the_patient_is_named():
    with pytest.raises(UnknownPatient):
        assert asked(patient=Answer(False), doctor=UNKNOWN).timetable


def test_a_doctors_time_zone_can_be_asked_for_alone():
    assert ask_timezone(FakePeers(doctor=Answer(GARRETT)), 2) == "Europe/London"
    assert ask_timezone(FakePeers(doctor=UNKNOWN), 2) is None


@pytest.mark.parametrize("speciality", ["Surgery", None])
def test_the_timetables_of_a_speciality_or_of_all_doctors_are_asked_for_at_once(speciality):
    peers = FakePeers(doctor=Answer([GARRETT]))
    assert ask_timetables(peers, speciality) == {2: asked().timetable}
    assert peers.asked == [(Request("doctor", "availabilities", (speciality,)),)]


@pytest.mark.parametrize("service", ["patient", "doctor"])
def test_a_service_that_cannot_tell_is_not_taken_for_a_no(service):
    with pytest.raises(Unavailable):
        asked(**{service: Answer(error=Unavailable("database"))})


def test_a_service_that_does_not_answer_is_not_taken_for_a_no():
    def silent(*requests):
        raise Unavailable("doctor")

    with pytest.raises(Unavailable, match="The doctor service"):
        ask_of(silent, NOBODY_ASKED, (PATIENT, DOCTOR), now=NOW)
