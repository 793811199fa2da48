"""What makes a patient's record plausible."""

from datetime import date

from schemas.errors import InvalidInput

OLDEST_AGE_YEARS = 130


def check_date_of_birth(dob: date, *, today: date) -> None:
    """:raises InvalidInput: unless ``dob`` is before ``today`` and at most 130 years ago."""
    if dob >= today:
        raise InvalidInput({"dob": "Must be in the past."})
    # Compared by parts: the same day 130 years ago need not exist (29 February).
    if (today.year - dob.year, today.month, today.day) > (OLDEST_AGE_YEARS, dob.month, dob.day):
        raise InvalidInput({"dob": f"Must be at most {OLDEST_AGE_YEARS} years ago."})
