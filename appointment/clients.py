"""What booking asks of the patient and doctor services, side by side."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from nameko.exceptions import RemoteError

from appointment.parties import DOCTOR, PATIENT, Parties, as_text
from config.messaging.call import DeadlineExceeded
from config.messaging.client import Answer, Request
from config.messaging.peers import Ask
from schemas.errors import DoctorNotFound, Unavailable
from schemas.schedule import timetable_of
from schemas.timetable import Timetable


def ask_of(ask: Ask, parties: Parties, services: Sequence[str], *, now: datetime) -> Parties:
    """``parties``, with what these services say of them.

    :raises Unavailable: when one of them does not answer in time.
    """
    requests = {
        PATIENT: Request(PATIENT, "exists", (parties.patient_id,)),
        DOCTOR: Request(DOCTOR, "availability", (parties.doctor_id,)),
    }
    answers = dict(zip(services, ask(*(requests[each] for each in services)), strict=True))
    known, availability = parties.patient_known, parties.availability
    if PATIENT in answers:
        known = _told(PATIENT, answers[PATIENT])
    if DOCTOR in answers:
        availability = _availability(answers[DOCTOR])
    return replace(
        parties,
        patient_known=known,
        availability=availability,
        open=(),
        told=(*parties.told, *services),
        told_at=parties.told_at or now,
    )


def ask_availability(ask: Ask, doctor_id: int) -> dict[str, Any]:
    """As the doctor service's ``availability``.

    :raises DoctorNotFound, Unavailable:
    """
    (answer,) = ask(Request("doctor", "availability", (doctor_id,)))
    return _told("doctor", answer)


def ask_timezone(ask: Ask, doctor_id: int) -> str | None:
    """The doctor's, or None when nobody knows them.

    :raises Unavailable:
    """
    try:
        return str(ask_availability(ask, doctor_id)["timezone"])
    except DoctorNotFound:
        return None


def ask_timetables(ask: Ask, speciality: str | None) -> dict[int, Timetable]:
    """Those of all doctors of the speciality, by their ids; None: of all doctors.

    :raises Unavailable:
    """
    (answer,) = ask(Request("doctor", "availabilities", (speciality,)))
    return {each["doctorId"]: timetable_of(each) for each in _told("doctor", answer)}


def _told(service: str, answer: Answer) -> Any:
    try:
        return answer.result()
    except (RemoteError, DeadlineExceeded) as failure:
        # It could not be told, which is neither yes nor no.
        raise Unavailable(service) from failure


def _availability(answer: Answer) -> str | None:
    try:
        return as_text(_told(DOCTOR, answer))
    except DoctorNotFound:
        return None
