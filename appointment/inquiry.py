"""How it is found out, for one appointment, who would meet."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from appointment.clients import ask_of
from appointment.known import Known
from appointment.parties import DOCTOR, PATIENT, Parties, as_text
from appointment.timetables import OutOfDate, Timetables
from config.messaging.peers import Ask
from schemas.errors import Unavailable


class Inquiry:
    """By what is known here, and where that does not do, by asking. Made for one call.

    ``parties`` is for its transactions, ``ask`` for between them: who waits for another service
    has no locks.
    """

    def __init__(self, ask: Ask, *, clock: Callable[[], datetime]) -> None:
        self._ask = ask
        self._clock = clock
        # By what is known here; there is no asking before it was looked at.
        self._known: Parties
        self._asked: Parties | None = None

    def parties(self, session: Session, *, patient_id: int, doctor_id: int) -> Parties:
        """:raises OutOfDate: when somebody must be asked first."""
        return self._settled(session, patient_id, doctor_id, who=(PATIENT, DOCTOR))

    def parties_again(self, session: Session, *, patient_id: int, doctor_id: int) -> Parties:
        """As ``parties``, for a patient who has an appointment already."""
        return self._settled(session, patient_id, doctor_id, who=(DOCTOR,))

    def ask(self) -> None:
        """Ask those whom it takes: whose word is missing, else for the timetable, which has turned
        out to be out of date, or would be refused by.

        :raises Unavailable: when there is no answer, nor anything known that would do instead.
        """
        known = self._asked or self._known
        if known.unanswered:
            raise Unavailable(DOCTOR)
        who, now = known.open or (DOCTOR,), self._clock()
        try:
            self._asked = ask_of(self._ask, known, who, now=now)
        except Unavailable:
            # What was told long ago is better than nothing, and may be enough to refuse by.
            if not (known.patient_known and known.availability):
                raise
            self._asked = replace(known, open=(), unanswered=who == (DOCTOR,))

    def _settled(
        self, session: Session, patient_id: int, doctor_id: int, *, who: tuple[str, ...]
    ) -> Parties:
        if self._asked and self._asked.doctor_id == doctor_id:
            return self._asked
        known = Known(session).parties(
            patient_id=patient_id, doctor_id=doctor_id, now=self._clock()
        )
        self._asked, self._known = None, replace(
            known,
            patient_known=known.patient_known or PATIENT not in who,
            open=tuple(each for each in known.open if each in who),
        )
        if self._known.open:
            raise OutOfDate()
        return self._known


def keep_timetable(session: Session, availability: Mapping[str, Any], *, now: datetime) -> None:
    """Keep what a doctor's own service has told, while no change of it is checked.

    :raises OutOfDate: when appointments were checked against a later one already.
    """
    doctor_id, version = availability["doctorId"], availability["scheduleVersion"]
    Timetables(session).hold(doctor_id, version=version, alone=False)
    Known(session).keep_timetable(as_text(availability), now=now)
