"""Reminders, told once each by however many programs there are, on MariaDB."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import select

from appointment.models import Appointment
from schemas.fields import as_instant
from tests.integration.practice import NOW, Practice, later, open_practice


@pytest.fixture
def practice(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


def reminded(practice: Practice, appointment_id: int) -> list[int]:
    """Of which reminders it was told, in minutes before the start."""
    return [
        data["minutesBefore"]
        for name, data in practice.events(appointment_id)
        if name == "reminder_due"
    ]


def remind_at(practice: Practice, *moments: datetime) -> None:
    for practice.now in moments:
        practice.background().remind()


def test_two_reminders_are_told_once_each_and_the_version_stays(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    start = later(days=3)
    remind_at(practice, NOW, start - timedelta(hours=24, seconds=1))
    assert reminded(practice, booked) == []
    remind_at(practice, start - timedelta(hours=24), start - timedelta(hours=23))
    assert reminded(practice, booked) == [1440]
    remind_at(practice, start - timedelta(hours=2), start - timedelta(hours=1), start)
    assert reminded(practice, booked) == [1440, 120]
    assert practice.stored(booked).version == 1
    assert practice.events(booked)[-1][1]["start"] == as_instant(start)


def test_who_books_late_is_reminded_of_what_is_still_to_come(practice: Practice) -> None:
    doctor = practice.doctor()
    soon, at_once = practice.book(doctor, later(hours=3)), practice.book(doctor, later(hours=1))
    remind_at(practice, *(NOW + timedelta(minutes=15 * n) for n in range(24)))
    assert (reminded(practice, soon), reminded(practice, at_once)) == ([120], [])


def test_after_an_outage_only_the_last_one_that_is_due_is_told(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    remind_at(practice, later(days=3) - timedelta(hours=1), later(days=3))
    assert reminded(practice, booked) == [120]


def test_after_the_leads_have_changed_nobody_is_told_of_what_was_never_due(
    practice: Practice,
) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    practice.config = {**practice.config, "REMINDER_MINUTES": (2880, 60)}
    remind_at(practice, later(days=2), later(days=2, hours=1))
    assert reminded(practice, booked) == []
    remind_at(practice, later(days=2, hours=23))
    assert reminded(practice, booked) == [60]


def test_after_an_outage_nobody_is_reminded_of_what_has_begun(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    remind_at(practice, later(days=3), later(days=4))
    assert reminded(practice, booked) == []


def test_nobody_is_reminded_of_what_is_cancelled(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    practice.appointments().cancel(booked)
    remind_at(practice, later(days=2), later(days=3))
    assert reminded(practice, booked) == []


def test_nobody_is_reminded_who_has_arrived(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    practice.now = later(days=3) - timedelta(hours=3)
    practice.appointments().set_status(booked, "arrived")
    remind_at(practice, later(days=3) - timedelta(hours=1))
    assert reminded(practice, booked) == []


def test_for_what_was_moved_the_new_time_counts(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    remind_at(practice, later(days=2))
    practice.appointments().reschedule(booked, {"date": as_instant(later(days=9))})
    remind_at(practice, later(days=2, hours=22), later(days=7, hours=23))
    assert reminded(practice, booked) == [1440]
    remind_at(practice, later(days=8))
    assert reminded(practice, booked) == [1440, 1440]
    assert practice.events(booked)[-1][1]["start"] == as_instant(later(days=9))


def test_what_is_being_cancelled_meanwhile_is_decided_afterwards(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), later(days=3))
    with practice.session() as cancelling, cancelling.begin():
        row = cancelling.scalars(select(Appointment).with_for_update()).one()
        remind_at(practice, later(days=2))
        row.status = "cancelled"
    remind_at(practice, later(days=2))
    assert reminded(practice, booked) == []


def test_two_programs_at_once_remind_each_patient_once(practice: Practice) -> None:
    doctor, both = practice.doctor(), Barrier(4)
    booked = [practice.book(doctor, later(days=3, minutes=5 * n), 5) for n in range(250)]
    practice.now = later(days=3) - timedelta(hours=1)

    def run(_: int) -> None:
        background = practice.background()
        both.wait()
        background.remind()

    with ThreadPoolExecutor(4) as programs:
        list(programs.map(run, range(4)))
    # Those that one of them had taken, the others passed over.
    practice.background().remind()
    assert {len(reminded(practice, each)) for each in booked} == {1}
