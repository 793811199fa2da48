"""The rules of the doctor service."""

from datetime import datetime

from schemas.errors import InvalidInput

# All that are to come are told whenever the doctor is to be booked.
MOST_TIMES_OFF = 1000


def check_time_off(
    *, starts_at: datetime, ends_at: datetime, upcoming: int, now: datetime
) -> None:
    """:param upcoming: how many times off that are not over the doctor has already.
    :raises InvalidInput:
    """
    if ends_at <= starts_at:
        raise InvalidInput({"end": "Must be after the start."})
    if ends_at <= now:
        raise InvalidInput({"end": "Must be in the future."})
    if upcoming >= MOST_TIMES_OFF:
        told = f"There are {upcoming} times off to come already: remove one, or join some to one."
        raise InvalidInput({"body": told})
