"""What the database is asked while somebody is booked: nothing twice."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from appointment.desk import Desk
from appointment.inquiry import Inquiry
from appointment.known import Known
from appointment.models import CheckedTimetable, KnownPatient
from appointment.parties import as_text
from appointment.service import _dump
from config.encryption import VAULT
from config.messaging.call import Call
from config.messaging.caller import OPERATOR
from tests.unit.appointment.conftest import NOW
from tests.vaults import vault_for

ADA, GARRETT = 1, 2
CONFIG = {"CANCEL_NOTICE_MINUTES": 1440, "REMINDER_MINUTES": (1440, 120)}
TIMETABLE = {
    "doctorId": GARRETT, "scheduleVersion": 7, "timezone": "UTC", "schedule": None, "timeOff": [],
}
WISH = {
    "patient_id": ADA, "doctor_id": GARRETT, "starts_at": NOW + timedelta(days=7),
    "duration_minutes": 30, "description": "Check-up",
}


@pytest.fixture
def statements(book):
    """Those that are sent from now on, and whether it is for many rows."""
    book.session.info[VAULT] = vault_for("appointment")
    Known(book.session).meet(ADA, now=NOW)
    Known(book.session).keep_timetable(as_text(TIMETABLE), now=NOW)
    book.session.add(CheckedTimetable(doctor_id=GARRETT, schedule_version=7))
    book.session.commit()
    found = []

    def note(connection, cursor, statement, parameters, context, many):
        found.append((statement, many))

    event.listen(book.session.get_bind(), "before_cursor_execute", note)
    return found


def brief(sent):
    """What it does to which table."""
    statement, many = sent
    verb, table = re.match(r"(\w+)(?: INTO)? (\w+)", statement).groups()
    return f"{verb} {table}{', many' if many else ''}"


def test_who_is_known_is_booked_with_nine_statements(book, statements):
    call = Call(correlation_id="c", deadline=0.0, key="k", context={}, caller=OPERATOR)
    desk = Desk(book.session, call=call, config=CONFIG, clock=lambda: NOW)
    inquiry = Inquiry(lambda *requests: [], clock=lambda: NOW)
    parties = inquiry.parties(book.session, patient_id=ADA, doctor_id=GARRETT)
    told = _dump(desk.book(WISH, parties))
    book.session.commit()
    assert told["description"] == "Check-up"
    assert [brief(each) for each in statements] == [
        "SELECT known_patient", "SELECT checked_timetable", "SELECT appointment",
        "INSERT appointment", "SELECT erasure", "INSERT claim, many", "UPDATE appointment",
        "INSERT outbox", "INSERT history",
    ]


def test_who_was_told_of_now_is_kept_with_one_statement_each_time(book, statements):
    for patient in (ADA + 1, ADA):
        Known(book.session).meet(patient, now=NOW + timedelta(days=40))
    assert [brief(each) for each in statements] == ["INSERT known_patient"] * 2
    book.session.commit()
    kept = book.session.scalars(select(KnownPatient.known_at)).all()
    assert kept == [NOW + timedelta(days=40)] * 2
