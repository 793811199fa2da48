"""What makes a patient's record plausible, and when it may go."""

from datetime import UTC, date, datetime

import pytest

from patient.domain import check_date_of_birth, check_may_be_erased
from schemas.errors import InvalidInput, LegalHold

TODAY = date(2027, 3, 1)


def refusal(dob, today=TODAY):
    with pytest.raises(InvalidInput) as refused:
        check_date_of_birth(dob, today=today)
    return refused.value.errors


def test_somebody_born_yesterday_can_be_a_patient():
    check_date_of_birth(date(2027, 2, 28), today=TODAY)


@pytest.mark.parametrize("dob", [TODAY, date(2027, 3, 2), date(9999, 12, 31)])
def test_nobody_is_born_today_or_later(dob):
    assert refusal(dob) == {"dob": "Must be in the past."}


def test_somebody_turns_130_today():
    check_date_of_birth(date(1897, 3, 1), today=TODAY)


@pytest.mark.parametrize("dob", [date(1897, 2, 28), date(1896, 12, 31), date(1, 1, 1)])
def test_nobody_was_born_longer_ago_than_130_years(dob):
    assert refusal(dob) == {"dob": "Must be at most 130 years ago."}


def test_a_date_of_birth_is_refused_the_day_after_the_130th_birthday():
    born = date(1896, 5, 31)
    check_date_of_birth(born, today=date(2026, 5, 31))
    assert refusal(born, today=date(2026, 6, 1)) == {"dob": "Must be at most 130 years ago."}


def test_a_leap_days_130th_birthday_falls_into_a_year_without_one():
    born = date(1896, 2, 29)
    check_date_of_birth(born, today=date(2026, 2, 28))
    assert refusal(born, today=date(2026, 3, 1)) == {"dob": "Must be at most 130 years ago."}


def test_on_a_leap_day_the_28th_of_february_130_years_ago_is_too_long_ago():
    assert refusal(date(1894, 2, 28), today=date(2024, 2, 29))
    check_date_of_birth(date(1894, 3, 1), today=date(2024, 2, 29))


def test_a_record_that_is_held_may_not_be_erased():
    with pytest.raises(LegalHold):
        check_may_be_erased(held_since=datetime(2027, 3, 1, tzinfo=UTC))


def test_a_record_that_nobody_holds_may_be_erased():
    check_may_be_erased(held_since=None)
