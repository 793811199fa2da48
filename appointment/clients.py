"""What booking asks of the patient and doctor services, side by side."""

from dataclasses import dataclass
from typing import Any

from nameko.exceptions import RemoteError

from config.messaging.call import DeadlineExceeded
from config.messaging.client import Answer, Request
from config.messaging.peers import Ask
from schemas.errors import DoctorNotFound, Unavailable, UnknownDoctor, UnknownPatient


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Who would meet, as their own services know them; nothing where they know nobody."""

    patient_id: int
    doctor_id: int
    patient_known: bool
    doctor: dict[str, Any] | None

    def doctor_timezone(self) -> str:
        """The doctor's time zone, once both are known to be there.

        :raises UnknownPatient, UnknownDoctor:
        """
        if not self.patient_known:
            raise UnknownPatient(self.patient_id)
        if self.doctor is None:
            raise UnknownDoctor(self.doctor_id)
        return str(self.doctor["timezone"])


def ask_parties(ask: Ask, *, patient_id: int, doctor_id: int) -> Parties:
    """:raises Unavailable: when either service does not answer in time."""
    patient, doctor = ask(
        Request("patient", "exists", (patient_id,)), Request("doctor", "availability", (doctor_id,))
    )
    return Parties(
        patient_id=patient_id,
        doctor_id=doctor_id,
        patient_known=_checked("patient", patient),
        doctor=_checked("doctor", doctor),
    )


def _checked(service: str, answer: Answer) -> Any:
    try:
        return answer.result()
    except DoctorNotFound:
        return None
    except (RemoteError, DeadlineExceeded) as failure:
        # It could not be checked, which is neither yes nor no.
        raise Unavailable(service) from failure
