"""What booking asks of the patient and doctor services, side by side."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nameko.exceptions import RemoteError

from config.messaging.call import DeadlineExceeded
from config.messaging.client import Answer, Request
from config.messaging.peers import Ask
from schemas.errors import DoctorNotFound, Unavailable, UnknownDoctor, UnknownPatient
from schemas.schedule import timetable_of
from schemas.timetable import Timetable


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Who would meet, as their own services know them.

    :param doctor: the doctor service's ``availability``, or None when it knows no such doctor.
    """

    patient_id: int
    doctor_id: int
    patient_known: bool
    doctor: dict[str, Any] | None

    @cached_property
    def timetable(self) -> Timetable:
        """The doctor's.

        :raises UnknownPatient, UnknownDoctor:
        """
        return timetable_of(self._known())

    @property
    def schedule_version(self) -> int:
        """As ``timetable``: how often it had changed."""
        return int(self._known()["scheduleVersion"])

    def _known(self) -> dict[str, Any]:
        if not self.patient_known:
            raise UnknownPatient(self.patient_id)
        if self.doctor is None:
            raise UnknownDoctor(self.doctor_id)
        return self.doctor


def ask_parties(ask: Ask, *, patient_id: int, doctor_id: int) -> Parties:
    """:raises Unavailable: when either service does not answer in time."""
    patient, doctor = ask(
        Request("patient", "exists", (patient_id,)), Request("doctor", "availability", (doctor_id,))
    )
    return Parties(
        patient_id=patient_id,
        doctor_id=doctor_id,
        patient_known=_told("patient", patient),
        doctor=_doctor(doctor),
    )


def ask_doctor(ask: Ask, *, patient_id: int, doctor_id: int) -> Parties:
    """As ``ask_parties``, for a patient who has an appointment already."""
    (doctor,) = ask(Request("doctor", "availability", (doctor_id,)))
    return Parties(
        patient_id=patient_id, doctor_id=doctor_id, patient_known=True, doctor=_doctor(doctor)
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


def _doctor(answer: Answer) -> Any:
    try:
        return _told("doctor", answer)
    except DoctorNotFound:
        return None
