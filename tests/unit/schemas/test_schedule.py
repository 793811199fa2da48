"""Schedules and times off as clients write them, and the timetables they make."""

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidInput
from schemas.loading import load
from schemas.schedule import (
    DAYS,
    MOST_EXCEPTION_WINDOWS,
    MOST_EXCEPTIONS,
    MOST_WINDOWS,
    AvailabilitySchema,
    ScheduleSchema,
    TimeOffSchema,
    timetable,
    timetable_of,
)
from schemas.timetable import Timetable, Window

CLOCK = "Must be a time such as 09:00, in steps of 5 minutes."
AFTER, OVERLAPS = "Must be after the start.", "Overlaps another window."
MISSING, NULL, UNKNOWN = (
    "Missing data for required field.", "Field may not be null.", "Unknown field."
)
LIST, OBJECT = "Not a valid list.", "Invalid input type."


def weekly(*windows):
    """``mon 09:00-12:00`` as windows of a schedule."""
    return [
        {"day": text[:3], "start": text[4:9], "end": text[10:]} for text in windows
    ]


def closed_but(day, *windows):
    """An exception: other hours on a date."""
    return {
        "date": day,
        "windows": [{"start": text[:5], "end": text[6:]} for text in windows],
    }


def complaints(schedule):
    with pytest.raises(InvalidInput) as refused:
        load(ScheduleSchema(), schedule)
    return refused.value.errors


def told(schedule, **also):
    """As the doctor service tells it: through the text that is stored."""
    hours = ScheduleSchema(exclude=("timezone",)).dump(load(ScheduleSchema(), schedule))
    return json.loads(json.dumps({
        "doctorId": 1,
        "scheduleVersion": 1,
        "timezone": "Europe/Berlin",
        "schedule": hours,
        "timeOff": [],
    } | also))


# What makes a schedule


def test_a_schedule_needs_its_weekly_hours_only():
    assert load(ScheduleSchema(), {"weekly": []}) == {
        "timezone": None,
        "slot_minutes": 30,
        "weekly": [],
        "exceptions": [],
        "min_notice_minutes": 0,
        "max_days_ahead": 365,
        "buffer_minutes": 0,
    }


def test_the_hours_come_out_as_minutes_since_midnight():
    loaded = load(ScheduleSchema(), {"weekly": weekly("mon 00:00-24:00", "sun 08:05-08:10")})
    assert loaded["weekly"] == [
        {"day": "mon", "start": 0, "end": 1440}, {"day": "sun", "start": 485, "end": 490}
    ]


@pytest.mark.parametrize(
    "windows",
    [
        ("mon 09:00-12:00", "mon 12:00-15:00"),
        ("mon 12:00-15:00", "mon 09:00-12:00"),
        ("mon 09:00-12:00", "tue 09:00-12:00"),
        ("mon 23:00-24:00", "tue 00:00-01:00"),
    ],
)
def test_windows_may_meet_and_need_no_order(windows):
    assert load(ScheduleSchema(), {"weekly": weekly(*windows)})


@pytest.mark.parametrize(
    ("windows", "clashing"),
    [
        (("mon 09:00-12:00", "mon 09:00-12:00"), [1]),
        (("mon 09:00-12:00", "mon 11:55-15:00"), [1]),
        (("mon 11:55-15:00", "mon 09:00-12:00"), [0]),
        (("mon 09:00-18:00", "tue 09:00-18:00", "mon 10:00-11:00", "mon 12:00-13:00"), [2, 3]),
        (("wed 09:00-10:00", "mon 09:00-18:00", "sun 01:00-02:00", "mon 17:00-24:00"), [3]),
    ],
)
def test_each_window_that_overlaps_an_earlier_one_is_named(windows, clashing):
    assert complaints({"weekly": weekly(*windows)}) == {
        f"weekly.{position}.start": OVERLAPS for position in clashing
    }


def test_windows_that_overlap_are_named_for_every_day():
    found = complaints({"weekly": weekly(*("mon 09:00-12:00", "tue 09:00-12:00") * 2)})
    assert found == {"weekly.2.start": OVERLAPS, "weekly.3.start": OVERLAPS}


def test_windows_of_a_date_must_not_overlap_either():
    exceptions = [
        closed_but("2027-05-17", "09:00-12:00", "10:00-11:00"),
        closed_but("2027-05-18", "09:00-12:00", "12:00-13:00"),
    ]
    assert complaints({"weekly": [], "exceptions": exceptions}) == {
        "exceptions.0.windows.1.start": OVERLAPS
    }


