"""The rules of booking: which time an appointment occupies, what may become of it, who may say so,
and until when patients may."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from schemas.errors import InvalidInput, MoveNotAllowed, NotBooked
from schemas.statuses import ARRIVED, BOOKED, CANCELLED, FULFILLED, NOSHOW

# What stands in the place of what was written about an erased patient.
ERASED = "(erased)"

BUCKET = timedelta(minutes=5)
# Nothing starts from then on: near the end of the calendar, adding to an instant overflows.
LAST = datetime(9998, 1, 1, tzinfo=UTC)
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
# How long it counts what was told. Whatever ends it is told too: these bound for how long it would
# go unnoticed that an event was not handled. Dead letters are kept for as long as the former.
PATIENT_KEPT_FOR = timedelta(days=30)
TIMETABLE_KEPT_FOR = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def period(start: datetime, *, minutes: int, field: str) -> tuple[datetime, datetime]:
    """The half-open period ``[start, end)``.

    :param field: by what name ``start`` was sent.
    :raises InvalidInput: when it would start at the end of the calendar.
    """
    if start >= LAST:
        raise InvalidInput({field: "Is too far away."})
    return start, start + timedelta(minutes=minutes)


def may_act(role: str, subject: int | None, *, parties: Mapping[str, int]) -> bool:
    """Whether somebody of this role, who is the record ``subject``, may do anything about an
    appointment: its parties may, and who is of a role that has no part in appointments.

    :param parties: the ids of those who meet, by their roles.
    """
    return role not in parties or parties[role] == subject


def is_recent(told_at: datetime | None, *, now: datetime, within: timedelta) -> bool:
    """Whether it was told less than ``within`` ago; or will be, on a clock that is as far ahead."""
    return told_at is not None and abs(now - told_at) < within


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
    *,
    status: str,
    starts_at: datetime,
    planned: datetime | None,
    now: datetime,
    leads: Iterable[int],
) -> int | None:
    """How many minutes before the start the reminder is for that is to be told now, if one is.

    :param planned: when the next one was to be told. What ought to have come earlier was told
        already, or is a lead that was not set then: nobody is told late of what was never due.
    :param leads: how many minutes before the start patients are reminded. Of several that are due,
        as after an outage, the last one counts: the others come too late.
    """
    if planned is None or not is_upcoming(status=status, starts_at=starts_at, now=now):
        return None
    due = (lead for lead in leads if planned <= starts_at - timedelta(minutes=lead) <= now)
    return min(due, default=None)


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
