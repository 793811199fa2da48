"""Every refusal a client can meet, by name.

An error crosses RabbitMQ as its dotted path and its positional arguments (Nameko rebuilds it
from those and turns every detail into text), so arguments are positional and textual here from
the start, and each subclass registers itself to be rebuilt on the caller's side.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nameko.exceptions import deserialize_to_instance


class SchedulingError(Exception):
    """Root of the family. ``code`` is the contract's stable word, ``text`` takes the arguments."""

    code = "scheduling_error"
    text = "The request was refused."

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        deserialize_to_instance(cls)

    def __init__(self, *details: object) -> None:
        super().__init__(*(str(detail) for detail in details))

    def __str__(self) -> str:
        return self.text.format(*self.args)

    @property
    def members(self) -> dict[str, Any]:
        """What a client is told besides code and text, by the name of the problem's member."""
        return {}


class InvalidInput(SchedulingError):
    """Well-formed but invalid; ``errors`` maps a field's path (``weekly.0.start``) to a text."""

    code = "invalid"
    text = "Some fields are invalid."

    def __init__(self, errors: Mapping[str, str]) -> None:
        Exception.__init__(self, {str(field): str(message) for field, message in errors.items()})

    @property
    def errors(self) -> dict[str, str]:
        return dict(self.args[0])

    @property
    def members(self) -> dict[str, Any]:
        return {
            "errors": [{"field": name, "message": text} for name, text in self.errors.items()]
        }

    def __str__(self) -> str:
        return self.text


class NotFound(SchedulingError):
    code = "not_found"
    text = "There is no such record."


class PatientNotFound(NotFound):
    text = "There is no patient {0}."


class DoctorNotFound(NotFound):
    text = "There is no doctor {0}."


class AppointmentNotFound(NotFound):
    text = "There is no appointment {0}."


class AccountNotFound(NotFound):
    text = "There is no account {0}."


class TimeOffNotFound(NotFound):
    text = "There is no time off {0}."


class Unauthenticated(SchedulingError):
    """Nobody is signed in: no token, or one that is not (any longer) good."""

    code = "unauthenticated"
    text = "There is no token, or none that is (still) valid: sign in."


class BadCredentials(Unauthenticated):
    """Says not which of the two is wrong, nor whether the account may sign in at all."""

    code = "bad_credentials"
    text = "The e-mail address or the password is wrong."


class Forbidden(SchedulingError):
    """This role may never do this, whosever record it is."""

    code = "forbidden"
    text = "Your role may not do this."


class TooLate(Forbidden):
    """A patient inside the notice period, which began at the ``deadline`` (RFC 3339)."""

    code = "too_late"
    text = "This could be done until {0}; now only the clinic can."

    @property
    def members(self) -> dict[str, Any]:
        return {"deadline": self.args[0]}


class TooLateToCancel(TooLate):
    code = "too_late_to_cancel"
    text = "It could be cancelled until {0}; now only the clinic can."


class TooLateToReschedule(TooLate):
    code = "too_late_to_reschedule"
    text = "It could be moved until {0}; now only the clinic can."


class TooManyAttempts(SchedulingError):
    """``seconds`` until the next attempt is worth making."""

    code = "too_many_attempts"
    text = "There were too many attempts; try again in {0} s."

    @property
    def seconds(self) -> int:
        return int(self.args[0])


class TooManyRequests(TooManyAttempts):
    """As that, of requests that try nothing."""

    code = "too_many_requests"
    text = "There were too many requests; try again in {0} s."


class Conflict(SchedulingError):
    code = "conflict"
    text = "The request conflicts with what is stored."


class EmailTaken(Conflict):
    code = "email_taken"
    text = "Another record already has this e-mail address."


class MoveNotAllowed(Conflict):
    """``allowed`` are the statuses that may come after ``status`` by now."""

    code = "move_not_allowed"
    text = "An appointment that is {0} cannot get this status now."

    def __init__(self, status: str, allowed: Sequence[str] = ()) -> None:
        Exception.__init__(self, str(status), [str(each) for each in allowed])

    @property
    def members(self) -> dict[str, Any]:
        return {"current": self.args[0], "allowed": list(self.args[1])}


