"""Which time off a doctor can take."""

from datetime import UTC, datetime, timedelta

import pytest

from doctor.domain import MOST_TIMES_OFF, check_time_off
from schemas.errors import InvalidInput

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
HOUR, INSTANT = timedelta(hours=1), timedelta.resolution


def refusal(start, end, *, upcoming=0):
    with pytest.raises(InvalidInput) as refused:
        check_time_off(starts_at=start, ends_at=end, upcoming=upcoming, now=NOW)
    return refused.value.errors


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOW, NOW + INSTANT),
        (NOW - HOUR, NOW + INSTANT),
        (NOW + HOUR, NOW + 2 * HOUR),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_what_is_not_over_can_be_taken(start, end):
    check_time_off(starts_at=start, ends_at=end, upcoming=MOST_TIMES_OFF - 1, now=NOW)


@pytest.mark.parametrize("end", [NOW + HOUR, NOW + HOUR - INSTANT, NOW])
def test_it_ends_after_its_start(end):
    assert refusal(NOW + HOUR, end) == {"end": "Must be after the start."}


@pytest.mark.parametrize("end", [NOW, NOW - INSTANT])
def test_what_is_over_already_cannot_be_taken(end):
    assert refusal(NOW - HOUR, end) == {"end": "Must be in the future."}


def test_of_too_many_it_says_how_many_and_what_to_do():
    told = refusal(NOW, NOW + HOUR, upcoming=MOST_TIMES_OFF)
    assert told == {
        "body": "There are 1000 times off to come already: remove one, or join some to one."
    }
