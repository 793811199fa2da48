"""Which time an appointment occupies, what may become of it, who may say so, and until when."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appointment.domain import (
    BUCKET,
    LAST,
    allowed_moves,
    buckets,
    check_may_be_cancelled,
    check_may_be_changed,
    check_move,
    is_upcoming,
    may_act,
    missed_deadline,
    period,
    whole_buckets,
)
from schemas.errors import InvalidInput, MoveNotAllowed, NotBooked
from schemas.statuses import ARRIVED, BOOKED, CANCELLED, FULFILLED, NOSHOW, STATUSES


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# The end


@pytest.mark.parametrize("minutes", [5, 45, 480])
def test_an_appointment_lasts_as_long_as_asked_for(minutes):
    start = utc("2027-03-01 09:00")
    lasting = timedelta(minutes=minutes)
    assert period(start, minutes=minutes, field="date") == (start, start + lasting)


@pytest.mark.parametrize("field", ["date", "start"])
def test_at_the_end_of_the_calendar_nothing_starts_and_what_was_sent_is_named(field):
    before = LAST - timedelta(minutes=5)
    assert period(before, minutes=480, field=field) == (before, before + timedelta(hours=8))
    for start in (LAST, utc("9999-12-31 23:59")):
        with pytest.raises(InvalidInput) as refused:
            period(start, minutes=5, field=field)
        assert refused.value.errors == {field: "Is too far away."}


# Who may do anything about it

PARTIES = {"doctor": 2, "patient": 7}


@pytest.mark.parametrize(
    ("role", "subject", "may"),
    [
        ("doctor", 2, True),
        ("doctor", 7, False),
        ("doctor", None, False),
        ("patient", 7, True),
        ("patient", 2, False),
        ("patient", None, False),
        ("staff", None, True),
        ("admin", None, True),
        ("operator", None, True),
        ("system", None, True),
    ],
)
def test_doctors_and_patients_act_on_their_own_and_the_clinic_on_all(role, subject, may):
    assert may_act(role, subject, parties=PARTIES) is may


# What is to come

NOW = utc("2027-03-01 09:00")
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("status", "start", "upcoming"),
    [
        (BOOKED, NOW + TICK, True),
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


def lasting(start, minutes):
    return start, start + timedelta(minutes=minutes)


def share(one, other):
    return not set(buckets(*one)).isdisjoint(buckets(*other))


def test_buckets_are_counted_from_1970():
    assert list(buckets(EPOCH, EPOCH + timedelta(minutes=5))) == [0]
    assert list(buckets(EPOCH - timedelta(minutes=5), EPOCH)) == [-1]


def test_half_an_hour_on_the_grid_is_six_buckets():
    assert len(buckets(*lasting(utc("2027-03-01 09:00"), minutes=30))) == 6


def test_half_an_hour_off_the_grid_touches_a_seventh():
    assert len(buckets(*lasting(utc("2027-03-01 09:02"), minutes=30))) == 7


def test_a_microsecond_is_enough_to_touch_a_bucket():
    start, end = utc("2027-03-01 09:00"), utc("2027-03-01 09:05")
    little = timedelta(microseconds=1)
    assert len(buckets(start, end)) == 1
    assert len(buckets(start - little, end)) == 2
    assert len(buckets(start, end + little)) == 2


def test_the_end_of_one_and_the_start_of_the_next_share_nothing():
    first = lasting(utc("2027-03-01 09:00"), minutes=30)
    second = lasting(first[1], minutes=30)
    assert not share(first, second)


def test_neighbours_off_the_grid_share_the_bucket_they_meet_in():
    first = lasting(utc("2027-03-01 09:02"), minutes=30)
    second = lasting(first[1], minutes=30)
    assert share(first, second)


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


def test_a_bucket_is_five_minutes():
    assert BUCKET == timedelta(minutes=5)


@given(moments, durations)
def test_the_buckets_cover_the_period_and_no_bucket_is_outside_it(start, duration):
    end = start + duration
    taken = buckets(start, end)
    assert taken.step == 1
    assert begin_of(taken[0]) <= start < begin_of(taken[0] + 1)
    assert begin_of(taken[-1]) < end <= begin_of(taken[-1] + 1)


@given(grid_moments, durations)
def test_on_the_grid_the_buckets_are_the_period(start, duration):
    taken = buckets(start, start + duration)
    assert (begin_of(taken[0]), begin_of(taken[-1] + 1)) == (start, start + duration)


@given(moments, durations, shifts, durations)
def test_periods_that_overlap_share_a_bucket(start, duration, shift, other_duration):
    one = (start, start + duration)
    other = (start + shift, start + shift + other_duration)
    if one[0] < other[1] and other[0] < one[1]:
        assert share(one, other)


@given(grid_moments, durations, st.integers(0, 50), durations)
def test_periods_on_the_grid_that_do_not_overlap_share_none(start, duration, gap, other_duration):
    end = start + duration
    next_start = end + gap * BUCKET
    assert not share((start, end), (next_start, next_start + other_duration))


@given(moments, durations)
def test_widened_to_whole_buckets_a_period_takes_the_same_ones_from_end_to_end(start, duration):
    end = start + duration
    wide = whole_buckets(start, end)
    assert wide[0] <= start and end <= wide[1]
    assert buckets(*wide) == buckets(start, end)
    assert wide == (begin_of(buckets(start, end).start), begin_of(buckets(start, end).stop))


# What may become of it

MOVES = {
    # From, whether it has started: to.
    (BOOKED, False): {ARRIVED},
    (BOOKED, True): {ARRIVED, FULFILLED, NOSHOW},
    (ARRIVED, False): set(),
    (ARRIVED, True): {FULFILLED},
    (NOSHOW, True): {ARRIVED, FULFILLED},
    (FULFILLED, False): set(),
    (FULFILLED, True): set(),
    (CANCELLED, False): set(),
    (CANCELLED, True): set(),
}


@pytest.mark.parametrize("wanted", STATUSES)
@pytest.mark.parametrize(("status", "started"), MOVES)
def test_the_table_of_moves_says_what_may_come_after_what(status, started, wanted):
    # One that starts now has started.
    start = NOW if started else NOW + TICK
    allowed = MOVES[status, started]
    assert set(allowed_moves(status, starts_at=start, now=NOW)) == allowed
    if wanted in allowed:
        check_move(wanted, status=status, starts_at=start, now=NOW)
        return
    with pytest.raises(MoveNotAllowed) as refused:
        check_move(wanted, status=status, starts_at=start, now=NOW)
    told = refused.value.members
    assert (told["current"], set(told["allowed"])) == (status, allowed)


@pytest.mark.parametrize("status", STATUSES)
def test_what_is_over_cannot_be_cancelled(status):
    if status in (BOOKED, ARRIVED):
        check_may_be_cancelled(status, starts_at=NOW, now=NOW)
        return
    with pytest.raises(MoveNotAllowed) as refused:
        check_may_be_cancelled(status, starts_at=NOW, now=NOW)
    assert set(refused.value.members["allowed"]) == MOVES[status, True]


@pytest.mark.parametrize("status", STATUSES)
def test_only_what_is_booked_can_be_moved(status):
    if status == BOOKED:
        check_may_be_changed(status)
        return
    with pytest.raises(NotBooked, match=f"The appointment is {status};"):
        check_may_be_changed(status)


@pytest.mark.parametrize(
    ("before", "missed"),
    [
        (timedelta(days=1), False),
        (timedelta(days=1) + TICK, False),
        (timedelta(days=1) - TICK, True),
        (timedelta(), True),
        (-timedelta(days=3), True),
    ],
)
def test_the_deadline_itself_is_still_in_time(before, missed):
    start = NOW + before
    deadline = start - timedelta(days=1)
    assert missed_deadline(start, notice_minutes=1440, now=NOW) == (deadline if missed else None)


def test_without_notice_patients_may_change_their_minds_until_the_start():
    assert missed_deadline(NOW, notice_minutes=0, now=NOW) is None
    assert missed_deadline(NOW - TICK, notice_minutes=0, now=NOW) == NOW - TICK
