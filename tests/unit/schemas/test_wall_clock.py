"""What the clock on a wall shows when, on the days that it changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.wall_clock import end_instant, first_change, first_instant, wall_time

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
SAO_PAULO, HAVANA, APIA = "America/Sao_Paulo", "America/Havana", "Pacific/Apia"
ZONES = [BERLIN, NEW_YORK, LORD_HOWE, SAO_PAULO, HAVANA, "Asia/Kolkata", "Africa/Cairo"]


def local(text):
    return datetime.fromisoformat(text)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("reading", [first_instant, end_instant])
@pytest.mark.parametrize(
    ("zone", "wall", "instant"),
    [
        (BERLIN, "2027-03-01 09:00", "2027-03-01 08:00"),
        (BERLIN, "2027-07-01 09:00", "2027-07-01 07:00"),
        (NEW_YORK, "2027-03-01 00:00", "2027-03-01 05:00"),
        ("Asia/Kolkata", "2028-02-29 09:00", "2028-02-29 03:30"),
    ],
)
def test_on_most_days_each_time_is_shown_once(reading, zone, wall, instant):
    assert reading(local(wall), ZoneInfo(zone)) == utc(instant)


@pytest.mark.parametrize("reading", [first_instant, end_instant])
@pytest.mark.parametrize(
    ("zone", "wall", "change"),
    [
        (BERLIN, "2027-03-28 02:00", "2027-03-28 01:00"),
        (BERLIN, "2027-03-28 02:30", "2027-03-28 01:00"),
        (BERLIN, "2027-03-28 03:00", "2027-03-28 01:00"),
        (NEW_YORK, "2027-03-14 02:59", "2027-03-14 07:00"),
        (LORD_HOWE, "2027-10-03 02:15", "2027-10-02 15:30"),
        (SAO_PAULO, "2018-11-04 00:00", "2018-11-04 03:00"),
        (APIA, "2011-12-30 09:00", "2011-12-30 10:00"),
    ],
)
def test_a_time_that_the_clock_skips_is_there_when_it_has_skipped_it(reading, zone, wall, change):
    assert reading(local(wall), ZoneInfo(zone)) == utc(change)


@pytest.mark.parametrize(
    ("zone", "wall", "first", "end"),
    [
        pytest.param(
            BERLIN, "2027-10-31 02:30", "2027-10-31 00:30", "2027-10-31 01:30", id="within"
        ),
        pytest.param(
            LORD_HOWE, "2027-04-04 01:45", "2027-04-03 14:45", "2027-04-03 15:15", id="half an hour"
        ),
        pytest.param(
            BERLIN, "2027-10-31 02:00", "2027-10-31 00:00", "2027-10-31 00:00", id="where it begins"
        ),
        pytest.param(
            HAVANA, "2027-11-07 00:00", "2027-11-07 04:00", "2027-11-07 04:00", id="midnight"
        ),
        pytest.param(
            BERLIN, "2027-10-31 03:00", "2027-10-31 02:00", "2027-10-31 02:00", id="where it ends"
        ),
        pytest.param(
            SAO_PAULO, "2018-02-18 00:00", "2018-02-18 03:00", "2018-02-18 03:00", id="before"
        ),
    ],
)
def test_of_a_time_shown_twice_hours_begin_at_the_first_and_end_after_all_before_it(
    zone, wall, first, end
):
    assert first_instant(local(wall), ZoneInfo(zone)) == utc(first)
    assert end_instant(local(wall), ZoneInfo(zone)) == utc(end)


@settings(derandomize=True, max_examples=200)
@given(
    instant=st.datetimes(datetime(2016, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
)
def test_the_clock_shows_a_time_between_its_first_instant_and_its_end(instant, zone):
    wall = wall_time(instant, zone)
    assert first_instant(wall, zone) <= instant
    assert end_instant(wall + timedelta(seconds=1), zone) > instant


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        (BERLIN, "2027-03-28 01:00"),
        (BERLIN, "2027-10-31 01:00"),
        (LORD_HOWE, "2027-10-02 15:30"),
        (SAO_PAULO, "2018-02-18 02:00"),
    ],
)
def test_a_change_is_found_to_the_second(zone, change):
    at, zone = utc(change), ZoneInfo(zone)
    assert first_change(at - timedelta(hours=9), at + timedelta(hours=3), zone) == at
    assert first_change(at - timedelta(seconds=1), at, zone) == at


def test_without_a_change_the_end_is_told():
    since, until = utc("2027-03-27 00:00"), utc("2027-03-28 00:59:59")
    assert first_change(since, until, ZoneInfo(BERLIN)) == until
