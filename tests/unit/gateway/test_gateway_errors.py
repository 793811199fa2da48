"""From the class of an error to what the client gets."""

import io
import json
import logging
import sys

import pytest
from nameko.exceptions import RemoteError
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from config.logs import CorrelationFilter, LineFormatter
from config.messaging.call import DeadlineExceeded
from gateway.errors import STATUS, problem
from schemas import errors

SECRET = "Ada Byron, 1985-12-10"


def family(root):
    yield root
    for child in root.__subclasses__():
        yield from family(child)


# Once, though some have two parents.
EVERY_ERROR = list(dict.fromkeys(family(errors.SchedulingError)))[1:]
NINE, TEN = "2027-03-01T09:00:00Z", "2027-03-01T10:00:00Z"
RULE = {"rule": "outside_hours", "passed": False, "since": NINE, "until": TEN}
SLOT = {"start": NINE, "end": TEN, "doctorId": 7}


def example_of(kind):
    if issubclass(kind, errors.InvalidInput):
        return kind({"email": "No."})
    if issubclass(kind, errors.NotBookable):
        return kind(RULE, [SLOT])
    return kind("7", "8") if issubclass(kind, errors.MoveNotAllowed) else kind("7", "8", "9")


def answer_to(error):
    response = problem(error, correlation_id="abc")
    return response, json.loads(response.get_data())


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidInput({"dob": "Must be in the past."}), 422, "invalid"),
        (errors.PatientNotFound(7), 404, "not_found"),
        (errors.DoctorNotFound(7), 404, "not_found"),
        (errors.AppointmentNotFound(7), 404, "not_found"),
        (errors.AccountNotFound(7), 404, "not_found"),
        (errors.Unauthenticated(), 401, "unauthenticated"),
        (errors.BadCredentials(), 401, "bad_credentials"),
        (errors.Forbidden(), 403, "forbidden"),
        (errors.TooManyAttempts(7), 429, "too_many_attempts"),
        (errors.LastAdministrator(), 409, "last_administrator"),
        (errors.LegalHold(), 409, "legal_hold"),
        (errors.Conflict(), 409, "conflict"),
        (errors.EmailTaken(), 409, "email_taken"),
        (errors.SlotTaken(), 409, "slot_taken"),
        (errors.PatientBusy(), 409, "patient_busy"),
        (errors.RequestInFlight(), 409, "request_in_flight"),
        (errors.UnknownPatient(7), 422, "unknown_patient"),
        (errors.UnknownDoctor(7), 422, "unknown_doctor"),
        (errors.TooLateToCancel(NINE), 403, "too_late_to_cancel"),
        (errors.TooLateToReschedule(NINE), 403, "too_late_to_reschedule"),
        (errors.TimeOffNotFound(7), 404, "not_found"),
        (errors.MoveNotAllowed("booked", ["arrived"]), 409, "move_not_allowed"),
        (errors.NotBooked("cancelled"), 409, "not_booked"),
        (errors.Stale(), 412, "precondition_failed"),
        (errors.VersionNeeded(), 428, "precondition_required"),
        (errors.InThePast(), 422, "in_the_past"),
        (errors.TooSoon(), 422, "too_soon"),
        (errors.TooFar(), 422, "too_far"),
        (errors.OutsideHours(), 422, "outside_hours"),
        (errors.OffGrid(), 422, "off_grid"),
        (errors.TimeOff(), 422, "time_off"),
        (errors.IdempotencyKeyReused(), 422, "idempotency_key_reused"),
        (errors.Unavailable("doctor"), 503, "unavailable"),
        (DeadlineExceeded(), 503, "unavailable"),
        (BadRequest("The body is not readable JSON."), 400, "unreadable"),
        (NotFound(), 404, "not_found"),
        (MethodNotAllowed(["GET"]), 405, "method_not_allowed"),
        (RequestEntityTooLarge(), 413, "too_large"),
        (UnsupportedMediaType(), 415, "unsupported_media_type"),
        (Forbidden(), 403, "forbidden"),
        (KeyError("id"), 500, "internal_error"),
        (RemoteError("KeyError", "id"), 500, "internal_error"),
    ],
)
def test_an_error_has_its_status_and_its_code(error, status, code):
    response, body = answer_to(error)
    assert response.status_code == body["status"] == status
    assert body["code"] == code


@pytest.mark.parametrize("kind", STATUS)
def test_every_row_of_the_table_is_used(kind):
    error = example_of(kind) if kind in EVERY_ERROR else kind()
    assert answer_to(error)[0].status_code == STATUS[kind]


# Never raised itself; each of its kinds is in the table.
REFUSALS = [kind for kind in EVERY_ERROR if kind is not errors.NotBookable]


