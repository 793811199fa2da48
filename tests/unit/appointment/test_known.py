"""What is known of patients and doctors without asking, and for how long it counts."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from appointment.domain import PATIENT_KEPT_FOR, TIMETABLE_KEPT_FOR, is_recent
from appointment.inquiry import Inquiry
from appointment.known import Known
from appointment.models import Erasure, KeptTimetable, KnownPatient
from appointment.parties import DOCTOR, PATIENT, as_text
from appointment.timetables import OutOfDate
from config.messaging.client import Answer
from schemas.errors import NotBookable, PatientBusy, SlotTaken, Unavailable
from tests.unit.appointment.conftest import NOW

ADA, GARRETT = 1, 2
TICK = timedelta(microseconds=1)


def availability(version=7, doctor=GARRETT, **more):
    return {
        "doctorId": doctor, "scheduleVersion": version, "timezone": "UTC", "schedule": None,
        "timeOff": [],
    } | more


def keep(book, version=7, now=NOW):
    Known(book.session).keep_timetable(as_text(availability(version)), now=now)


def parties(book, now=NOW):
    return Known(book.session).parties(patient_id=ADA, doctor_id=GARRETT, now=now)


@pytest.mark.parametrize("age, recent", [
    (timedelta(0), True),
    (TIMETABLE_KEPT_FOR - TICK, True),
    (TIMETABLE_KEPT_FOR, False),
    (-TIMETABLE_KEPT_FOR + TICK, True),
    (-TIMETABLE_KEPT_FOR, False),
])
def test_what_was_told_counts_for_a_while_and_clocks_may_differ_as_much(age, recent):
    assert is_recent(NOW - age, now=NOW, within=TIMETABLE_KEPT_FOR) is recent


def test_what_was_never_told_is_not_recent():
    assert not is_recent(None, now=NOW, within=TIMETABLE_KEPT_FOR)


def test_of_whom_nothing_is_known_both_must_be_asked(book):
    assert parties(book).open == (PATIENT, DOCTOR)


def test_who_was_met_and_whose_timetable_is_kept_need_not_be_asked(book):
    Known(book.session).meet(ADA, now=NOW)
    keep(book)
    before = book.statements
    found = parties(book)
    assert (found.open, found.kept, found.schedule_version) == ((), True, 7)
    assert book.statements == before + 1


def test_each_is_asked_about_when_their_own_time_is_over(book):
    Known(book.session).meet(ADA, now=NOW)
    keep(book)
    assert parties(book, NOW + TIMETABLE_KEPT_FOR).open == (DOCTOR,)
    assert parties(book, NOW + PATIENT_KEPT_FOR).open == (PATIENT, DOCTOR)


def test_told_again_it_counts_again(book):
    known = Known(book.session)
    for passed in (timedelta(0), PATIENT_KEPT_FOR):
        known.meet(ADA, now=NOW + passed)
        keep(book, now=NOW + passed)
    assert parties(book, NOW + PATIENT_KEPT_FOR).open == ()
    for table in (KnownPatient, KeptTimetable):
        assert len(book.session.scalars(select(table)).all()) == 1


def test_who_was_erased_elsewhere_is_forgotten_and_nobody_else(book):
    for patient in (ADA, 3, 4):
        Known(book.session).meet(patient, now=NOW)
    book.session.add_all(Erasure(patient_id=each, erased_at=NOW) for each in (ADA, 3, 5))
    for _ in range(2):
        Known(book.session).forget_erased(limit=1)
    assert book.session.scalars(select(KnownPatient.patient_id)).all() == [4]


def test_who_is_forgotten_must_be_asked_about(book):
    Known(book.session).meet(ADA, now=NOW)
    Known(book.session).forget(ADA)
    assert PATIENT in parties(book).open


def test_an_older_timetable_does_not_replace_a_newer_one(book):
    for version in (7, 9, 8):
        keep(book, version)
    Known(book.session).meet(ADA, now=NOW)
    assert parties(book).schedule_version == 9


@pytest.mark.parametrize("poison", [
    "", "{", "null", "[]", "7", json.dumps({"doctorId": GARRETT}),
    as_text(availability(doctor=3)), as_text(availability(version=8)),
    as_text(availability(timezone="Nowhere/Land")), as_text(availability(more="words")),
], ids=repr)
def test_what_is_not_the_doctors_timetable_is_as_good_as_none(book, poison):
    keep(book)
    book.session.execute(update(KeptTimetable).values(timetable=poison))
    found = parties(book)
    assert (DOCTOR in found.open, found.availability) == (True, None)
    keep(book)
    assert DOCTOR not in parties(book).open


class Peers:
    """A patient service that knows everybody, and a doctor service; each can be down."""

    def __init__(self):
        self.asked, self.down = [], set[str]()

    def __call__(self, *requests):
        self.asked += [request.service for request in requests]
        for request in requests:
            if request.service in self.down:
                raise Unavailable(request.service)
        return [
            Answer(availability() if request.service == DOCTOR else True) for request in requests
        ]


def begun(book, peers, *, now=NOW):
    """An inquiry, and the way to what it finds."""
    inquiry = Inquiry(peers, clock=lambda: now)
    return inquiry, lambda: inquiry.parties(book.session, patient_id=ADA, doctor_id=GARRETT)


def test_only_whom_nothing_is_known_of_is_asked_about(book):
    Known(book.session).meet(ADA, now=NOW)
    peers = Peers()
    inquiry, find = begun(book, peers)
    with pytest.raises(OutOfDate):
        find()
    inquiry.ask()
    assert (peers.asked, find().kept) == ([DOCTOR], False)


def test_a_kept_timetable_that_would_not_do_is_asked_for_and_not_looked_at_again(book):
    Known(book.session).meet(ADA, now=NOW)
    keep(book, 6)
    peers = Peers()
    inquiry, find = begun(book, peers)
    assert find().schedule_version == 6
    inquiry.ask()
    assert (peers.asked, find().schedule_version, find().kept) == ([DOCTOR], 7, False)


def test_for_who_has_an_appointment_only_the_doctor_is_asked(book):
    peers = Peers()
    inquiry = Inquiry(peers, clock=lambda: NOW)

    def find():
        return inquiry.parties_again(book.session, patient_id=ADA, doctor_id=GARRETT)

    with pytest.raises(OutOfDate):
        find()
    inquiry.ask()
    assert (peers.asked, find().schedule_version) == ([DOCTOR], 7)


def test_what_is_old_counts_while_nobody_answers_but_refuses_nobody(book):
    Known(book.session).meet(ADA, now=NOW)
    keep(book)
    peers = Peers()
    peers.down = {PATIENT, DOCTOR}
    inquiry, find = begun(book, peers, now=NOW + PATIENT_KEPT_FOR)
    with pytest.raises(OutOfDate):
        find()
    inquiry.ask()
    assert (find().kept, find().schedule_version, find().final) == (True, 7, ())
    # It may have been the patient's service only that was silent.
    inquiry.ask()
    assert (peers.asked, find().final) == ([PATIENT, DOCTOR, DOCTOR], (SlotTaken, PatientBusy))
    with pytest.raises(Unavailable):
        inquiry.ask()
    assert len(peers.asked) == 3


def test_a_refusal_by_what_was_told_now_is_final(book):
    inquiry, find = begun(book, Peers())
    with pytest.raises(OutOfDate):
        find()
    inquiry.ask()
    assert find().final == (NotBookable,)


def test_while_the_doctors_service_is_silent_a_gap_is_no_reason_to_refuse(book):
    Known(book.session).meet(ADA, now=NOW)
    gap = availability(schedule={"slotMinutes": 30, "bufferMinutes": 10, "weekly": []})
    Known(book.session).keep_timetable(as_text(gap), now=NOW)
    peers = Peers()
    peers.down = {DOCTOR}
    inquiry, find = begun(book, peers)
    assert find().final == ()
    inquiry.ask()
    assert find().final == (PatientBusy,)


def test_while_nobody_answers_who_was_never_met_is_not_taken_for_known(book):
    keep(book)
    peers = Peers()
    peers.down = {PATIENT}
    inquiry, find = begun(book, peers)
    with pytest.raises(OutOfDate):
        find()
    with pytest.raises(Unavailable):
        inquiry.ask()


def test_what_was_told_by_a_clock_that_is_ahead_counts(book):
    Known(book.session).meet(ADA, now=NOW + timedelta(seconds=2))
    keep(book, now=datetime(2027, 3, 1, 7, 0, 2, tzinfo=UTC))
    assert parties(book).open == ()
