"""For which period slots are asked."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.errors import InvalidInput
from schemas.fields import Moment
from schemas.slots import Asked, FirstSlotsQuerySchema, period_of

BERLIN, CAIRO, LORD_HOWE = "Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe"
NOW = datetime(2027, 1, 1, 12, tzinfo=UTC)


def asked(since, until, zone):
    ends = (None if end is None else Moment().deserialize(end) for end in (since, until))
    return period_of(Asked(*ends), timezone=zone, now=NOW)


def refusal(since, until, zone):
    with pytest.raises(InvalidInput) as refused:
        asked(since, until, zone)
    return refused.value.errors


def test_a_period_of_which_nothing_is_said_is_the_week_from_now_on():
    assert asked(None, None, BERLIN) == (NOW, NOW + timedelta(days=7))


@pytest.mark.parametrize(
    ("since", "until", "zone"),
    [
        # The clocks go forward: an hour more on the wall.
        ("2027-03-01T00:00Z", "2027-04-01T00:00Z", BERLIN),
        # They go back: an hour more in time.
        ("2027-10-01", "2027-11-01", BERLIN),
        ("2027-09-10T00:00Z", "2027-10-11T00:00Z", LORD_HOWE),
        # That day has no midnight.
        ("2027-03-30", "2027-04-30", CAIRO),
        ("2027-04-30", "2027-05-31", CAIRO),
    ],
)
def test_31_days_are_31_days_whichever_way_they_are_counted(since, until, zone):
    begin, end = asked(since, until, zone)
    assert abs(end - begin - timedelta(days=31)) <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("since", "until", "zone"),
    [
        ("2027-03-01T00:00Z", "2027-04-01T00:01Z", BERLIN),
        ("2027-03-01T00:00", "2027-04-01T01:01", BERLIN),
        ("2027-10-01", "2027-11-01T00:01", BERLIN),
        ("2027-03-01", "2027-04-02", BERLIN),
        ("2027-03-30", "2027-05-01", CAIRO),
    ],
)
def test_more_than_31_days_are_too_many(since, until, zone):
    assert refusal(since, until, zone) == {"to": "Must be at most 31 days after from."}


def test_a_period_does_not_end_before_it_begins():
    assert refusal("2027-03-02", "2027-03-01", BERLIN) == {"to": "Must not be before from."}


def test_the_first_slots_are_asked_of_all_doctors_when_no_speciality_is_named():
    assert FirstSlotsQuerySchema().load({})["speciality"] is None
