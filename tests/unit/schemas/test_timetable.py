"""The hours of a doctor, and the grid within: on plain days and on those when the clock changes."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.timetable import Timetable, Window, overlapping_windows

BERLIN, LORD_HOWE, SAO_PAULO = "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo"
STEP = timedelta(minutes=5)
DAYS = [
    *((BERLIN, day) for day in (date(2027, 3, 28), date(2027, 10, 31), date(2028, 2, 29))),
    *(("America/New_York", day) for day in (date(2027, 3, 14), date(2027, 11, 7))),
    *((LORD_HOWE, day) for day in (date(2027, 4, 4), date(2027, 10, 3))),
    *((SAO_PAULO, day) for day in (date(2018, 2, 17), date(2018, 2, 18), date(2018, 11, 4))),
    *(("America/Havana", day) for day in (date(2027, 3, 14), date(2027, 11, 6), date(2027, 11, 7))),
    ("Asia/Kolkata", date(2027, 3, 28)),
]


def window(text):
    """``09:00-12:00`` as a window."""
    hours = [int(part[:2]) * 60 + int(part[3:]) for part in text.split("-")]
    return Window(*hours)


def hours(zone, day, *windows, slot_minutes=30):
    """The only hours of a doctor: these windows on that day."""
    named = {date.fromisoformat(day): tuple(window(text) for text in windows)}
    return Timetable(zone, slot_minutes=slot_minutes, weekly={}, exceptions=named)


def shown(timetable, day, minutes=None):
    """The starts of a day as the doctor's clock shows them."""
    lasting = timedelta(minutes=minutes or timetable.slot_minutes)
    starts = timetable.starts(date.fromisoformat(day), lasting=lasting)
    return " ".join(f"{start.astimezone(ZoneInfo(timetable.timezone)):%H:%M}" for start in starts)


# Windows


@pytest.mark.parametrize(("start", "end"), [(0, 0), (600, 540), (-5, 60), (600, 1445)])
def test_a_window_lies_within_a_day_and_ends_after_it_starts(start, end):
    with pytest.raises(ValueError):
        Window(start, end)


def test_a_slot_takes_time():
    with pytest.raises(ValueError):
        Timetable(BERLIN, slot_minutes=0)


@pytest.mark.parametrize(
    ("windows", "positions"),
    [
        ((), ()),
        (("09:00-12:00",), ()),
        (("12:00-17:00", "09:00-12:00"), ()),
        (("09:00-12:00", "11:55-17:00"), (1,)),
        (("11:55-17:00", "09:00-12:00"), (0,)),
        (("09:00-12:00", "09:00-12:00"), (1,)),
        (("00:00-24:00", "09:00-10:00", "23:00-24:00"), (1, 2)),
        (("09:00-10:00", "10:00-11:00", "10:30-11:30", "11:30-12:00"), (2,)),
    ],
)
def test_windows_that_begin_before_an_earlier_one_has_ended_are_named(windows, positions):
    assert overlapping_windows([window(text) for text in windows]) == positions


# Days


def test_hours_are_those_of_the_weekday():
    timetable = Timetable(BERLIN, slot_minutes=60, weekly={0: (window("09:00-12:00"),)})
    assert shown(timetable, "2027-03-01") == "09:00 10:00 11:00"
    assert shown(timetable, "2027-03-02") == ""


def test_an_exception_stands_in_the_place_of_the_weekly_hours():
    weekly = {0: (window("09:00-12:00"),)}
    exceptions = {date(2027, 3, 1): (window("14:00-15:00"),), date(2027, 3, 8): ()}
    timetable = Timetable(BERLIN, weekly=weekly, exceptions=exceptions)
    assert shown(timetable, "2027-03-01") == "14:00 14:30"
    assert shown(timetable, "2027-03-08") == ""
    assert shown(timetable, "2027-03-15") == "09:00 09:30 10:00 10:30 11:00 11:30"


def test_the_leap_day_has_the_hours_of_its_weekday():
    timetable = Timetable(BERLIN, weekly={1: (window("09:00-10:00"),)})
    assert shown(timetable, "2028-02-29") == "09:00 09:30"


def test_a_window_may_last_until_midnight():
    assert shown(hours(BERLIN, "2027-03-01", "22:30-24:00"), "2027-03-01") == "22:30 23:00 23:30"


def test_windows_that_touch_do_not_join():
    timetable = hours(BERLIN, "2027-03-01", "10:00-12:00", "12:00-14:00")
    assert shown(timetable, "2027-03-01", minutes=90) == "10:00 10:30 12:00 12:30"


def test_the_grid_counts_from_the_start_of_each_window():
    timetable = hours(BERLIN, "2027-03-01", "09:10-10:30", "13:00-14:00", slot_minutes=25)
    assert shown(timetable, "2027-03-01") == "09:10 09:35 10:00 13:00 13:25"


