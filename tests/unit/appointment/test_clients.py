"""What booking learns from the patient and doctor services, and what it makes of it."""

import pytest

from appointment.clients import Parties, ask_parties
from config.messaging.client import Answer, Request
from schemas.errors import DoctorNotFound, Unavailable, UnknownDoctor, UnknownPatient

GARRETT = {"id": 2, "timezone": "Europe/London"}


class FakePeers:
    """Answers by service, and keeps what was asked together."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []

    def __call__(self, *requests):
        self.asked.append(requests)
        return [self.answers[request.service] for request in requests]


def asked(patient=Answer(True), doctor=Answer(GARRETT)):
    return ask_parties(FakePeers(patient=patient, doctor=doctor), patient_id=1, doctor_id=2)


def test_both_services_are_asked_at_once():
    peers = FakePeers(patient=Answer(True), doctor=Answer(GARRETT))
    ask_parties(peers, patient_id=1, doctor_id=2)
    (together,) = peers.asked
    assert together == (
        Request("patient", "exists", (1,)),
        Request("doctor", "availability", (2,)),
    )


def test_known_parties_meet_in_the_doctors_time_zone():
    parties = asked()
    assert parties == Parties(patient_id=1, doctor_id=2, patient_known=True, doctor=GARRETT)
    assert parties.doctor_timezone() == "Europe/London"


def test_a_patient_nobody_knows_is_refused_by_id():
    with pytest.raises(UnknownPatient, match="No patient 1 is registered."):
        asked(patient=Answer(False)).doctor_timezone()


def test_a_doctor_nobody_knows_is_refused_by_id():
    with pytest.raises(UnknownDoctor, match="No doctor 2 is registered."):
        asked(doctor=Answer(error=DoctorNotFound(2))).doctor_timezone()


def test_when_nobody_is_known_the_patient_is_named():
    with pytest.raises(UnknownPatient):
        asked(patient=Answer(False), doctor=Answer(error=DoctorNotFound(2))).doctor_timezone()


@pytest.mark.parametrize("service", ["patient", "doctor"])
def test_a_service_that_cannot_tell_is_not_taken_for_a_no(service):
    with pytest.raises(Unavailable):
        asked(**{service: Answer(error=Unavailable("database"))})


def test_a_service_that_does_not_answer_is_not_taken_for_a_no():
    def silent(*requests):
        raise Unavailable("doctor")

    with pytest.raises(Unavailable, match="The doctor service"):
        ask_parties(silent, patient_id=1, doctor_id=2)