class NotBooked(Conflict):
    code = "not_booked"
    text = "The appointment is {0}; only one that is booked can be changed."


class LegalHold(Conflict):
    code = "legal_hold"
    text = "The record is under a legal hold and is kept until that ends."


class LastAdministrator(Conflict):
    code = "last_administrator"
    text = "This is the last administrator who can sign in; make another one first."


class RequestInFlight(Conflict):
    code = "request_in_flight"
    text = "A request with this idempotency key is still being worked on; send it again shortly."


class Unprocessable(SchedulingError):
    code = "unprocessable"
    text = "The request cannot be carried out."


class UnknownPatient(Unprocessable):
    code = "unknown_patient"
    text = "No patient {0} is registered."


class UnknownDoctor(Unprocessable):
    code = "unknown_doctor"
    text = "No doctor {0} is registered."


class IdempotencyKeyReused(Unprocessable):
    code = "idempotency_key_reused"
    text = "This idempotency key was already used for another request."


class Stale(SchedulingError):
    """Somebody else has changed the record since it was read."""

    code = "precondition_failed"
    text = "The record has changed since you read it: read it again."


class VersionNeeded(SchedulingError):
    """Without If-Match, one change could undo another that the client never saw."""

    code = "precondition_required"
    text = "Send If-Match with the ETag of the record that you have read."


class Unavailable(SchedulingError):
    """A part that is needed does not answer: the outcome is unknown, never "no"."""

    code = "unavailable"
    text = "The {0} service cannot answer at the moment; try again shortly."


class NotBookable(SchedulingError):
    """A time at which the doctor cannot be booked.

    :param rule: the verdict of the rule that failed, as ``GET .../slots/explain`` tells it.
    :param alternatives: up to three slots near to it that could have been booked then.
    """

    code = "not_bookable"
    text = "The doctor cannot be booked at this time."

    def __init__(
        self,
        rule: Mapping[str, object] | None = None,
        alternatives: Sequence[Mapping[str, object]] = (),
    ) -> None:
        # Refusals that an earlier version has kept had other arguments, and are still told.
        said = rule if isinstance(rule, Mapping) else {}
        near = alternatives if isinstance(alternatives, list | tuple) else ()
        # As text, like all that crosses the wire.
        told = {name: str(value) for name, value in said.items() if value is not None}
        slots = [{name: str(value) for name, value in slot.items()} for slot in near]
        Exception.__init__(self, told, slots)

    @property
    def alternatives(self) -> list[dict[str, Any]]:
        return [{**slot, "doctorId": int(slot["doctorId"])} for slot in self.args[1]]

    @property
    def members(self) -> dict[str, Any]:
        rule = {**self.args[0]}
        if rule:
            rule["passed"] = False
        if "minutes" in rule:
            rule["minutes"] = int(rule["minutes"])
        return {**({"rule": rule} if rule else {}), "alternatives": self.alternatives}


class InThePast(NotBookable, Unprocessable):
    code = "in_the_past"
    text = "The appointment would not start in the future."


class TooSoon(NotBookable, Unprocessable):
    code = "too_soon"
    text = "The doctor needs to be booked longer beforehand."


class TooFar(NotBookable, Unprocessable):
    code = "too_far"
    text = "The doctor cannot be booked that far ahead."


class OutsideHours(NotBookable, Unprocessable):
    code = "outside_hours"
    text = "The doctor does not work during the whole of this period."


class OffGrid(NotBookable, Unprocessable):
    code = "off_grid"
    text = "The doctor's appointments start at other times."


class TimeOff(NotBookable, Unprocessable):
    code = "time_off"
    text = "The doctor is away in this period."


class SlotTaken(NotBookable, Conflict):
    code = "slot_taken"
    text = "The doctor already has an appointment in this period, or too close to it."


class PatientBusy(NotBookable, Conflict):
    code = "patient_busy"
    text = "The patient already has an appointment in this period."
