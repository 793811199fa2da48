"""What makes a patient's record plausible, and when it may go."""

from datetime import date, datetime

from schemas.errors import InvalidInput, LegalHold

OLDEST_AGE_YEARS = 130
# Of a legal hold.
LONGEST_REASON = 500


def check_date_of_birth(dob: date, *, today: date) -> None:
    """:raises InvalidInput: unless ``dob`` is before ``today`` and at most 130 years ago."""
    if dob >= today:
        raise InvalidInput({"dob": "Must be in the past."})
    # Compared by parts: the same day 130 years ago need not exist (29 February).
    if (today.year - dob.year, today.month, today.day) > (OLDEST_AGE_YEARS, dob.month, dob.day):
        raise InvalidInput({"dob": f"Must be at most {OLDEST_AGE_YEARS} years ago."})


def check_may_be_erased(*, held_since: datetime | None) -> None:
    """:raises LegalHold: while the record must be kept, whatever its patient wishes."""
    if held_since is not None:
        raise LegalHold()
