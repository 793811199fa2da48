"""Who can be booked when: what is offered, what is refused and why, and what would do instead."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bookability import (
    REACH,
    Verdict,
    covers,
    explain,
    first_failed,
    nearest,
    search_period,
    slots,
)
from schemas.timetable import Timetable, Window

BERLIN, LORD_HOWE = "Europe/Berlin", "Australia/Lord_Howe"
ZONES = [BERLIN, "America/New_York", LORD_HOWE, "Asia/Kolkata", "America/Sao_Paulo"]
CHANGES = [
    *((BERLIN, day) for day in (date(2027, 3, 28), date(2027, 10, 31))),
    *(("America/New_York", day) for day in (date(2027, 3, 14), date(2027, 11, 7))),
    *((LORD_HOWE, day) for day in (date(2027, 4, 4), date(2027, 10, 3))),
    # The last clock changes that Brazil had, at midnight.
    *(("America/Sao_Paulo", day) for day in (date(2018, 2, 17), date(2018, 11, 4))),
]
CODES = [
    "in_the_past", "too_soon", "too_far", "outside_hours", "off_grid", "time_off", "slot_taken",
]
STEP, TICK = timedelta(minutes=5), datetime.resolution


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# A Monday morning, an hour before work begins. In March, Berlin is an hour ahead of UTC.
NOW = utc("2027-03-01 07:00")
WEEK = {day: (Window(9 * 60, 12 * 60), Window(12 * 60, 17 * 60)) for day in range(5)}
MONDAY = Timetable(BERLIN, weekly=WEEK)
NO_SCHEDULE = Timetable(BERLIN)


def period(start, end):
    return utc(f"2027-03-{start}"), utc(f"2027-03-{end}")


def refusal(timetable, start, end, *, now=NOW, busy=()):
    """The code of the first failed rule."""
    verdict = first_failed(
        timetable, start=utc(f"2027-03-{start}"), end=utc(f"2027-03-{end}"), now=now, busy=busy
    )
    return verdict and verdict.code


def bound(code, timetable, start, end, *, busy=()):
    """What is told of that rule: since, until, minutes."""
    verdicts = explain(
        timetable, start=utc(f"2027-03-{start}"), end=utc(f"2027-03-{end}"), now=NOW, busy=busy
    )
    (told,) = [verdict for verdict in verdicts if verdict.code == code]
    return told.passed, told.since, told.until, told.minutes


# One rule after the other


def test_a_start_within_hours_on_the_grid_and_free_passes_every_rule_in_order():
    start = utc("2027-03-01 08:00")
    verdicts = explain(MONDAY, start=start, end=start + timedelta(minutes=30), now=NOW, busy=())
    assert [(verdict.code, verdict.passed) for verdict in verdicts] == [
        (code, True) for code in CODES
    ]


def test_every_rule_that_fails_is_told_and_the_first_of_them_refuses():
    timetable = replace(MONDAY, min_notice_minutes=60, time_off=(period("01 06:00", "01 06:30"),))
    start, busy = utc("2027-03-01 06:10"), [period("01 06:20", "01 06:25")]
    question = {"start": start, "end": start + timedelta(minutes=30), "now": NOW, "busy": busy}
    failed = [verdict for verdict in explain(timetable, **question) if not verdict.passed]
    assert [verdict.code for verdict in failed] == [
        "in_the_past", "too_soon", "outside_hours", "time_off", "slot_taken",
    ]
    assert first_failed(timetable, **question) == Verdict("in_the_past", False, since=NOW)


@pytest.mark.parametrize(
    "timetable", [NO_SCHEDULE, replace(MONDAY, weekly={0: (Window(0, 1440),)})]
)
def test_what_starts_now_is_in_the_past_already(timetable):
    assert refusal(timetable, "01 07:00", "01 07:30") == "in_the_past"
    assert refusal(timetable, "01 07:00", "01 07:30", now=NOW - TICK) is None


def test_exactly_the_notice_is_enough():
    timetable = replace(MONDAY, min_notice_minutes=60)
    assert refusal(timetable, "01 08:00", "01 08:30") is None
    assert refusal(timetable, "01 08:00", "01 08:30", now=NOW + TICK) == "too_soon"
    assert bound("too_soon", timetable, "01 08:00", "01 08:30")[1] == utc("2027-03-01 08:00")


def test_the_furthest_day_counts_whole_in_the_doctors_zone():
    timetable = replace(MONDAY, max_days_ahead=3, weekly={3: (Window(0, 1440),)})
    late = replace(timetable, weekly={4: (Window(0, 1440),)})
    assert refusal(timetable, "04 22:30", "04 23:00") is None
    assert refusal(late, "04 23:00", "04 23:30") == "too_far"
    assert bound("too_far", late, "04 23:00", "04 23:30")[2] == utc("2027-03-04 23:00")


def test_today_is_the_doctors_today():
    # It is 23:30 on the 1st in UTC and half past midnight on the 2nd in Berlin.
    now, timetable = utc("2027-03-01 23:30"), replace(MONDAY, max_days_ahead=0)
    assert refusal(timetable, "02 08:00", "02 08:30", now=now) is None
    assert refusal(timetable, "02 08:00", "02 08:30", now=now - timedelta(hours=1)) == "too_far"


@pytest.mark.parametrize(
    ("start", "end", "refused"),
    [
        pytest.param("01 08:00", "01 11:00", None, id="the whole window"),
        pytest.param("01 07:30", "01 08:00", "outside_hours", id="before"),
        pytest.param("01 10:30", "01 11:00", None, id="until its end"),
        pytest.param("01 10:30", "01 11:05", "outside_hours", id="over the end, into the next"),
        pytest.param("01 11:00", "01 11:30", None, id="from the next one's start"),
        pytest.param("01 15:30", "01 16:30", "outside_hours", id="over the end of the day"),
        pytest.param("01 16:00", "01 16:30", "outside_hours", id="from the end"),
        pytest.param("06 10:00", "06 10:30", "outside_hours", id="on a day off"),
    ],
)
def test_an_appointment_lies_in_one_window(start, end, refused):
    assert refusal(MONDAY, start, end) == refused


@pytest.mark.parametrize(
    ("start", "told"),
    [
        pytest.param("01 07:30", period("01 08:00", "01 11:00"), id="the next"),
        pytest.param("01 10:45", period("01 08:00", "01 11:00"), id="the one it starts in"),
        pytest.param("01 11:00", period("01 11:00", "01 16:00"), id="of two that touch, the later"),
        pytest.param("01 18:00", period("01 11:00", "01 16:00"), id="the last of the day"),
        pytest.param("06 10:00", (None, None), id="none on a day off"),
    ],
)
def test_hours_are_told_to_who_asked_outside_of_them(start, told):
    end = f"{start[:3]}19:00"
    assert bound("outside_hours", MONDAY, start, end) == (False, *told, None)


@pytest.mark.parametrize(
    ("start", "refused"),
    [("01 08:30", None), ("01 08:15", "off_grid"), ("01 08:30:00.000001", "off_grid")],
)
def test_a_start_lies_on_the_grid(start, refused):
    assert refusal(MONDAY, start, "01 09:00") == refused


def test_where_there_are_no_hours_no_grid_is_missed():
    assert bound("off_grid", MONDAY, "01 07:15", "01 07:30") == (True, None, None, 30)


@pytest.mark.parametrize(
    ("start", "end", "refused"),
    [
        pytest.param("01 08:00", "01 09:00", None, id="until it begins"),
        pytest.param("01 08:30", "01 09:30", "time_off", id="into it"),
        pytest.param("01 09:30", "01 10:00", "time_off", id="within"),
        pytest.param("01 08:00", "01 11:00", "time_off", id="around"),
        pytest.param("01 10:00", "01 10:30", None, id="from its end"),
    ],
)
def test_nobody_is_booked_into_time_off(start, end, refused):
    off = (period("03 09:00", "04 10:00"), period("01 09:00", "01 10:00"))
    for timetable in (MONDAY, NO_SCHEDULE):
        assert refusal(replace(timetable, time_off=off), start, end) == refused


def test_it_is_told_when_time_off_ends():
    off = (period("01 08:30", "01 10:00"), period("01 09:00", "01 09:15"))
    timetable = replace(MONDAY, time_off=off)
    assert bound("time_off", timetable, "01 09:00", "01 09:30") == (
        False, utc("2027-03-01 10:00"), None, None,
    )


@pytest.mark.parametrize(
    ("start", "end", "refused"),
    [
        ("01 08:30", "01 09:00", None),
        ("01 08:30", "01 09:30", "slot_taken"),
        ("01 09:00", "01 09:30", "slot_taken"),
        ("01 09:30", "01 10:00", None),
    ],
)
def test_an_appointment_may_end_when_the_next_one_starts(start, end, refused):
    busy = [period("01 09:00", "01 09:30"), period("01 13:00", "01 13:30")]
    for timetable in (MONDAY, NO_SCHEDULE):
        assert refusal(timetable, start, end, busy=busy) == refused


@pytest.mark.parametrize(
    ("start", "end", "refused"),
    [
        ("01 08:30", "01 08:50", None),
        ("01 08:30", "01 08:55", "slot_taken"),
        ("01 09:30", "01 10:00", "slot_taken"),
        ("01 09:40", "01 10:00", None),
    ],
)
def test_exactly_the_gap_between_appointments_is_enough(start, end, refused):
    timetable = replace(MONDAY, buffer_minutes=10, slot_minutes=10)
    assert refusal(timetable, start, end, busy=[period("01 09:00", "01 09:30")]) == refused


def test_it_is_told_when_the_doctor_is_free_again_after_the_gap():
    timetable, busy = replace(MONDAY, buffer_minutes=10), [period("01 09:00", "01 09:30")]
    told = bound("slot_taken", timetable, "01 09:00", "01 09:30", busy=busy)
    assert told == (False, utc("2027-03-01 09:40"), None, None)


def test_the_gap_is_kept_to_appointments_not_to_the_hours_or_time_off():
    timetable = replace(MONDAY, buffer_minutes=30, time_off=(period("01 09:00", "01 10:00"),))
    assert refusal(timetable, "01 08:00", "01 09:00") is None
    assert refusal(timetable, "01 10:00", "01 11:00") is None


# Without a schedule


@pytest.mark.parametrize(
    ("start", "end"),
    [("01 07:05", "01 07:10"), ("07 22:40", "07 23:40"), ("31 02:00:01", "31 02:20")],
)
def test_without_a_schedule_any_time_will_do(start, end):
    assert refusal(NO_SCHEDULE, start, end) is None


def test_without_a_schedule_no_time_to_come_is_too_far():
    start = utc("9999-12-31 23:00")
    end = start + timedelta(minutes=30)
    assert first_failed(NO_SCHEDULE, start=start, end=end, now=NOW, busy=()) is None


def test_without_a_schedule_half_hours_are_offered_day_and_night():
    offered = slots(NO_SCHEDULE, since=NOW, until=NOW + timedelta(days=1), now=NOW, busy=())
    assert list(offered) == [NOW + n * timedelta(minutes=30) for n in range(1, 48)]


def test_the_half_hours_are_those_of_the_doctors_clock():
    offered = slots(
        Timetable("Asia/Kathmandu"), since=NOW, until=NOW + timedelta(days=1), now=NOW, busy=()
    )
    assert next(offered) == utc("2027-03-01 07:15")


# Slots


def offered(timetable, since, until, *, minutes=None, now=NOW, busy=()):
    since, until = period(since, until)
    found = slots(timetable, since=since, until=until, minutes=minutes, now=now, busy=busy)
    return [f"{start:%d %H:%M}" for start in found]


def test_slots_start_at_the_first_instant_of_the_period_and_before_its_end():
    assert offered(MONDAY, "01 09:00", "01 10:30") == ["01 09:00", "01 09:30", "01 10:00"]
    assert offered(MONDAY, "01 09:00", "01 09:00") == []
    assert offered(MONDAY, "02 09:00", "01 09:00") == []


def test_a_slot_is_as_long_as_the_timetable_says_or_as_asked_for():
    assert offered(MONDAY, "01 10:00", "01 11:30", minutes=60) == ["01 10:00", "01 11:00"]
    assert offered(replace(MONDAY, slot_minutes=60), "01 10:00", "01 12:30") == [
        "01 10:00", "01 11:00", "01 12:00",
    ]


def test_slots_keep_clear_of_appointments_and_time_off():
    off = (period("01 13:00", "01 15:00"), period("01 00:00", "01 08:30"))
    timetable = replace(MONDAY, buffer_minutes=15, time_off=off)
    busy = [period("01 08:30", "01 09:00"), period("01 10:15", "01 10:30")]
    assert offered(timetable, "01 00:00", "02 00:00", busy=busy) == [
        "01 09:30", "01 11:00", "01 11:30", "01 12:00", "01 12:30", "01 15:00", "01 15:30",
    ]


def test_a_long_appointment_hides_none_that_come_after_it():
    busy = [period("01 08:00", "01 15:30"), period("01 09:00", "01 09:30")]
    assert offered(MONDAY, "01 00:00", "02 00:00", busy=busy) == ["01 15:30"]


def test_the_first_few_are_found_without_looking_at_the_rest():
    years = slots(
        NO_SCHEDULE, since=NOW, until=datetime.max.replace(tzinfo=UTC), now=NOW, busy=()
    )
    assert len(list(islice(years, 3))) == 3


def test_nothing_is_offered_at_the_ends_of_the_calendar():
    first, last = (moment.replace(tzinfo=UTC) for moment in (datetime.min, datetime.max))
    ends = [(first, first + timedelta(days=2)), (last - timedelta(days=2), last)]
    for since, until in ends:
        assert list(slots(NO_SCHEDULE, since=since, until=until, now=NOW, busy=())) == []


@pytest.mark.parametrize("text", ["0001-01-01 00:00", "9999-12-31 23:00"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar_are_refused_like_any_other_time(zone, text):
    timetable, start = replace(MONDAY, timezone=zone, buffer_minutes=60), utc(text)
    end = start + timedelta(minutes=30)
    verdicts = explain(timetable, start=start, end=end, now=NOW, busy=[])
    assert {"in_the_past", "too_far"} & {verdict.code for verdict in verdicts if not verdict.passed}
    assert nearest(timetable, start=start, now=NOW, busy=[])
    assert nearest(replace(NO_SCHEDULE, timezone=zone), start=start, now=NOW, busy=[])


# What the other side has to do


def test_a_time_at_which_the_other_side_is_busy_is_not_offered_and_no_gap_is_kept_to_it():
    timetable, since, until = replace(MONDAY, buffer_minutes=15), *period("01 08:00", "01 11:00")
    question = {"since": since, "until": until, "now": NOW, "busy": ()}
    avoid = [period("01 08:30", "01 08:45"), period("01 09:30", "01 10:00")]
    assert [f"{start:%H:%M}" for start in slots(timetable, avoid=avoid, **question)] == [
        "08:00", "09:00", "10:00", "10:30",
    ]


def test_the_nearest_are_ones_for_which_both_sides_have_time():
    start, busy = utc("2027-03-01 09:00"), [period("01 09:30", "01 10:00")]
    avoid = [period("01 08:30", "01 09:30")]
    found = nearest(MONDAY, start=start, now=NOW, busy=busy, avoid=avoid)
    assert [f"{each:%H:%M}" for each in found] == ["08:00", "10:00", "10:30"]


# What is booked, when the timetable changes


@pytest.mark.parametrize(
    ("start", "end", "covered"),
    [
        pytest.param("01 08:00", "01 11:00", True, id="all of a window"),
        pytest.param("01 10:30", "01 11:30", False, id="over the end of a window"),
        pytest.param("01 07:45", "01 08:15", False, id="before the start of a window"),
        pytest.param("01 08:20", "01 08:50", True, id="off the grid"),
        pytest.param("06 10:00", "06 10:30", False, id="on a day off"),
        pytest.param("02 08:30", "02 09:30", False, id="into time off"),
        pytest.param("02 08:30", "02 09:00", True, id="until time off begins"),
        pytest.param("02 10:00", "02 10:30", True, id="from its end"),
    ],
)
def test_who_is_booked_needs_the_hours_and_no_time_off(start, end, covered):
    off = (period("03 00:00", "04 00:00"), period("02 09:00", "02 10:00"))
    start, end = period(start, end)
    assert covers(replace(MONDAY, time_off=off), start=start, end=end) is covered


def test_notice_furthest_day_and_gap_are_nothing_to_who_is_booked():
    strict = replace(MONDAY, min_notice_minutes=10**6, max_days_ahead=0, buffer_minutes=240)
    start, end = period("22 08:00", "22 08:30")
    assert covers(strict, start=start, end=end)


def test_without_a_schedule_only_time_off_is_in_the_way():
    start, end = period("06 03:07", "06 03:20")
    assert covers(NO_SCHEDULE, start=start, end=end)
    assert not covers(replace(NO_SCHEDULE, time_off=((start, end),)), start=start, end=end)


# The nearest


def near(timetable, start, *, minutes=None, busy=(), limit=3):
    found = nearest(
        timetable, start=utc(start), minutes=minutes, now=NOW, busy=busy, limit=limit
    )
    return [f"{start:%d %H:%M}" for start in found]


def test_the_nearest_comes_first_and_of_two_as_near_the_earlier():
    busy = [period("01 13:00", "01 13:30")]
    assert near(MONDAY, "2027-03-01 13:00", busy=busy) == ["01 12:30", "01 13:30", "01 12:00"]


def test_the_nearest_may_lie_days_away():
    timetable = replace(MONDAY, time_off=(period("01 00:00", "15 00:00"),))
    assert near(timetable, "2027-03-05 08:00", limit=1) == ["15 08:00"]


def test_for_a_time_that_is_gone_the_first_that_can_still_be_booked_are_near():
    assert near(MONDAY, "2027-01-01 08:00") == ["01 08:00", "01 08:30", "01 09:00"]


def test_for_a_time_too_far_ahead_the_last_that_can_be_booked_are_near():
    timetable = replace(MONDAY, max_days_ahead=10)
    assert near(timetable, "2030-03-01 08:00") == ["11 15:30", "11 15:00", "11 14:30"]


def test_who_never_works_has_nothing_near():
    timetable = replace(MONDAY, weekly={})
    assert near(timetable, "2027-03-05 08:00") == []


def test_it_is_known_where_the_nearest_are_looked_for():
    start = utc("2027-06-01 09:15")
    assert search_period(MONDAY, start=start, now=NOW) == (start - REACH, start + REACH)
    gone = search_period(MONDAY, start=NOW - timedelta(days=365), now=NOW)
    assert gone == (NOW - REACH, NOW + REACH)


# The nights when clocks change


def offered_on_the_night(zone, day, hours, **timetable):
    on = date.fromisoformat(day)
    opened = Timetable(zone, weekly={}, exceptions={on: (Window(*hours),)}, **timetable)
    midnight = datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    now = midnight - timedelta(days=1)
    found = slots(opened, since=now, until=now + timedelta(days=3), now=now, busy=())
    return " ".join(f"{start.astimezone(ZoneInfo(zone)):%H:%M%z}" for start in found)


def test_half_past_two_is_not_offered_when_the_clock_skips_it():
    assert offered_on_the_night(BERLIN, "2027-03-28", (90, 210)) == "01:30+0100 03:00+0200"


def test_half_past_two_is_offered_twice_when_it_occurs_twice():
    assert offered_on_the_night(BERLIN, "2027-10-31", (150, 180), slot_minutes=30) == (
        "02:30+0200 02:00+0100 02:30+0100"
    )


def test_lord_howe_skips_and_repeats_half_an_hour():
    assert offered_on_the_night(LORD_HOWE, "2027-10-03", (90, 180)) == "01:30+1030 02:30+1100"
    assert offered_on_the_night(LORD_HOWE, "2027-04-04", (90, 150)) == (
        "01:30+1100 01:30+1030 02:00+1030"
    )


def test_the_grid_is_that_of_the_window_which_holds_the_appointment_whole():
    # Both windows have the hour that occurs twice; only the second one lasts long enough.
    night = (Window(60, 150), Window(135, 240))
    timetable = Timetable(
        BERLIN, slot_minutes=60, weekly={}, exceptions={date(2027, 10, 31): night}
    )
    start = utc("2027-10-31 01:00")
    verdict = first_failed(
        timetable, start=start, end=start + timedelta(hours=1), now=NOW, busy=()
    )
    assert verdict == Verdict("off_grid", False, minutes=60)


@pytest.mark.parametrize("zone", ZONES)
def test_for_24_months_every_slot_on_offer_can_be_booked_and_nothing_in_between(zone):
    now = utc("2026-11-01 00:00")
    until = now + timedelta(days=731)
    # The hours in which clocks change, and some of a day's work.
    night_and_day = (Window(90, 210), Window(9 * 60, 10 * 60))
    timetable = Timetable(
        zone, slot_minutes=30, weekly=dict.fromkeys(range(7), night_and_day), max_days_ahead=3650
    )
    found = set(slots(timetable, since=now, until=until, now=now, busy=()))
    # Off the grid too, and beside the windows; far from them now and then.
    asked = [
        start
        for start in (now + count * STEP for count in range((until - now) // STEP))
        if is_around(start.astimezone(timetable.zone), night_and_day)
        or not start.timestamp() % 10800
    ]
    assert found == {start for start in asked if bookable(timetable, start, now=now)}
    assert len(found) >= 731 * 5


def is_around(local, windows):
    """Whether it is in one of the windows, or up to ten minutes beside it."""
    minute = local.hour * 60 + local.minute
    return any(window.start - 10 <= minute <= window.end + 10 for window in windows)


# What always holds

always = settings(derandomize=True, max_examples=250)
on_days = st.one_of(
    st.sampled_from(CHANGES),
    st.tuples(st.sampled_from(ZONES), st.dates(date(2026, 11, 1), date(2028, 11, 1))),
)
steps = st.integers(0, 288)


@st.composite
def windows(draw):
    marks = sorted(draw(st.sets(steps, min_size=2, max_size=6)))
    # Some touch: what ends one may begin the next.
    pairs = zip(marks, marks[1:], strict=False)
    kept = draw(st.lists(st.booleans(), min_size=len(marks) - 1, max_size=len(marks) - 1))
    return tuple(
        Window(start * 5, end * 5) for (start, end), keep in zip(pairs, kept, strict=True) if keep
    )


@st.composite
def periods(draw, midnight):
    marks = sorted(draw(st.sets(st.integers(-60, 360), max_size=12)))
    pairs = zip(marks[::2], marks[1::2], strict=False)
    return [(midnight + start * STEP, midnight + end * STEP) for start, end in pairs]


@st.composite
def days(draw):
    """A doctor's timetable, midnight before a day of it, now, and what is booked about that day."""
    zone, on = draw(on_days)
    midnight = datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    weekly = {weekday: draw(windows()) for weekday in (on.weekday(), (on.weekday() + 1) % 7)}
    timetable = Timetable(
        zone,
        slot_minutes=draw(st.sampled_from([5, 15, 20, 30, 45, 60, 90])),
        weekly=weekly,
        exceptions=draw(st.dictionaries(st.just(on), windows(), max_size=1)),
        min_notice_minutes=draw(st.sampled_from([0, 5, 60, 24 * 60])),
        max_days_ahead=draw(st.sampled_from([0, 1, 3, 30])),
        buffer_minutes=draw(st.sampled_from([0, 5, 10, 30])),
        time_off=tuple(draw(periods(midnight)))[:2],
    )
    now = midnight - draw(st.integers(-200, 400)) * STEP + draw(st.sampled_from([0, 1])) * TICK
    return timetable, midnight, now, draw(periods(midnight))