def test_a_date_has_one_exception():
    exceptions = [closed_but(f"2027-05-{day}") for day in (17, 18, 17, 19, 18, 17)]
    assert complaints({"weekly": [], "exceptions": exceptions}) == {
        f"exceptions.{position}.date": "Another exception has this date." for position in (2, 4, 5)
    }


@pytest.mark.parametrize(
    ("window", "field", "message"),
    [
        ("mon 24:00-24:00", "end", AFTER),
        ("mon 12:00-12:00", "end", AFTER),
        ("mon 12:00-11:55", "end", AFTER),
        ("mon 22:00-00:00", "end", AFTER),
        ("mon 09:01-12:00", "start", CLOCK),
        ("mon 09:00-12:59", "end", CLOCK),
        ("mon 09:00-24:05", "end", CLOCK),
        ("mon 25:00-26:00", "start", CLOCK),
        ("mon 09:60-12:00", "start", CLOCK),
        ("mon 09.00-12:00", "start", CLOCK),
        ("mon ٠٩:٠٠-12:00", "start", CLOCK),
        ("Mon 09:00-12:00", "day", f"Must be one of: {', '.join(DAYS)}."),
        ("fre 09:00-12:00", "day", f"Must be one of: {', '.join(DAYS)}."),
    ],
)
def test_a_window_is_part_of_a_day_in_steps_of_five_minutes(window, field, message):
    found = complaints({"weekly": weekly(window)})
    assert found[f"weekly.0.{field}"] == message
    if field != "day":
        inside = {name: value for name, value in weekly(window)[0].items() if name != "day"}
        exceptions = [{"date": "2027-05-17", "windows": [inside]}]
        found = complaints({"weekly": [], "exceptions": exceptions})
        assert found[f"exceptions.0.windows.0.{field}"] == message


@pytest.mark.parametrize("value", [None, 9, 9.5, True, [], {}, "", "9:00", "09:00:00", " 09:00 "])
def test_what_is_no_time_of_day_is_refused(value):
    window = {"day": "mon", "start": value, "end": "12:00"}
    assert complaints({"weekly": [window]}) == {
        "weekly.0.start": NULL if value is None else CLOCK
    }


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"slotMinutes": 0}, "slotMinutes", "Must be between 5 and 480."),
        ({"slotMinutes": 485}, "slotMinutes", "Must be between 5 and 480."),
        ({"slotMinutes": 32}, "slotMinutes", "Must be a multiple of 5."),
        ({"slotMinutes": 10**400}, "slotMinutes", "Must be between 5 and 480."),
        ({"slotMinutes": 30.0}, "slotMinutes", "Must be a whole number."),
        ({"slotMinutes": float("nan")}, "slotMinutes", "Must be a whole number."),
        ({"slotMinutes": "30"}, "slotMinutes", "Must be a whole number."),
        ({"slotMinutes": True}, "slotMinutes", "Must be a whole number."),
        ({"slotMinutes": None}, "slotMinutes", NULL),
        ({"minNoticeMinutes": -1}, "minNoticeMinutes", "Must be between 0 and 525600."),
        ({"minNoticeMinutes": 525601}, "minNoticeMinutes", "Must be between 0 and 525600."),
        ({"maxDaysAhead": -1}, "maxDaysAhead", "Must be between 0 and 3650."),
        ({"maxDaysAhead": 3651}, "maxDaysAhead", "Must be between 0 and 3650."),
        ({"bufferMinutes": -5}, "bufferMinutes", "Must be between 0 and 240."),
        ({"bufferMinutes": 245}, "bufferMinutes", "Must be between 0 and 240."),
        ({"bufferMinutes": 3}, "bufferMinutes", "Must be a multiple of 5."),
        ({"timezone": "Berlin"}, "timezone", "Not the name of an IANA time zone."),
        ({"timezone": "../../etc/passwd"}, "timezone", "Not the name of an IANA time zone."),
        ({"timezone": 1}, "timezone", "Not a valid string."),
        ({"holidays": []}, "holidays", UNKNOWN),
        ({"slot_minutes": 30}, "slot_minutes", UNKNOWN),
        ({"version": 1}, "version", UNKNOWN),
        ({"weekly": None}, "weekly", NULL),
        ({"weekly": {}}, "weekly", LIST),
        ({"weekly": {"mon": []}}, "weekly", LIST),
        ({"weekly": "mon"}, "weekly", LIST),
        ({"weekly": 7}, "weekly", LIST),
        ({"weekly": [None]}, "weekly.0", NULL),
        ({"weekly": ["mon"]}, "weekly.0", OBJECT),
        ({"weekly": [[[[]]]]}, "weekly.0", OBJECT),
        ({"weekly": [{}]}, "weekly.0.day", MISSING),
        ({"weekly": [{"day": ["mon"]}]}, "weekly.0.day", "Not a valid string."),
        ({"weekly": [{"day": {"mon": 1}}]}, "weekly.0.day", "Not a valid string."),
        ({"weekly": [{"note": "closed"}]}, "weekly.0.note", UNKNOWN),
        ({"exceptions": None}, "exceptions", NULL),
        ({"exceptions": {}}, "exceptions", LIST),
        ({"exceptions": [[]]}, "exceptions.0", OBJECT),
        ({"exceptions": [{"windows": []}]}, "exceptions.0.date", MISSING),
        ({"exceptions": [{"date": "2027-05-17"}]}, "exceptions.0.windows", MISSING),
        ({"exceptions": [closed_but("2027-05-17") | {"windows": None}]}, "exceptions.0.windows",
         NULL),
        ({"exceptions": [closed_but("2027-05-17") | {"windows": {}}]}, "exceptions.0.windows",
         LIST),
        ({"exceptions": [closed_but("2027-02-29")]}, "exceptions.0.date",
         "Not a valid date (YYYY-MM-DD)."),
        ({"exceptions": [closed_but("2027-05-17T00:00:00Z")]}, "exceptions.0.date",
         "Not a valid date (YYYY-MM-DD)."),
        ({"exceptions": [closed_but("2027-05-17") | {"day": "mon"}]}, "exceptions.0.day", UNKNOWN),
    ],
)
def test_what_is_wrong_is_told_of_its_field(fields, field, message):
    assert complaints({"weekly": []} | fields)[field] == message


