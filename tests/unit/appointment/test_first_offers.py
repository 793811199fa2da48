"""The earliest of what several doctors can be booked for."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from appointment.first_offers import FirstOffers
from schemas.timetable import Timetable, Window

NOW = datetime(2027, 3, 1, 7, tzinfo=UTC)
NINE_TO_TEN = {day: (Window(540, 600),) for day in range(7)}
BERLIN = Timetable("Europe/Berlin", weekly=NINE_TO_TEN)
LONDON = replace(BERLIN, timezone="Europe/London")
KOLKATA = replace(BERLIN, timezone="Asia/Kolkata")


def first(book, timetables, *, since=None, minutes=None, limit=4):
    asked = {"since": since, "duration_minutes": minutes, "limit": limit}
    found = FirstOffers(book.session, timetables, now=NOW).listed(asked)
    return [(slot["start"][5:16], slot["doctorId"]) for slot in found]


def test_the_earliest_of_all_come_first_whosever_they_are(book):
    assert first(book, {1: BERLIN, 2: LONDON}) == [
        ("03-01T08:00", 1), ("03-01T08:30", 1), ("03-01T09:00", 2), ("03-01T09:30", 2),
    ]


def test_at_the_same_time_the_doctors_come_by_id(book):
    assert first(book, {7: BERLIN, 5: BERLIN, 6: BERLIN}, limit=4) == [
        ("03-01T08:00", 5), ("03-01T08:00", 6), ("03-01T08:00", 7), ("03-01T08:30", 5),
    ]


def test_what_is_booked_or_too_short_is_left_out(book):
    book.write(NOW + timedelta(hours=1), doctor=1)
    assert first(book, {1: BERLIN, 2: LONDON}, minutes=60, limit=2) == [
        ("03-01T09:00", 2), ("03-02T08:00", 1),
    ]


def test_each_slot_lasts_as_long_as_its_doctor_takes(book):
    timetables = {1: replace(BERLIN, slot_minutes=20), 2: LONDON}
    asked = {"since": None, "duration_minutes": None, "limit": 4}
    found = FirstOffers(book.session, timetables, now=NOW).listed(asked)
    assert [slot["end"][11:16] for slot in found] == ["08:20", "08:40", "09:00", "09:30"]


def test_a_date_begins_where_each_doctor_is(book):
    found = first(book, {1: BERLIN, 2: KOLKATA}, since=date(2027, 3, 2), limit=3)
    assert found == [("03-02T03:30", 2), ("03-02T04:00", 2), ("03-02T08:00", 1)]


def test_what_has_passed_is_not_looked_through_again(book):
    assert first(book, {1: BERLIN}, since=date(2020, 1, 1), limit=1) == [("03-01T08:00", 1)]


def test_a_few_days_are_one_query_however_many_doctors_there_are(book):
    before = book.statements
    assert len(first(book, dict.fromkeys(range(1, 200), BERLIN), limit=100)) == 100
    assert book.statements == before + 1


def test_when_the_next_days_are_full_later_ones_are_looked_through_up_to_92(book):
    # By then, Berlin has put its clocks forward.
    on_leave = replace(BERLIN, time_off=((NOW, NOW + timedelta(days=91)),))
    assert first(book, {1: on_leave}) == [("05-31T07:00", 1), ("05-31T07:30", 1)]


def test_for_the_same_slots_it_makes_no_difference_in_how_many_rounds_they_are_found(book):
    rare = replace(BERLIN, weekly={2: (Window(540, 600),)}, max_days_ahead=40)
    soon = replace(LONDON, max_days_ahead=40)
    found = first(book, {1: rare, 2: soon}, limit=100)
    assert found == sorted(found, key=lambda slot: (slot[0], slot[1]))
    assert len(found) == len(set(found)) == 6 * 2 + 41 * 2


def test_nothing_and_nobody_give_an_empty_list(book):
    assert first(book, {}) == []
    assert first(book, {1: replace(BERLIN, weekly={})}) == []
    assert first(book, {1: BERLIN}, since=datetime(9999, 12, 31, tzinfo=UTC)) == []