minutes = st.sampled_from([None, 5, 30, 45, 120])


@always
@given(day=days(), minutes=minutes)
def test_every_slot_on_offer_is_covered_and_stays_so_whatever_is_booked(day, minutes):
    timetable, midnight, now, busy = day
    question = {"since": midnight - 36 * STEP, "until": midnight + 324 * STEP, "minutes": minutes}
    lasting = timedelta(minutes=minutes or timetable.slot_minutes)
    for start in slots(timetable, **question, now=now, busy=busy):
        assert covers(timetable, start=start, end=start + lasting)


@always
@given(day=days(), minutes=st.sampled_from([5, 30, 120]), at=steps)
def test_what_is_covered_passes_the_rules_about_hours_and_time_off_and_the_other_way_round(
    day, minutes, at
):
    timetable, midnight, now, busy = day
    start = midnight + at * STEP
    end = start + timedelta(minutes=minutes)
    verdicts = explain(timetable, start=start, end=end, now=now, busy=busy)
    needed = [each.passed for each in verdicts if each.code in ("outside_hours", "time_off")]
    assert covers(timetable, start=start, end=end) is all(needed)


@always
@given(day=days(), minutes=minutes)
def test_what_the_other_side_has_to_do_hides_just_the_slots_that_overlap_it(day, minutes):
    timetable, midnight, now, avoid = day
    question = {"since": midnight - 36 * STEP, "until": midnight + 324 * STEP, "minutes": minutes}
    lasting = timedelta(minutes=minutes or timetable.slot_minutes)
    every = list(slots(timetable, **question, now=now, busy=()))
    assert list(slots(timetable, **question, now=now, busy=(), avoid=avoid)) == [
        start
        for start in every
        if not any(one[0] < start + lasting and start < one[1] for one in avoid)
    ]


