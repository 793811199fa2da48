"""Whose records a caller may reach: the scopes of the route table.

A role that may do a thing at all may do it to all records, or to those within its scope. What
lies outside of it answers like a record that is not there.
"""

from collections.abc import Callable, Mapping

from gateway.visit import Visit
from schemas.accounts import DOCTOR, PATIENT, ROLES
from schemas.errors import (
    AppointmentNotFound,
    DoctorNotFound,
    Forbidden,
    PatientNotFound,
    Unauthenticated,
)

ANYONE = "anyone"
SIGNED_IN = "signed-in"

# The record that somebody of a role is: what addresses call its id, and what a stranger is told.
OWN_RECORD = {PATIENT: ("patient_id", PatientNotFound), DOCTOR: ("doctor_id", DoctorNotFound)}

Ids = Mapping[str, int]
Scope = Callable[[Visit, Ids], None]


def everything(visit: Visit, ids: Ids) -> None:
    """No bound."""


def own(visit: Visit, ids: Ids) -> None:
    """The record that the caller is.

    :raises PatientNotFound, DoctorNotFound:
    """
    name, refusal = OWN_RECORD[visit.caller.role]
    if ids[name] != visit.caller.subject:
        raise refusal(ids[name])


def treated(visit: Visit, ids: Ids) -> None:
    """Patients who have an appointment with the doctor who calls; a cancelled one does not count.

    :raises PatientNotFound:
    """
    patient_id = ids["patient_id"]
    met = visit.ask("appointment", "has_met", visit.caller.subject, patient_id)
    if not met.result():
        raise PatientNotFound(patient_id)


def party(visit: Visit, ids: Ids) -> None:
    """Appointments of the patient or doctor who calls.

    :raises AppointmentNotFound:
    """
    appointment_id = ids["appointment_id"]
    appointment = visit.appointment(appointment_id)
    theirs = {PATIENT: appointment["patientId"], DOCTOR: appointment["doctorId"]}
    if theirs[visit.caller.role] != visit.caller.subject:
        raise AppointmentNotFound(appointment_id)


SCOPES: Mapping[str, Scope] = {
    "all": everything, "own": own, "treated": treated, "party": party
}


def parse_rule(text: str) -> dict[str, Scope]:
    """From ``patient:own staff admin`` to each role's scope.

    :raises ValueError: for words that are no role or scope, and when nobody is named.
    """
    rule: dict[str, Scope] = {}
    for word in text.split():
        role, bounded, scope = word.partition(":")
        scope = scope if bounded else "all"
        if role not in (ANYONE, SIGNED_IN, *ROLES) or scope not in SCOPES:
            raise ValueError(f"{word} is no rule")
        for each in ROLES if role == SIGNED_IN else (role,):
            rule[each] = SCOPES[scope]
    if not rule:
        raise ValueError("it does not say who may call it")
    return rule


def check(visit: Visit, rule: Mapping[str, Scope], ids: Ids) -> None:
    """:raises Unauthenticated, Forbidden, NotFound: unless ``rule`` lets the caller in."""
    role = visit.caller.role
    scope = rule.get(role) or rule.get(ANYONE)
    if scope is None:
        raise Unauthenticated() if visit.signed_in is None else Forbidden()
    scope(visit, ids)