@pytest.mark.parametrize("kind", REFUSALS)
def test_no_refusal_of_the_family_is_taken_for_a_fault(kind):
    response, body = answer_to(example_of(kind))
    assert 400 <= response.status_code < 500 or response.status_code == 503
    assert body["code"] == kind.code
    assert body["detail"] == str(example_of(kind))


@pytest.mark.parametrize(
    "error",
    [*map(example_of, REFUSALS), NotFound(), UnsupportedMediaType(), KeyError(SECRET)],
    ids=lambda error: type(error).__name__,
)
def test_every_answer_is_a_problem_document(error):
    response, body = answer_to(error)
    members = {"type", "title", "status", "detail", "code", "correlationId"}
    assert response.content_type == "application/problem+json"
    assert set(body) - set(getattr(error, "members", ())) == members
    assert body["type"] == "about:blank"
    assert body["title"] and body["detail"]
    assert body["correlationId"] == "abc"


def test_each_invalid_field_is_told_with_its_message():
    fields = {"dob": "Must be in the past.", "weekly.0.start": "Müßte früher sein."}
    _, body = answer_to(errors.InvalidInput(fields))
    assert body["errors"] == [
        {"field": "dob", "message": "Must be in the past."},
        {"field": "weekly.0.start", "message": "Müßte früher sein."},
    ]


def test_a_refused_booking_tells_the_rule_and_what_would_do():
    _, body = answer_to(errors.OutsideHours(RULE, [SLOT]))
    assert (body["rule"], body["alternatives"]) == (RULE, [SLOT])


def test_who_comes_too_late_is_told_until_when_it_was_possible():
    assert answer_to(errors.TooLateToCancel(NINE))[1]["deadline"] == NINE


def test_a_move_that_is_not_allowed_tells_the_ones_that_are():
    _, body = answer_to(errors.MoveNotAllowed("booked", ["arrived", "cancelled"]))
    assert (body["current"], body["allowed"]) == ("booked", ["arrived", "cancelled"])


def test_only_invalid_input_lists_fields():
    assert "errors" not in answer_to(errors.SlotTaken())[1]


@pytest.mark.parametrize(
    "error", [errors.Unavailable("doctor"), errors.RequestInFlight(), DeadlineExceeded()]
)
def test_what_may_go_well_next_time_says_when_to_try_again(error):
    assert int(answer_to(error)[0].headers["Retry-After"]) >= 1


def test_too_many_attempts_come_with_the_seconds_to_wait():
    response, body = answer_to(errors.TooManyAttempts(42))
    assert response.headers["Retry-After"] == "42"
    assert "42" in body["detail"]


@pytest.mark.parametrize("error", [errors.Unauthenticated(), errors.BadCredentials()])
def test_who_is_not_signed_in_is_told_how(error):
    assert answer_to(error)[0].headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("error", [errors.Forbidden(), errors.PatientNotFound(7), NotFound()])
def test_whom_signing_in_does_not_help_is_not_told_so(error):
    assert "WWW-Authenticate" not in answer_to(error)[0].headers


@pytest.mark.parametrize("error", [errors.SlotTaken(), errors.PatientNotFound(7), KeyError()])
def test_what_stays_refused_does_not(error):
    assert "Retry-After" not in answer_to(error)[0].headers


def test_a_method_not_allowed_comes_with_the_ones_that_are():
    response, _ = answer_to(MethodNotAllowed(["GET", "PUT"]))
    assert {word.strip() for word in response.headers["Allow"].split(",")} == {"GET", "PUT"}


def test_an_answer_is_not_html():
    response, _ = answer_to(NotFound())
    assert b"<" not in response.get_data()
    assert len(response.headers.getlist("Content-Type")) == 1


@pytest.fixture
def log():
    """What the gateway's logger writes, formatted as it is for machines."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter("%(levelname)s %(message)s %(correlation_id)s"))
    handler.addFilter(CorrelationFilter())
    logger = logging.getLogger("gateway")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


def raised(error):
    try:
        raise error from ValueError(SECRET)
    except Exception:
        return sys.exc_info()[1]


@pytest.mark.parametrize(
    ("error", "name"),
    [(KeyError(SECRET), "KeyError"), (RemoteError("DataError", SECRET), "DataError")],
)
def test_an_unexpected_error_tells_its_class_to_the_log_and_its_text_to_nobody(log, error, name):
    response, body = answer_to(raised(error))
    line = json.loads(log.getvalue())
    assert response.status_code == 500
    assert name not in json.dumps(body)
    assert line["error"] == name
    assert "in raised" in line["exc_info"]
    for text in (response.get_data(as_text=True), log.getvalue()):
        assert "Ada" not in text and "1985" not in text


def test_a_refusal_leaves_no_error_in_the_log(log):
    answer_to(errors.SlotTaken())
    answer_to(NotFound())
    assert log.getvalue() == ""
