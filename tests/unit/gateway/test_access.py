"""Whose records a caller may reach."""

from datetime import UTC, datetime

import pytest

from config.messaging.client import Answer, Request
from gateway import access
from gateway.accounts import SignedIn
from gateway.routes import ROUTES
from schemas import errors
from schemas.accounts import ADMIN, DOCTOR, PATIENT, ROLES, STAFF
from tests.unit.gateway.fakes import FakePool, office_on, visit_to

ADA, GARRETT = 7, 3
NOBODY = None
FOREVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def caller(settings):
    """A visit of somebody with a role, who is the patient or doctor ``subject``."""

    def caller(role, *, subject=None, **answers):
        office = office_on(settings, FakePool(**answers))
        who = role and SignedIn("a session", 1, role, subject, FOREVER)
        return visit_to(office, signed_in=who)

    return caller


def let_in(visit, rule, **ids):
    try:
        access.check(visit, access.parse_rule(rule), ids)
    except errors.SchedulingError as refused:
        return type(refused)
    return True


# Rules


@pytest.mark.parametrize(
    "rule",
    [
        "everybody", "patients", "Patient", "nobody", "operator", "system", "patient:theirs",
        "patient:", "patient:Own", "patient:own:all", ":own", ":", "patient, staff",
        "admin everybody",
        "anyone:none",
    ],
)
def test_a_word_that_is_no_rule_is_refused(rule):
    with pytest.raises(ValueError, match="is no rule"):
        access.parse_rule(rule)


@pytest.mark.parametrize("rule", ["", " ", "\n"])
def test_a_rule_names_somebody(rule):
    with pytest.raises(ValueError, match="does not say who may call it"):
        access.parse_rule(rule)


def test_signed_in_is_every_role_and_nobody_else():
    assert set(access.parse_rule("signed-in")) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("rule", ROLES)
def test_a_rule_lets_in_the_role_that_it_names_alone(caller, role, rule):
    assert let_in(caller(role), rule) == (True if role == rule else errors.Forbidden)


@pytest.mark.parametrize("rule", ["signed-in", "patient doctor staff admin", "patient:own"])
def test_nobody_is_asked_to_sign_in_first(caller, rule):
    assert let_in(caller(NOBODY), rule, patient_id=ADA) == errors.Unauthenticated


@pytest.mark.parametrize("role", [NOBODY, *ROLES])
def test_anyone_may_do_what_anyone_may(caller, role):
    assert let_in(caller(role), "anyone") is True


@pytest.mark.parametrize("role", ["nobody", "operator", "system", "anyone", "nurse", ""])
def test_a_role_that_we_do_not_know_may_do_nothing_that_needs_one(caller, role):
    visit = caller(PATIENT)
    visit.signed_in = SignedIn("a session", 1, role, None, FOREVER)
    assert let_in(visit, "signed-in") == errors.Forbidden


def test_a_role_that_is_named_is_bounded_even_where_anyone_may(caller):
    visit = caller(PATIENT, subject=ADA)
    assert let_in(visit, "anyone patient:own", patient_id=ADA + 1) == errors.PatientNotFound


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_route_lets_a_role_in_that_its_rule_does_not_name(caller, route):
    rule = access.parse_rule(route.who)
    if access.ANYONE not in rule:
        for role in set(ROLES) - set(rule):
            assert let_in(caller(role, subject=ADA), route.who) == errors.Forbidden
        assert let_in(caller(NOBODY), route.who) == errors.Unauthenticated


# One's own


@pytest.mark.parametrize(
    ("role", "name", "refusal"),
    [
        (PATIENT, "patient_id", errors.PatientNotFound),
        (DOCTOR, "doctor_id", errors.DoctorNotFound),
    ],
)
def test_one_reaches_ones_own_record_and_others_are_not_there(caller, role, name, refusal):
    visit = caller(role, subject=ADA)
    assert let_in(visit, f"{role}:own", **{name: ADA}) is True
    assert let_in(visit, f"{role}:own", **{name: ADA + 1}) == refusal
    assert visit.office.pools.calls.asked == []


@pytest.mark.parametrize(
    ("role", "name"), [(PATIENT, "patient_id"), (DOCTOR, "doctor_id")]
)
def test_somebody_whose_record_is_not_known_has_none(caller, role, name):
    assert let_in(caller(role), f"{role}:own", **{name: ADA}) is not True


@pytest.mark.parametrize(
    ("role", "ids"),
    [
        (DOCTOR, {"patient_id": ADA}),
        (PATIENT, {"doctor_id": ADA}),
        (PATIENT, {"appointment_id": ADA}),
        (PATIENT, {}),
        (STAFF, {"patient_id": ADA}),
        (ADMIN, {"patient_id": ADA}),
    ],
)
def test_a_number_of_another_kind_is_not_ones_own(caller, role, ids):
    with pytest.raises(KeyError):
        let_in(caller(role, subject=ADA), f"{role}:own", **ids)


# Those one treats


@pytest.mark.parametrize(("met", "outcome"), [(True, True), (False, errors.PatientNotFound)])
def test_a_doctor_reaches_patients_they_meet(caller, met, outcome):
    visit = caller(DOCTOR, subject=GARRETT, appointment_has_met=Answer(met))
    assert let_in(visit, "doctor:treated", patient_id=ADA) == outcome
    assert visit.office.pools.calls.asked == [Request("appointment", "has_met", (GARRETT, ADA))]


@pytest.mark.parametrize("raised", [True, False])
def test_who_treats_whom_is_not_guessed_when_it_cannot_be_asked(caller, raised):
    failure = errors.Unavailable("appointment")
    answer = failure if raised else Answer(error=failure)
    visit = caller(DOCTOR, subject=GARRETT, appointment_has_met=answer)
    assert let_in(visit, "doctor:treated", patient_id=ADA) == errors.Unavailable


# Those one takes part in


@pytest.mark.parametrize(
    ("role", "subject", "outcome"),
    [
        (PATIENT, ADA, True),
        (PATIENT, ADA + 1, errors.AppointmentNotFound),
        # A doctor with the patient's number, and the other way round.
        (PATIENT, GARRETT, errors.AppointmentNotFound),
        (DOCTOR, GARRETT, True),
        (DOCTOR, GARRETT + 1, errors.AppointmentNotFound),
        (DOCTOR, ADA, errors.AppointmentNotFound),
        (PATIENT, None, errors.AppointmentNotFound),
    ],
)
def test_an_appointment_is_there_for_those_who_take_part(caller, role, subject, outcome):
    appointment = Answer({"id": 5, "patientId": ADA, "doctorId": GARRETT})
    visit = caller(role, subject=subject, appointment_get=appointment)
    assert let_in(visit, f"{role}:party", appointment_id=5) == outcome
    # On record as an attempt at Ada's data, whoever it was.
    assert visit.concerns == [f"patient/{ADA}"]


def test_an_appointment_that_is_missing_answers_like_that_of_others(caller):
    missing = Answer(error=errors.AppointmentNotFound(5))
    visit = caller(PATIENT, subject=ADA, appointment_get=missing)
    assert let_in(visit, "patient:party", appointment_id=5) == errors.AppointmentNotFound


def test_an_appointment_is_fetched_once_for_the_check_and_the_answer(caller):
    appointment = Answer({"id": 5, "patientId": ADA, "doctorId": GARRETT})
    visit = caller(PATIENT, subject=ADA, appointment_get=appointment)
    assert let_in(visit, "patient:party", appointment_id=5) is True
    assert visit.known("appointment", "get", 5)["id"] == 5
    assert len(visit.office.pools.calls.asked) == 1
