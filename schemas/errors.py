"""Every refusal a client can meet, by name.

An error crosses RabbitMQ as its dotted path and its positional arguments (Nameko rebuilds it
from those and turns every detail into text), so arguments are positional and textual here from
the start, and each subclass registers itself to be rebuilt on the caller's side.
"""

from collections.abc import Mapping

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


class InvalidInput(SchedulingError):
    """Well-formed but invalid; ``errors`` maps a field's path (``weekly.0.start``) to a text."""

    code = "invalid"
    text = "Some fields are invalid."

    def __init__(self, errors: Mapping[str, str]) -> None:
        Exception.__init__(self, {str(field): str(message) for field, message in errors.items()})

    @property
    def errors(self) -> dict[str, str]:
        return dict(self.args[0])

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


class TooManyAttempts(SchedulingError):
    """``seconds`` until the next attempt is worth making."""

    code = "too_many_attempts"
    text = "There were too many attempts; try again in {0} s."

    @property
    def seconds(self) -> int:
        return int(self.args[0])


class Conflict(SchedulingError):
    code = "conflict"
    text = "The request conflicts with what is stored."


class EmailTaken(Conflict):
    code = "email_taken"
    text = "Another record already has this e-mail address."


class SlotTaken(Conflict):
    code = "slot_taken"
    text = "The doctor already has an appointment in this period."


class PatientBusy(Conflict):
    code = "patient_busy"
    text = "The patient already has an appointment in this period."


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


class InThePast(Unprocessable):
    code = "in_the_past"
    text = "The appointment would start at {0}, which is not in the future."


class IdempotencyKeyReused(Unprocessable):
    code = "idempotency_key_reused"
    text = "This idempotency key was already used for another request."


class Unavailable(SchedulingError):
    """A part that is needed does not answer: the outcome is unknown, never "no"."""

    code = "unavailable"
    text = "The {0} service cannot answer at the moment; try again shortly."
