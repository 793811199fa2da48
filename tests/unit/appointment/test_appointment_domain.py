"""When an appointment starts and ends, and which time it occupies."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appointment.domain import (
    BOOKED,
    BUCKET,
    CANCELLED,
    buckets,
    check_in_future,
    is_upcoming,
    period,
    start_instant,
)
from schemas.errors import InThePast, InvalidInput

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def local(text):
    return datetime.fromisoformat(text)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# The start


@pytest.mark.parametrize("zone", ["UTC", BERLIN, LORD_HOWE])
def test_an_offset_that_was_sent_wins_over_the_doctors_time_zone(zone):
    sent = datetime(2027, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
    start = start_instant(sent, timezone=zone)
    assert (start, start.tzinfo) == (utc("2027-03-01 09:00"), UTC)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", "2027-03-01 09:00"),
        (BERLIN, "2027-03-01 08:00"),
        (NEW_YORK, "2027-03-01 14:00"),
        (LORD_HOWE, "2027-02-28 22:00"),
        ("Asia/Kathmandu", "2027-03-01 03:15"),
    ],
)
def test_a_time_without_an_offset_is_local_time_of_the_doctor(zone, expected):
    start = start_instant(local("2027-03-01 09:00"), timezone=zone)
    assert (start, start.tzinfo) == (utc(expected), UTC)


@pytest.mark.parametrize(
    ("zone", "skipped"),
    [
        (BERLIN, "2027-03-28 02:00"),
        (BERLIN, "2027-03-28 02:30"),
        (BERLIN, "2027-03-28 02:59:59.999999"),
        (NEW_YORK, "2027-03-14 02:00"),
        (NEW_YORK, "2027-03-14 02:55"),
        (LORD_HOWE, "2027-10-03 02:00"),
        (LORD_HOWE, "2027-10-03 02:29:59"),
    ],
)
def test_a_local_time_that_the_clock_change_skips_is_refused(zone, skipped):
    with pytest.raises(InvalidInput) as refused:
        start_instant(local(skipped), timezone=zone)
    assert refused.value.errors == {"date": f"The clocks in {zone} skip this time."}


@pytest.mark.parametrize(
    ("zone", "last", "first", "change"),
    [
        (BERLIN, "2027-03-28 01:55", "2027-03-28 03:00", "2027-03-28 01:00"),
        (NEW_YORK, "2027-03-14 01:55", "2027-03-14 03:00", "2027-03-14 07:00"),
        (LORD_HOWE, "2027-10-03 01:55", "2027-10-03 02:30", "2027-10-02 15:30"),
    ],
)
def test_what_lies_beside_the_skipped_time_can_be_booked(zone, last, first, change):
    assert start_instant(local(last), timezone=zone) == utc(change) - timedelta(minutes=5)
    assert start_instant(local(first), timezone=zone) == utc(change)


@pytest.mark.parametrize(
    ("zone", "twice", "first_time"),
    [
        (BERLIN, "2027-10-31 02:00", "2027-10-31 00:00"),
        (BERLIN, "2027-10-31 02:55", "2027-10-31 00:55"),
        (NEW_YORK, "2027-11-07 01:30", "2027-11-07 05:30"),
        (LORD_HOWE, "2027-04-04 01:30", "2027-04-03 14:30"),
        (LORD_HOWE, "2027-04-04 01:59", "2027-04-03 14:59"),
    ],
)
def test_a_local_time_that_occurs_twice_means_the_first(zone, twice, first_time):
    assert start_instant(local(twice), timezone=zone) == utc(first_time)


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        (BERLIN, "2027-10-31 03:00", "2027-10-31 02:00"),
        (NEW_YORK, "2027-11-07 02:00", "2027-11-07 07:00"),
        (LORD_HOWE, "2027-04-04 02:00", "2027-04-03 15:30"),
    ],
)
def test_the_repeated_time_lies_between_the_first_and_what_comes_after(zone, after, expected):
    assert start_instant(local(after), timezone=zone) == utc(expected)


def test_the_second_of_a_repeated_time_is_reached_by_its_offset():
    second = datetime(2027, 10, 31, 2, 30, tzinfo=timezone(timedelta(hours=1)))
    assert start_instant(second, timezone=BERLIN) == utc("2027-10-31 01:30")


# The end


@pytest.mark.parametrize(("minutes", "lasts"), [(5, 5), (45, 45), (480, 480), (None, 30)])
def test_an_appointment_lasts_as_long_as_asked_for_or_half_an_hour(minutes, lasts):
    start = utc("2027-03-01 09:00")
    assert period(start, minutes=minutes) == (start, start + timedelta(minutes=lasts))


def test_an_appointment_across_a_clock_change_lasts_as_long_as_any_other():
    start = start_instant(local("2027-10-31 01:30"), timezone=BERLIN)
    _, end = period(start, minutes=120)
    assert end == start_instant(local("2027-10-31 02:30+01:00"), timezone=BERLIN)


def test_an_appointment_cannot_end_after_the_last_year_there_is():
    last = utc("9999-12-31 23:30")
    assert period(last, minutes=25)[1] == utc("9999-12-31 23:55")
    with pytest.raises(InvalidInput) as refused:
        period(last, minutes=30)
    assert list(refused.value.errors) == ["date"]


# The future

NOW = utc("2027-03-01 09:00")


def test_the_next_microsecond_is_the_future():
    check_in_future(NOW + timedelta(microseconds=1), now=NOW)


@pytest.mark.parametrize("start", [NOW, NOW - timedelta(microseconds=1), utc("0001-01-01")])
def test_now_and_before_are_not(start):
    with pytest.raises(InThePast, match="not in the future"):
        check_in_future(start, now=NOW)


def test_the_future_is_the_same_in_every_zone():
    ten_in_berlin = datetime(2027, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
    with pytest.raises(InThePast):
        check_in_future(ten_in_berlin, now=NOW)


@pytest.mark.parametrize(
    ("status", "start", "upcoming"),
    [
        (BOOKED, NOW + timedelta(microseconds=1), True),
        (BOOKED, NOW, False),
        (BOOKED, NOW - timedelta(days=1), False),
        (CANCELLED, NOW + timedelta(days=1), False),
    ],
)
def test_what_is_booked_and_has_not_begun_is_upcoming(status, start, upcoming):
    assert is_upcoming(status=status, starts_at=start, now=NOW) is upcoming


# The buckets

EPOCH = utc("1970-01-01")


def begin_of(bucket):
    return EPOCH + bucket * timedelta(minutes=5)


def share(one, other):
    return not set(buckets(*one)).isdisjoint(buckets(*other))


def test_buckets_are_counted_from_1970():
    assert list(buckets(EPOCH, EPOCH + timedelta(minutes=5))) == [0]
    assert list(buckets(EPOCH - timedelta(minutes=5), EPOCH)) == [-1]


def test_half_an_hour_on_the_grid_is_six_buckets():
    assert len(buckets(*period(utc("2027-03-01 09:00"), minutes=30))) == 6


def test_half_an_hour_off_the_grid_touches_a_seventh():
    assert len(buckets(*period(utc("2027-03-01 09:02"), minutes=30))) == 7


def test_a_microsecond_is_enough_to_touch_a_bucket():
    start, end = utc("2027-03-01 09:00"), utc("2027-03-01 09:05")
    little = timedelta(microseconds=1)
    assert len(buckets(start, end)) == 1
    assert len(buckets(start - little, end)) == 2
    assert len(buckets(start, end + little)) == 2


def test_the_end_of_one_and_the_start_of_the_next_share_nothing():
    first = period(utc("2027-03-01 09:00"), minutes=30)
    second = period(first[1], minutes=30)
    assert not share(first, second)


def test_neighbours_off_the_grid_share_the_bucket_they_meet_in():
    first = period(utc("2027-03-01 09:02"), minutes=30)
    second = period(first[1], minutes=30)
    assert share(first, second)


def test_both_times_of_a_repeated_hour_have_buckets_of_their_own():
    first = start_instant(local("2027-10-31 02:00"), timezone=BERLIN)
    second = start_instant(local("2027-10-31 02:00+01:00"), timezone=BERLIN)
    assert not share(period(first, minutes=60), period(second, minutes=60))


moments = st.datetimes(
    min_value=datetime(1900, 1, 1), max_value=datetime(9990, 1, 1), timezones=st.just(UTC)
)
grid_moments = st.integers(-(10**6), 10**7).map(begin_of)
durations = st.integers(1, 96).map(lambda fives: fives * BUCKET)
# Near enough to one another to overlap often, and to meet exactly now and then.
shifts = st.one_of(
    st.integers(-600, 600).map(lambda minutes: timedelta(minutes=minutes)),
    st.timedeltas(min_value=timedelta(hours=-10), max_value=timedelta(hours=10)),
)
quick = settings(deadline=None)


def test_a_bucket_is_five_minutes():
    assert BUCKET == timedelta(minutes=5)


@quick
@given(moments, durations)
def test_the_buckets_cover_the_period_and_no_bucket_is_outside_it(start, duration):
    end = start + duration
    taken = buckets(start, end)
    assert taken.step == 1
    assert begin_of(taken[0]) <= start < begin_of(taken[0] + 1)
    assert begin_of(taken[-1]) < end <= begin_of(taken[-1] + 1)


@quick
@given(grid_moments, durations)
def test_on_the_grid_the_buckets_are_the_period(start, duration):
    taken = buckets(start, start + duration)
    assert (begin_of(taken[0]), begin_of(taken[-1] + 1)) == (start, start + duration)


@quick
@given(moments, durations, shifts, durations)
def test_periods_that_overlap_share_a_bucket(start, duration, shift, other_duration):
    one = (start, start + duration)
    other = (start + shift, start + shift + other_duration)
    if one[0] < other[1] and other[0] < one[1]:
        assert share(one, other)


@quick
@given(grid_moments, durations, st.integers(0, 50), durations)
def test_periods_on_the_grid_that_do_not_overlap_share_none(start, duration, gap, other_duration):
    end = start + duration
    next_start = end + gap * BUCKET
    assert not share((start, end), (next_start, next_start + other_duration))


@pytest.mark.parametrize(
    ("date", "zone"),
    [("9999-12-31 23:00", NEW_YORK), ("0001-01-01 00:00", BERLIN)],
    ids=["after the last year", "before the first"],
)
def test_a_local_time_outside_of_all_years_is_refused(date, zone):
    with pytest.raises(InvalidInput) as refused:
        start_instant(local(date), timezone=zone)
    assert list(refused.value.errors) == ["date"]