def bookable(timetable, start, *, now, minutes=None, busy=()):
    end = start + timedelta(minutes=minutes or timetable.slot_minutes)
    return first_failed(timetable, start=start, end=end, now=now, busy=busy) is None


@always
@given(day=days(), minutes=minutes)
def test_every_slot_on_offer_can_be_booked_and_no_other_start_can(day, minutes):
    timetable, midnight, now, busy = day
    since, until = midnight - 36 * STEP, midnight + 324 * STEP
    question = {"minutes": minutes, "now": now, "busy": busy}
    given_starts = [since + n * STEP for n in range(360)]
    assert list(slots(timetable, since=since, until=until, **question)) == [
        start for start in given_starts if bookable(timetable, start, **question)
    ]


@always
@given(day=days(), minutes=minutes)
def test_without_a_schedule_every_slot_on_offer_can_be_booked(day, minutes):
    scheduled, midnight, now, busy = day
    timetable = Timetable(scheduled.timezone, time_off=scheduled.time_off)
    question = {"minutes": minutes, "now": now, "busy": busy}
    found = list(slots(timetable, since=midnight, until=midnight + 288 * STEP, **question))
    assert found == sorted(set(found))
    assert all(bookable(timetable, start, **question) for start in found)


@always
@given(day=days(), minutes=minutes, at=steps, limit=st.integers(1, 6))
def test_the_nearest_can_be_booked_and_none_nearer_is_left_out(day, minutes, at, limit):
    timetable, midnight, now, busy = day
    start, question = midnight + at * STEP, {"minutes": minutes, "now": now, "busy": busy}
    found = nearest(timetable, start=start, limit=limit, **question)
    since, until = search_period(timetable, start=start, now=now)
    everything = slots(timetable, since=since, until=until, **question)
    by_distance = sorted(everything, key=lambda offer: (abs(offer - start), offer))
    assert found == by_distance[:limit]
    assert all(bookable(timetable, offer, **question) for offer in found)