def test_the_weekly_hours_are_needed():
    assert complaints({}) == {"weekly": MISSING}


@pytest.mark.parametrize("payload", [None, [], "weekly", 7, True])
def test_only_an_object_is_a_schedule(payload):
    assert complaints(payload) == {"body": "Must be a JSON object."}


def test_a_schedule_has_a_sane_size_and_of_more_nobody_looks_at_the_rest():
    window, day = weekly("mon 09:00-12:00")[0], closed_but("2027-05-17")
    assert complaints({"weekly": [window] * (MOST_WINDOWS + 1)}) == {
        "weekly": f"Must have at most {MOST_WINDOWS}."
    }
    assert complaints({"weekly": [], "exceptions": [day] * (MOST_EXCEPTIONS + 1)}) == {
        "exceptions": f"Must have at most {MOST_EXCEPTIONS}."
    }
    assert complaints({"weekly": [None] * 10_000}) == {
        "weekly": f"Must have at most {MOST_WINDOWS}."
    }
    day["windows"] = [None] * (MOST_WINDOWS + 1)
    assert complaints({"weekly": [], "exceptions": [day]}) == {
        "exceptions.0.windows": f"Must have at most {MOST_WINDOWS}."
    }


def test_the_windows_of_all_dates_together_have_a_sane_size_too():
    hours = [f"{hour:02}:00-{hour:02}:30" for hour in range(20)]
    dates = [
        closed_but(f"2027-{n % 12 + 1:02}-{n // 12 + 1:02}", *hours)
        for n in range(MOST_EXCEPTION_WINDOWS // 20)
    ]
    assert load(ScheduleSchema(), {"weekly": [], "exceptions": dates})
    dates.append(closed_but("2028-01-01", "09:00-10:00"))
    assert complaints({"weekly": [], "exceptions": dates}) == {
        "exceptions": f"Must have at most {MOST_EXCEPTION_WINDOWS} windows in all."
    }


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(("mon", "09:00", "12:00", "2027-05-17", "Europe/Berlin")),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(("day", "start", "end", "date", "windows", "reason")) | st.text(max_size=4),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)
MEMBERS = ("timezone", "slotMinutes", "weekly", "exceptions", "minNoticeMinutes", "maxDaysAhead",
           "bufferMinutes")


@given(st.dictionaries(st.sampled_from(MEMBERS), JUNK) | JUNK)
def test_junk_is_refused_and_nothing_else_happens(payload):
    for schema in (ScheduleSchema(), TimeOffSchema()):
        try:
            load(schema, payload)
        except InvalidInput as refused:
            assert refused.errors


def test_what_is_nested_deeply_is_refused():
    deep = []
    for _ in range(900):
        deep = [deep]
    for name in MEMBERS:
        assert complaints({"weekly": [], name: deep})


# The timetable


