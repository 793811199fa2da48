"""What a doctor can be booked for, by the timetable and what is booked already."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appointment.diary import Diary
from appointment.domain import LAST
from appointment.offers import Offers
from appointment.timetables import OutOfDate
from schemas.errors import (
    InThePast,
    InvalidInput,
    NotBookable,
    OffGrid,
    OutsideHours,
    PatientBusy,
    SlotTaken,
    TimeOff,
    TooFar,
    TooSoon,
)
from schemas.statuses import ARRIVED, CANCELLED, NOSHOW
from schemas.timetable import Timetable, Window

NOW = datetime(2027, 3, 1, 7, tzinfo=UTC)
WEEK = {day: (Window(9 * 60, 12 * 60), Window(13 * 60, 17 * 60)) for day in range(5)}
BERLIN = Timetable("Europe/Berlin", weekly=WEEK)
ADA, BO = 1, 2


def at(text):
    return datetime.fromisoformat(f"2027-03-{text}").replace(tzinfo=UTC)


def offers(book, timetable=BERLIN, *, now=NOW):
    return Offers(book.session, timetable, doctor_id=1, now=now)


def offered(book, since, until, timetable=BERLIN, *, minutes=None):
    found = offers(book, timetable).slots(at(since), at(until), minutes)
    return [f"{start:%d %H:%M}" for start in found]


def refused(book, start, minutes=None, timetable=BERLIN, **more):
    with pytest.raises(NotBookable) as refusal:
        offers(book, timetable).check(at(start), minutes, patient_id=ADA, **more)
    return refusal.value


def starts(error):
    return [slot["start"][8:16] for slot in error.alternatives]


# Slots


def test_what_is_booked_is_not_on_offer(book):
    book.write(at("01 08:30"))
    assert offered(book, "01 08:00", "01 10:00") == ["01 08:00", "01 09:00", "01 09:30"]


@pytest.mark.parametrize("status", [ARRIVED, NOSHOW])
def test_only_cancelling_frees_the_time(book, status):
    book.write(at("01 08:00"), status=CANCELLED)
    book.write(at("01 08:30"), status=status)
    assert offered(book, "01 08:00", "01 09:30") == ["01 08:00", "01 09:00"]


def test_another_doctors_appointments_are_in_nobodys_way(book):
    book.write(at("01 08:00"), doctor=2)
    assert offered(book, "01 08:00", "01 08:30") == ["01 08:00"]


def test_a_long_appointment_that_began_before_the_period_counts(book):
    book.write(at("01 08:00"), 480)
    without_hours = Timetable("Europe/Berlin")
    assert offered(book, "01 15:00", "01 17:00", without_hours) == ["01 16:00", "01 16:30"]


def test_what_comes_after_the_period_counts_for_what_would_last_into_it(book):
    book.write(at("01 10:00"))
    assert offered(book, "01 08:00", "01 09:30", minutes=60) == ["01 08:00", "01 08:30", "01 09:00"]
    gap = replace(BERLIN, buffer_minutes=5)
    assert offered(book, "01 08:00", "01 09:30", gap, minutes=60) == ["01 08:00", "01 08:30"]


def test_an_appointment_takes_all_of_the_five_minutes_that_it_touches(book):
    book.write(at("01 08:32"), 6)
    fives = replace(BERLIN, slot_minutes=5)
    found = offered(book, "01 08:25", "01 08:45", fives)
    assert found == ["01 08:25", "01 08:40"]
    assert refused(book, "01 08:35", 5, fives).code == "slot_taken"


def test_a_month_of_slots_takes_one_query(book):
    for day in range(1, 27):
        book.write(at(f"{day:02} 10:00"))
    before = book.statements
    assert len(offered(book, "01 00:00", "31 00:00")) > 250
    assert book.statements == before + 1


def test_slots_are_asked_for_by_the_doctors_calendar(book):
    asked = {"since": at("02 00:00").date(), "until": at("03 00:00").date()}
    found = offers(book).listed(asked | {"duration_minutes": 60})
    assert found[0] == {
        "start": "2027-03-02T08:00:00Z", "end": "2027-03-02T09:00:00Z", "doctorId": 1,
    }
    assert found[-1]["end"] == "2027-03-02T16:00:00Z"


# The check


@pytest.mark.parametrize(
    ("start", "timetable", "kind"),
    [
        ("01 06:30", BERLIN, InThePast),
        ("01 08:00", replace(BERLIN, min_notice_minutes=90), TooSoon),
        ("12 08:00", replace(BERLIN, max_days_ahead=10), TooFar),
        ("01 11:00", BERLIN, OutsideHours),
        ("01 08:10", BERLIN, OffGrid),
        ("01 08:00", replace(BERLIN, time_off=((at("01 08:15"), at("01 09:00")),)), TimeOff),
        ("01 14:00", BERLIN, SlotTaken),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_start_is_refused_with_the_first_rule_that_failed(book, start, timetable, kind):
    book.write(at("01 14:00"))
    error = refused(book, start, timetable=timetable)
    assert type(error) is kind
    assert (error.members["rule"]["rule"], error.members["rule"]["passed"]) == (kind.code, False)


def test_a_refusal_carries_its_bound_and_the_nearest_for_which_both_have_time(book):
    book.write(at("01 08:30"), patient=BO)
    book.write(at("01 09:00"), doctor=2, patient=ADA)
    error = refused(book, "01 08:30")
    assert error.members["rule"] == {
        "rule": "slot_taken", "passed": False, "since": "2027-03-01T09:00:00Z",
    }
    assert starts(error) == ["01T08:00", "01T09:30", "01T10:00"]


def test_alternatives_last_as_long_as_what_was_asked_for(book):
    (first, *_) = refused(book, "01 09:10", 90).alternatives
    assert first == {
        "start": "2027-03-01T09:00:00Z", "end": "2027-03-01T10:30:00Z", "doctorId": 1,
    }


def test_the_gap_is_kept(book):
    gap = replace(BERLIN, buffer_minutes=10, slot_minutes=10)
    book.write(at("01 09:00"))
    for start in ("01 08:50", "01 09:30"):
        assert refused(book, start, timetable=gap).code == "slot_taken"
    for start in ("01 08:40", "01 09:40"):
        offers(book, gap).check(at(start), patient_id=ADA)


def test_an_appointment_is_not_in_its_own_way(book):
    mine = book.write(at("01 09:00"))
    offers(book).check(at("01 09:30"), 60, patient_id=ADA, apart_from=mine.id)
    offers(book).check(at("01 08:30"), 60, patient_id=ADA, apart_from=mine.id)
    book.write(at("01 09:30"), patient=BO)
    error = refused(book, "01 09:30", apart_from=mine.id)
    assert starts(error) == ["01T09:00", "01T10:00", "01T08:30"]


def test_a_free_start_is_checked_with_one_query(book):
    book.write(at("01 09:00"))
    before = book.statements
    offers(book).check(at("01 08:00"), patient_id=ADA)
    assert book.statements == before + 1


def test_for_a_busy_patient_it_is_told_when_they_are_free_again(book):
    book.write(at("01 08:00"), 45, doctor=2, patient=ADA)
    error = offers(book).refusal(PatientBusy, at("01 08:30"), patient_id=ADA)
    assert type(error) is PatientBusy
    assert error.members["rule"] == {
        "rule": "patient_busy", "passed": False, "since": "2027-03-01T08:45:00Z",
    }
    assert starts(error) == ["01T09:00", "01T09:30", "01T10:00"]


@pytest.mark.parametrize("final, refusal", [((), OutOfDate), ((SlotTaken,), SlotTaken)])
def test_what_may_not_be_refused_for_good_is_to_be_asked_for_again(book, final, refusal):
    book.write(at("01 08:30"))
    found = Offers(book.session, BERLIN, doctor_id=1, now=NOW, final=final)
    with pytest.raises(refusal):
        found.check(at("01 08:30"), patient_id=ADA)
    with pytest.raises(OutOfDate):
        found.check(at("01 11:00"), patient_id=ADA)


def test_a_clash_that_has_gone_again_tells_no_rule(book):
    error = offers(book).refusal(SlotTaken, at("01 08:30"), patient_id=ADA)
    assert "rule" not in error.members
    assert starts(error) == ["01T08:30", "01T08:00", "01T09:00"]


def test_nothing_of_whoever_else_is_booked_shows(book):
    book.write(at("01 08:30"), patient=987_654)
    told = str(refused(book, "01 08:30").members) + str(offers(book).explain(at("01 08:30")))
    assert "987654" not in told and "patient" not in told


def test_at_the_end_of_the_calendar_it_is_refused_in_words(book):
    anyway = offers(book, Timetable("Europe/Berlin"))
    for start in (LAST, datetime(9999, 12, 31, 23, 59, tzinfo=UTC)):
        with pytest.raises(InvalidInput) as refusal:
            anyway.check(start, patient_id=ADA)
        assert list(refusal.value.errors) == ["date"]
        with pytest.raises(InvalidInput) as refusal:
            anyway.explain(start)
        assert list(refusal.value.errors) == ["start"]
    assert offers(book).explain(LAST - timedelta(days=1))["bookable"] is False
    early = offers(book).explain(datetime(1, 1, 2, tzinfo=UTC))
    assert early["nearest"]["start"] == "2027-03-01T08:00:00Z"


def test_at_the_end_of_the_calendar_list_explanation_and_booking_agree(book):
    anyway = offers(book, Timetable("UTC"))
    offered = anyway.slots(LAST - timedelta(hours=1), LAST + timedelta(hours=1), 60)
    assert offered == [LAST - timedelta(hours=1), LAST - timedelta(minutes=30)]
    for start in offered:
        anyway.check(start, 60, patient_id=ADA)
        assert anyway.explain(start, 60)["bookable"]
    book.write(offered[-1], 60)
    assert anyway.slots(LAST - timedelta(hours=1), LAST, 60) == []
    for start in offered:
        assert not anyway.explain(start, 60)["bookable"]
        with pytest.raises(SlotTaken):
            anyway.check(start, 60, patient_id=ADA)


# Why not?


def test_each_rule_is_explained_in_order_with_the_nearest_start_that_would_do(book):
    book.write(at("01 08:30"))
    told = offers(book).explain(at("01 08:30"), 60)
    assert [rule["rule"] for rule in told["rules"]] == [
        "in_the_past", "too_soon", "too_far", "outside_hours", "off_grid", "time_off",
        "slot_taken",
    ]
    assert [rule["passed"] for rule in told["rules"]] == [True] * 6 + [False]
    assert (told["bookable"], told["start"], told["end"]) == (
        False, "2027-03-01T08:30:00Z", "2027-03-01T09:30:00Z",
    )
    assert told["nearest"] == {
        "start": "2027-03-01T09:00:00Z", "end": "2027-03-01T10:00:00Z", "doctorId": 1,
    }


def test_what_can_be_booked_is_its_own_nearest(book):
    told = offers(book, Timetable("Europe/Berlin")).explain(at("01 08:07"))
    assert told["bookable"] and told["nearest"]["start"] == "2027-03-01T08:07:00Z"


def test_who_never_works_has_no_nearest_start(book):
    assert offers(book, replace(BERLIN, weekly={})).explain(at("01 08:00"))["nearest"] is None


def test_a_start_without_an_offset_is_where_the_doctor_is(book):
    assert offers(book).explain(datetime(2027, 3, 1, 9))["start"] == "2027-03-01T08:00:00Z"
    with pytest.raises(InvalidInput) as refusal:
        offers(book).explain(datetime(2027, 3, 28, 2, 30))
    assert list(refusal.value.errors) == ["start"]


# What is read


@pytest.fixture
def read(monkeypatch):
    """The periods that were read, of doctors and of patients."""
    periods, of_doctors, of_patient = [], Diary.busy, Diary.busy_patient

    def busy(diary, *args, **kwargs):
        found = of_doctors(diary, *args, **kwargs)
        periods.extend(chain.from_iterable(found.values()))
        return found

    def busy_patient(diary, *args, **kwargs):
        found = of_patient(diary, *args, **kwargs)
        periods.extend(found)
        return found

    monkeypatch.setattr(Diary, "busy", busy)
    monkeypatch.setattr(Diary, "busy_patient", busy_patient)
    return periods


@pytest.mark.parametrize(
    "start", [NOW - timedelta(days=3650), NOW + timedelta(days=3650)], ids=["past", "future"]
)
def test_of_a_start_years_away_the_years_between_are_not_read(book, read, start):
    at_start, near = book.write(start), book.write(NOW + timedelta(hours=1))
    book.write(NOW + (start - NOW) / 2)
    soon = replace(BERLIN, weekly={day: (Window(0, 1440),) for day in range(7)}, max_days_ahead=9)
    told = offers(book, soon).explain(start)
    known = [(each.starts_at, each.ends_at) for each in (at_start, near)]
    assert sorted(read) == sorted(known)
    assert told["rules"][-1]["passed"] is False
    read.clear()
    with pytest.raises(NotBookable):
        offers(book, soon).check(start, patient_id=ADA)
    assert {*read} == {*known}


def test_of_a_start_within_reach_all_around_is_read_at_once(book):
    before = book.statements
    told = offers(book).explain(NOW - timedelta(days=1))
    assert told["nearest"] and book.statements == before + 1


# What always holds

periods = st.tuples(st.integers(0, 2880 // 7), st.sampled_from([5, 6, 20, 30, 60, 480]))


@settings(
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    booked=st.lists(periods, max_size=8),
    minutes=st.sampled_from([None, 5, 45, 120]),
    slot=st.sampled_from([5, 15, 30]),
    gap=st.sampled_from([0, 10]),
)
def test_the_check_takes_every_start_on_offer_and_no_other(book, booked, minutes, slot, gap):
    timetable = replace(BERLIN, slot_minutes=slot, buffer_minutes=gap)
    with book.session.begin_nested() as undone:
        for start, lasting in booked:
            book.write(NOW + 7 * start * timedelta(minutes=1), lasting)
        on_offer = offers(book, timetable)
        found = on_offer.slots(NOW, NOW + timedelta(days=1), minutes)
        for start in found:
            on_offer.check(start, minutes, patient_id=BO)
        # What is asked for off the list, about an hour's worth: each refusal looks for others.
        for start in set(NOW + timedelta(minutes=35 * n) for n in range(12)) - set(found):
            with pytest.raises(NotBookable) as refusal:
                on_offer.check(start, minutes, patient_id=BO)
            for slot_of in refusal.value.alternatives:
                other = datetime.fromisoformat(slot_of["start"])
                on_offer.check(other, minutes, patient_id=BO)
        undone.rollback()