@always
@given(day=days(), minutes=st.sampled_from([5, 30, 120]), at=steps)
def test_each_rule_says_what_it_means(day, minutes, at):
    timetable, midnight, now, busy = day
    zone, start = ZoneInfo(timetable.timezone), midnight + at * STEP
    end, gap = start + timedelta(minutes=minutes), timedelta(minutes=timetable.buffer_minutes)
    verdicts = explain(timetable, start=start, end=end, now=now, busy=busy)
    passed = {verdict.code: verdict.passed for verdict in verdicts}
    ahead = (start.astimezone(zone).date() - now.astimezone(zone).date()).days
    assert passed["in_the_past"] == (start > now)
    assert passed["too_soon"] == (start - now >= timedelta(minutes=timetable.min_notice_minutes))
    assert passed["too_far"] == (ahead <= timetable.max_days_ahead)
    off = [one for one in timetable.time_off if one[0] < end and start < one[1]]
    assert passed["time_off"] == (not off)
    near_by = [one for one in busy if one[0] < end + gap and start - gap < one[1]]
    assert passed["slot_taken"] == (not near_by)


@always
@given(
    busy=st.lists(st.tuples(steps, st.integers(1, 60)), max_size=12),
    at=steps,
    minutes=st.sampled_from([5, 30, 120]),
)
def test_periods_that_overlap_each_other_are_all_seen(busy, at, minutes):
    taken = sorted((NOW + start * STEP, NOW + (start + long) * STEP) for start, long in busy)
    start = NOW + at * STEP + TICK
    end = start + timedelta(minutes=minutes)
    overlapping = [one for one in taken if one[0] < end and start < one[1]]
    verdict = explain(NO_SCHEDULE, start=start, end=end, now=NOW, busy=taken)[-1]
    assert verdict.since == max((until for _, until in overlapping), default=None)
