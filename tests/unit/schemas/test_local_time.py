"""What is meant by a time without an offset."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidInput
from schemas.local_time import instant_of
from schemas.wall_clock import wall_time

BERLIN, LORD_HOWE, KOLKATA = "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata"
NEW_YORK, SAO_PAULO, HAVANA = "America/New_York", "America/Sao_Paulo", "America/Havana"
ZONES = (BERLIN, NEW_YORK, LORD_HOWE, KOLKATA, SAO_PAULO, "Pacific/Kiritimati", "UTC")


def meant(moment, zone):
    sent = datetime.fromisoformat(moment) if len(moment) > 10 else date.fromisoformat(moment)
    instant = instant_of(sent, timezone=zone, field="date")
    assert instant.tzinfo is UTC
    return f"{instant:%Y-%m-%dT%H:%M}"


def refusal(moment, zone):
    with pytest.raises(InvalidInput) as refused:
        instant_of(moment, timezone=zone, field="date")
    return refused.value.errors


@pytest.mark.parametrize(
    ("moment", "zone", "instant"),
    [
        ("2027-06-17T09:00", BERLIN, "2027-06-17T07:00"),
        ("2027-01-17T09:00", BERLIN, "2027-01-17T08:00"),
        ("2027-01-17T09:00", KOLKATA, "2027-01-17T03:30"),
        ("2027-01-17T09:00", LORD_HOWE, "2027-01-16T22:00"),
        ("2027-07-17T09:00", LORD_HOWE, "2027-07-16T22:30"),
    ],
)
def test_without_an_offset_it_is_local_time(moment, zone, instant):
    assert meant(moment, zone) == instant


def test_with_an_offset_the_zone_has_no_say():
    sent = datetime(2027, 3, 28, 2, 30, tzinfo=timezone(timedelta(hours=-5)))
    for zone in ZONES:
        assert instant_of(sent, timezone=zone, field="date") == datetime(
            2027, 3, 28, 7, 30, tzinfo=UTC
        )


@pytest.mark.parametrize(
    ("moment", "zone", "instant"),
    [
        ("2027-10-31T02:00", BERLIN, "2027-10-31T00:00"),
        ("2027-10-31T02:59", BERLIN, "2027-10-31T00:59"),
        ("2027-10-31T03:00", BERLIN, "2027-10-31T02:00"),
        ("2027-11-07T01:30", NEW_YORK, "2027-11-07T05:30"),
        ("2027-04-04T01:30", LORD_HOWE, "2027-04-03T14:30"),
    ],
)
def test_a_time_that_occurs_twice_means_the_first(moment, zone, instant):
    assert meant(moment, zone) == instant


@pytest.mark.parametrize(
    ("moment", "zone"),
    [
        ("2027-03-28T02:00", BERLIN),
        ("2027-03-28T02:59:59.999999", BERLIN),
        ("2027-03-14T02:30", NEW_YORK),
        ("2027-10-03T02:15", LORD_HOWE),
        ("2018-11-04T00:00", SAO_PAULO),
    ],
)
def test_a_time_that_a_clock_change_skips_is_refused(moment, zone):
    told = refusal(datetime.fromisoformat(moment), zone)
    assert told == {"date": f"The clocks in {zone} skip this time."}


@pytest.mark.parametrize(
    ("moment", "zone", "instant"),
    [
        ("2027-03-28T01:59", BERLIN, "2027-03-28T00:59"),
        ("2027-03-28T03:00", BERLIN, "2027-03-28T01:00"),
        ("2027-10-03T02:30", LORD_HOWE, "2027-10-02T15:30"),
    ],
)
def test_the_times_next_to_the_skipped_ones_are_good(moment, zone, instant):
    assert meant(moment, zone) == instant


@pytest.mark.parametrize(
    ("day", "zone", "instant"),
    [
        ("2027-06-17", BERLIN, "2027-06-16T22:00"),
        # That day has no midnight, and the next one has two.
        ("2018-11-04", SAO_PAULO, "2018-11-04T03:00"),
        ("2027-11-07", HAVANA, "2027-11-07T04:00"),
    ],
)
def test_a_date_begins_with_its_first_minute(day, zone, instant):
    assert meant(day, zone) == instant


@pytest.mark.parametrize(
    ("moment", "zone"),
    [(date.min, "Asia/Tokyo"), (datetime.min, BERLIN), (datetime.max, NEW_YORK)],
)
def test_what_lies_outside_of_the_calendar_in_utc_is_too_far_away(moment, zone):
    assert refusal(moment, zone) == {"date": "Is too far away."}


def test_the_refusal_names_the_field_as_it_was_sent():
    with pytest.raises(InvalidInput) as refused:
        instant_of(datetime(2027, 3, 28, 2, 30), timezone=BERLIN, field="busy.0.start")
    assert list(refused.value.errors) == ["busy.0.start"]


@given(st.datetimes(), st.sampled_from(ZONES))
def test_any_local_time_is_refused_or_what_the_clock_shows_then(moment, zone):
    try:
        instant = instant_of(moment, timezone=zone, field="date")
    except InvalidInput:
        return
    assert wall_time(instant, ZoneInfo(zone)) == moment


@given(st.dates(), st.sampled_from(ZONES))
def test_any_date_is_refused_or_begins_at_an_instant(day, zone):
    try:
        instant = instant_of(day, timezone=zone, field="date")
    except InvalidInput:
        return
    assert wall_time(instant, ZoneInfo(zone)).date() >= day


@given(st.datetimes(timezones=st.timezones()), st.sampled_from(ZONES))
def test_any_time_with_an_offset_is_refused_or_the_same_instant(moment, zone):
    try:
        instant = instant_of(moment, timezone=zone, field="date")
    except InvalidInput:
        return
    assert instant == moment.astimezone(UTC)
