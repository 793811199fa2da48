"""Which reminder is told when, decided from the appointment as it is then."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from appointment.domain import due_reminder, next_reminder
from appointment.models import Outbox
from appointment.reminders import tell_reminders
from schemas.statuses import ARRIVED, BOOKED, CANCELLED, NOSHOW

START = datetime(2027, 3, 2, 9, tzinfo=UTC)
DAY_AND_TWO_HOURS = (1440, 120)


def before(**time):
    return START - timedelta(**time)


def due(now, *, planned, leads=DAY_AND_TWO_HOURS, status=BOOKED):
    return due_reminder(status=status, starts_at=START, planned=planned, now=now, leads=leads)


@pytest.mark.parametrize(
    ("now", "lead", "then"),
    [
        pytest.param(before(hours=30), None, before(hours=24), id="none yet"),
        pytest.param(before(hours=24), 1440, before(hours=2), id="exactly a day"),
        pytest.param(before(hours=3), 1440, before(hours=2), id="late"),
        pytest.param(before(hours=2), 120, None, id="exactly two hours"),
        pytest.param(before(minutes=1), 120, None, id="after an outage, only the last"),
        pytest.param(START, None, None, id="it has begun"),
        pytest.param(START + timedelta(hours=1), None, None, id="it is over"),
    ],
)
def test_the_last_reminder_that_is_due_is_told_and_the_next_one_planned(now, lead, then):
    assert due(now, planned=before(hours=24)) == lead
    assert next_reminder(START, now=now, leads=DAY_AND_TWO_HOURS) == then


@pytest.mark.parametrize("status", [ARRIVED, CANCELLED, NOSHOW])
def test_only_who_is_booked_is_reminded(status):
    now = before(hours=1)
    assert due(now, planned=before(hours=2), status=status) is None


def test_without_reminders_none_is_told_or_planned():
    assert due(before(hours=1), planned=before(hours=24), leads=()) is None
    assert next_reminder(START, now=before(days=9), leads=()) is None


@pytest.mark.parametrize(
    ("leads", "now", "lead"),
    [
        pytest.param((2880, 60), before(hours=24), None, id="none of them was due since"),
        pytest.param((2880, 60), before(hours=1), 60, id="only the later one was"),
        pytest.param((2880, 1440), before(hours=23), 1440, id="the one it was planned for is kept"),
        pytest.param((1500,), before(hours=24), None, id="a little before is before"),
    ],
)
def test_after_the_leads_have_changed_nobody_is_told_of_what_was_never_due(leads, now, lead):
    assert due(now, planned=before(hours=24), leads=leads) == lead


def test_what_is_not_planned_is_not_due():
    assert due(before(hours=1), planned=None) is None


def tell(book, now, leads=DAY_AND_TWO_HOURS):
    looked_at = tell_reminders(book.session, leads=leads, now=now, correlation_id="made-up")
    book.session.flush()
    return looked_at


def told(book):
    bodies = [json.loads(body) for body in book.session.scalars(select(Outbox.body))]
    return [(body["subject"], body["sequence"], body["data"]["minutesBefore"]) for body in bodies]


def test_each_reminder_is_told_once_and_the_record_keeps_its_version(book):
    near = book.write(START, remind_at=before(hours=24))
    assert tell(book, before(hours=24, seconds=1)) == 0
    for now in (before(hours=24), before(hours=23), before(hours=2), before(hours=1), START):
        while tell(book, now):
            pass
    assert told(book) == [(str(near.id), 2, 1440), (str(near.id), 3, 120)]
    assert (near.version, near.remind_at) == (1, None)


def test_what_was_planned_for_one_that_is_cancelled_or_has_begun_is_dropped(book):
    gone = book.write(START, status=CANCELLED, remind_at=before(hours=24))
    begun = book.write(START - timedelta(days=2), remind_at=before(days=3))
    assert tell(book, before(hours=24)) == 2
    assert tell(book, before(hours=24)) == 0
    assert told(book) == []
    assert begun.remind_at is None and gone.status == CANCELLED


def test_after_the_leads_have_changed_it_is_planned_anew(book):
    near = book.write(START, remind_at=before(hours=24))
    assert tell(book, before(hours=24), leads=(2880, 60)) == 1
    assert (told(book), near.remind_at) == ([], before(hours=1))
    assert tell(book, before(hours=1), leads=(2880, 60)) == 1
    assert told(book) == [(str(near.id), 2, 60)]


def test_a_batch_at_a_time_those_that_wait_longest_first(book):
    for minute in range(101):
        book.write(START, remind_at=before(hours=24) - timedelta(minutes=minute), patient=minute)
    now = before(hours=3)
    assert [tell(book, now), tell(book, now), tell(book, now)] == [100, 1, 0]
    assert len({subject for subject, _, _ in told(book)}) == 101
