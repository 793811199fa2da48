"""The rules of booking: which time an appointment occupies, what may become of it, and until when
patients may say so themselves."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from schemas.errors import InvalidInput, MoveNotAllowed, NotBooked
from schemas.statuses import ARRIVED, BOOKED, CANCELLED, FULFILLED, NOSHOW

# What stands in the place of what was written about an erased patient.
ERASED = "(erased)"

BUCKET = timedelta(minutes=5)
OUT_OF_RANGE = {"date": "Is too far away."}
MOVES: Mapping[str, tuple[str, ...]] = {
    BOOKED: (ARRIVED, FULFILLED, NOSHOW),
    ARRIVED: (FULFILLED,),
    # They came late after all, or somebody had clicked the wrong one.
    NOSHOW: (ARRIVED, FULFILLED),
    FULFILLED: (),
    CANCELLED: (),
}
# Booked is how it begins, and cancelling has a way of its own.
SETTABLE = (ARRIVED, FULFILLED, NOSHOW)
# Nobody knows before it starts.
FROM_THE_START_ON = (FULFILLED, NOSHOW)
CANCELLABLE = (BOOKED, ARRIVED)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def period(start: datetime, *, minutes: int) -> tuple[datetime, datetime]:
    """The half-open period ``[start, end)``.

    :raises InvalidInput: when it would end after the last year there is.
    """
    try:
        return start, start + timedelta(minutes=minutes)
    except OverflowError as late:
        raise InvalidInput(OUT_OF_RANGE) from late


def is_upcoming(*, status: str, starts_at: datetime, now: datetime) -> bool:
    """Whether it is still to come; one that begins now has begun."""
    return status == BOOKED and starts_at > now


def buckets(start: datetime, end: datetime) -> range:
    """Numbers of the 5-minute buckets since 1970 that ``[start, end)`` touches."""
    return range((start - _EPOCH) // BUCKET, -((_EPOCH - end) // BUCKET))


def whole_buckets(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """``[start, end)``, widened to the ends of the buckets that it touches."""
    touched = buckets(start, end)
    return _EPOCH + touched.start * BUCKET, _EPOCH + touched.stop * BUCKET


def due_reminder(
    *, status: str, starts_at: datetime, now: datetime, leads: Iterable[int]
) -> int | None:
    """How many minutes before the start the reminder is for that is to be told now, if one is.

    :param leads: how many minutes before the start patients are reminded. Of several that are due,
        as after an outage, the last one counts: the others come too late.
    """
    if not is_upcoming(status=status, starts_at=starts_at, now=now):
        return None
    left = starts_at - now
    return min((lead for lead in leads if timedelta(minutes=lead) >= left), default=None)


def next_reminder(
    starts_at: datetime, *, now: datetime, leads: Iterable[int]
) -> datetime | None:
    """When to remind of an appointment next, if at all: the first that is still to come.

    :param leads: as for ``due_reminder``.
    """
    left = starts_at - now
    due = [timedelta(minutes=lead) for lead in leads if timedelta(minutes=lead) < left]
    return starts_at - max(due) if due else None


def allowed_moves(status: str, *, starts_at: datetime, now: datetime) -> tuple[str, ...]:
    """Which statuses somebody may set by ``now``; cancelling is not among them."""
    moves = MOVES[status]
    if now >= starts_at:
        return moves
    return tuple(each for each in moves if each not in FROM_THE_START_ON)


def check_move(wanted: str, *, status: str, starts_at: datetime, now: datetime) -> None:
    """:raises MoveNotAllowed: unless ``wanted`` may come after ``status`` by now."""
    allowed = allowed_moves(status, starts_at=starts_at, now=now)
    if wanted not in allowed:
        raise MoveNotAllowed(status, allowed)


def check_may_be_cancelled(status: str, *, starts_at: datetime, now: datetime) -> None:
    """:raises MoveNotAllowed: when it is over."""
    if status not in CANCELLABLE:
        raise MoveNotAllowed(status, allowed_moves(status, starts_at=starts_at, now=now))


def check_may_be_changed(status: str) -> None:
    """:raises NotBooked: when something has become of it."""
    if status != BOOKED:
        raise NotBooked(status)


def missed_deadline(
    starts_at: datetime, *, notice_minutes: int, now: datetime
) -> datetime | None:
    """Until when patients could have moved or cancelled it themselves; None: they still can.

    The deadline itself is in time.
    """
    deadline = starts_at - timedelta(minutes=notice_minutes)
    return deadline if now > deadline else None