def test_without_a_schedule_the_half_hours_of_the_doctors_clock_are_offered_around_midnight_too():
    starts = Timetable("Asia/Kathmandu").starts(date(2027, 3, 1), lasting=timedelta(hours=2))
    assert (len(starts), starts[0]) == (48, datetime(2027, 2, 28, 18, 15, tzinfo=UTC))


# Clock changes


@pytest.mark.parametrize(
    ("zone", "day", "windows", "starts"),
    [
        pytest.param(
            BERLIN, "2027-03-28", ["01:00-04:00"], "01:00 01:30 03:00 03:30", id="skipped within"
        ),
        pytest.param(
            BERLIN, "2027-03-28", ["02:30-04:00"], "03:00 03:30", id="skipped at the start"
        ),
        pytest.param(BERLIN, "2027-03-28", ["01:00-02:30"], "01:00 01:30", id="skipped at the end"),
        pytest.param(BERLIN, "2027-03-28", ["02:00-03:00"], "", id="skipped whole"),
        pytest.param(
            BERLIN,
            "2027-10-31",
            ["01:30-03:30"],
            "01:30 02:00 02:30 02:00 02:30 03:00",
            id="twice within",
        ),
        pytest.param(
            BERLIN, "2027-10-31", ["02:30-03:30"], "02:30 02:00 02:30 03:00", id="twice at start"
        ),
        pytest.param(
            BERLIN, "2027-10-31", ["01:30-02:30"], "01:30 02:00 02:30 02:00", id="twice at the end"
        ),
        pytest.param(BERLIN, "2027-10-31", ["01:00-02:00"], "01:00 01:30", id="ends before twice"),
        pytest.param(BERLIN, "2027-10-31", ["03:00-04:00"], "03:00 03:30", id="starts after twice"),
        pytest.param(
            BERLIN,
            "2027-10-31",
            ["01:30-02:30", "02:30-03:30"],
            "01:30 02:00 02:30 02:00 02:30 03:00",
            id="two that meet within twice",
        ),
        pytest.param(
            LORD_HOWE, "2027-10-03", ["01:30-03:30"], "01:30 02:30 03:00", id="skipped half hour"
        ),
        pytest.param(
            LORD_HOWE,
            "2027-04-04",
            ["01:00-02:30"],
            "01:00 01:30 01:30 02:00",
            id="half an hour twice",
        ),
        pytest.param(
            SAO_PAULO, "2018-11-04", ["00:00-02:00"], "01:00 01:30", id="midnight skipped"
        ),
        pytest.param(
            SAO_PAULO, "2018-02-17", ["22:30-24:00"], "22:30 23:00 23:30 23:00 23:30", id="evening"
        ),
        pytest.param(
            "America/Havana", "2027-11-06", ["23:00-24:00"], "23:00 23:30", id="the day before"
        ),
    ],
)
def test_on_the_night_the_clock_changes_the_hours_are_those_it_shows(zone, day, windows, starts):
    assert shown(hours(zone, day, *windows), day) == starts


def test_after_a_skipped_start_the_grid_still_counts_by_the_wall_clock():
    timetable = hours(BERLIN, "2027-03-28", "02:30-06:00", slot_minutes=60)
    assert shown(timetable, "2027-03-28") == "03:30 04:30"


def test_half_an_hour_skipped_leaves_the_grid_of_whole_hours_where_it_was():
    timetable = hours(LORD_HOWE, "2027-10-03", "01:00-05:00", slot_minutes=60)
    assert shown(timetable, "2027-10-03") == "01:00 03:00 04:00"


def test_an_appointment_may_last_over_a_clock_change():
    timetable = hours(BERLIN, "2027-03-28", "01:00-04:00", slot_minutes=60)
    assert shown(timetable, "2027-03-28") == "01:00 03:00"
    assert shown(timetable, "2027-03-28", minutes=90) == "01:00"
    assert shown(timetable, "2027-03-28", minutes=125) == ""


days = st.one_of(
    st.sampled_from(DAYS),
    st.tuples(
        st.sampled_from([zone for zone, _ in DAYS]), st.dates(date(2026, 11, 1), date(2028, 11, 1))
    ),
)
pairs = st.lists(st.integers(0, 288), min_size=2, max_size=2, unique=True).map(sorted)


@settings(derandomize=True, max_examples=150)
@given(day=days, pair=pairs)
def test_hours_run_from_the_first_to_the_last_instant_at_which_the_clock_shows_them(day, pair):
    zone, on = day
    opened = Window(pair[0] * 5, pair[1] * 5)
    around = [datetime(on.year, on.month, on.day, tzinfo=UTC) + n * STEP for n in range(-300, 600)]
    clocks = [(instant, instant.astimezone(ZoneInfo(zone))) for instant in around]
    within = [
        instant
        for instant, clock in clocks
        if clock.date() == on and opened.start <= clock.hour * 60 + clock.minute < opened.end
    ]
    shifts = Timetable(zone, weekly={}, exceptions={on: (opened,)}).shifts(on)
    expected = [(within[0], within[-1] + STEP)] if within else []
    assert [(shift.begin, shift.end) for shift in shifts] == expected