def test_a_schedule_makes_a_timetable_whatever_the_order_of_its_windows():
    schedule = {
        "slotMinutes": 20,
        "weekly": weekly("tue 13:00-24:00", "mon 09:00-12:00", "tue 08:00-12:00"),
        "exceptions": [
            closed_but("2027-05-18", "14:00-15:00", "10:00-11:00"), closed_but("2027-05-17")
        ],
        "minNoticeMinutes": 60,
        "maxDaysAhead": 90,
        "bufferMinutes": 10,
    }
    assert timetable_of(told(schedule)) == Timetable(
        "Europe/Berlin",
        slot_minutes=20,
        weekly={0: (Window(540, 720),), 1: (Window(480, 720), Window(780, 1440))},
        exceptions={
            date(2027, 5, 17): (), date(2027, 5, 18): (Window(600, 660), Window(840, 900))
        },
        min_notice_minutes=60,
        max_days_ahead=90,
        buffer_minutes=10,
    )


def test_without_a_schedule_there_are_time_zone_and_time_off_only():
    away = [{"start": "2027-05-17T00:00:00Z", "end": "2027-05-18T00:00:00Z"}]
    period = (datetime(2027, 5, 17, tzinfo=UTC), datetime(2027, 5, 18, tzinfo=UTC))
    nothing = told({"weekly": []}) | {"schedule": None, "timeOff": away}
    assert timetable_of(nothing) == Timetable("Europe/Berlin", time_off=(period,))
    assert timetable_of(nothing).weekly is None


def test_no_weekly_hours_are_not_the_same_as_no_schedule():
    assert timetable_of(told({"weekly": []})).weekly == {}


def some_windows(draw):
    """Times of one day that do not overlap; some of them meet."""
    marks = sorted(draw(st.sets(st.integers(0, 288), max_size=8)))
    pairs = zip(marks, marks[1:], strict=False)
    return [
        {"start": start * 5, "end": end * 5} for start, end in pairs if draw(st.booleans())
    ]


@st.composite
def loaded_schedules(draw):
    days = [window | {"day": day} for day in DAYS for window in some_windows(draw)]
    dates = draw(st.sets(st.dates(), max_size=3))
    return {
        "slot_minutes": 5 * draw(st.integers(1, 96)),
        "weekly": draw(st.permutations(days)),
        "exceptions": [{"date": day, "windows": some_windows(draw)} for day in dates],
        "min_notice_minutes": draw(st.integers(0, 525600)),
        "max_days_ahead": draw(st.integers(0, 3650)),
        "buffer_minutes": 5 * draw(st.integers(0, 48)),
    }


@given(loaded_schedules())
def test_a_stored_schedule_gives_back_the_timetable_that_was_meant(schedule):
    sent = ScheduleSchema(exclude=("timezone",)).dump(schedule)
    assert load(ScheduleSchema(), sent) == {"timezone": None, **schedule}
    meant = timetable(schedule, timezone="Europe/Berlin")
    assert timetable_of(told(sent)) == meant


def test_an_availability_dumps_as_it_loads():
    sent = told({"weekly": weekly("mon 09:00-12:00")})
    again = AvailabilitySchema().dump(AvailabilitySchema().load(sent))
    assert timetable_of(again) == timetable_of(sent)


# Time off


def test_time_off_keeps_local_times_local_until_the_doctor_is_known():
    sent = {"start": "2027-05-17T00:00:00", "end": "2027-05-18T00:00:00+02:00"}
    assert load(TimeOffSchema(), sent) == {
        "starts_at": datetime(2027, 5, 17),
        "ends_at": datetime(2027, 5, 17, 22, tzinfo=UTC),
        "reason": None,
    }


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"start": None}, "start"),
        ({"start": "2027-05-17"}, "start"),
        ({"end": "soon"}, "end"),
        ({"end": 1810591200}, "end"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"reason": ["ill"]}, "reason"),
        ({"id": 7}, "id"),
        ({"affected": []}, "affected"),
        ({"doctorId": 7}, "doctorId"),
    ],
)
def test_time_off_that_is_wrong_is_told_of_its_field(fields, field):
    good = {"start": "2027-05-17T00:00:00Z", "end": "2027-05-18T00:00:00Z"}
    with pytest.raises(InvalidInput) as refused:
        load(TimeOffSchema(), good | fields)
    assert list(refused.value.errors) == [field]


@pytest.mark.parametrize("missing", ["start", "end"])
def test_time_off_has_both_its_ends(missing):
    sent = {"start": "2027-05-17T00:00:00Z", "end": "2027-05-18T00:00:00Z"}
    del sent[missing]
    with pytest.raises(InvalidInput) as refused:
        load(TimeOffSchema(), sent)
    assert refused.value.errors == {missing: MISSING}
