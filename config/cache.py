"""Copies of records, sealed, kept for a minute at most, and never shown after a change.

Every look at the cache draws a ticket, a number that counts up. Whoever finds no copy reads the
record from its owner and keeps it with that ticket; whoever has changed it puts up a floor, the
next number. A copy counts while its ticket is above its floors: what was read before a change is
not shown after it, however late it is kept.

A floor can be missed while Redis is not reached. So copies count only within an epoch, which is
over soon after the one who also hears of all changes (``renewal``) no longer renews it; and who
cannot put up a floor waits that long.
"""

import json
import math
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from config.cache_shelf import Shelf
from config.encryption import Vault
from config.redis_trip import Question, Script, Trips

KEPT_SECONDS = 60
# Longer than a copy lives that was read just before the floor and kept late.
FLOOR_SECONDS = 3 * KEPT_SECONDS
EPOCH_SECONDS = 2.0
RENEW_SECONDS = 0.5
# Between two tries to put up a floor.
_PAUSE_SECONDS = 0.1

_EPOCH, _TICKETS = "{}:epoch", "{}:tickets"
# The number that an epoch began at, and what else is in its name.
_NAME = struct.Struct(">Q8s")
# The epoch, the ticket, and when it was read, in seconds since 1970.
_HEADER = struct.Struct(">16sQd")
# Lua counts in floating point: up to here, each number is another one.
_LAST = 2**53

_LOOK = Script("""
local epoch = redis.call('GET', KEYS[1])
local ticket = redis.call('INCR', KEYS[2])
local found = {}
for at = 3, #KEYS do
  -- MGET would pass over what is no text, floors too.
  found[at - 2] = redis.call('GET', KEYS[at])
end
return {epoch, ticket, found}
""")
_KEEP = Script("return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])")
_RAISE = Script("""
local epoch = redis.call('GET', KEYS[1])
local ticket = redis.call('INCR', KEYS[2])
local floors = (#KEYS - 2) / 2
for at = 3, floors + 2 do
  redis.call('SET', KEYS[at], ticket, 'PX', ARGV[1])
  redis.call('DEL', KEYS[at + floors])
end
return {epoch, ticket}
""")
_RENEW = Script("""
if redis.call('PEXPIRE', KEYS[1], ARGV[2]) == 0 then
  redis.call('SET', KEYS[2], ARGV[3])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
""")


@dataclass(frozen=True)
class Place:
    """Where a copy lies: ``name`` says of what; a change raises one of its ``floors``.

    Names are seen by whoever looks into Redis: ids and digests, nothing personal.
    """

    name: str
    floors: tuple[str, ...]


@dataclass(frozen=True)
class Ticket:
    """When a look was made: the ``number`` of its ``epoch``, and ``at`` in seconds since 1970."""

    epoch: bytes
    number: int
    at: float


@dataclass(frozen=True)
class Copy:
    """``current`` ones are as good as the record; the others were, some time ago."""

    ticket: Ticket
    current: bool
    open: Callable[[], Any]

    @cached_property
    def value(self) -> Any:
        """:raises config.encryption.Unreadable: when it was not sealed here, for this place."""
        return self.open()

    def age(self, *, now: float) -> int:
        """In whole seconds."""
        return max(0, int(now - self.ticket.at))


@dataclass(frozen=True)
class Look:
    """What there was. Without a ``ticket`` nothing can be kept, and nobody can tell how current a
    copy is: Redis is not reached, or nobody tells it what changes."""

    place: Place
    ticket: Ticket | None = None
    floor: int = 0
    copy: Copy | None = None

    def covers(self, ticket: Ticket | None) -> bool:
        """Whether what was read with ``ticket`` is current for whoever has looked so."""
        return (
            self.ticket is not None and ticket is not None
            and self.ticket.epoch == ticket.epoch and ticket.number > self.floor
        )


class Cache:
    """The copies that the processes of one kind share, sealed by ``vault`` under its name.

    :param shelf: where they are while there is no Redis at all.
    """

    def __init__(
        self,
        vault: Vault,
        trips: Trips,
        *,
        shelf: Shelf | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._vault = vault
        self._trips = trips
        self._shelf = shelf
        self._clock = clock
        self._epoch, self._tickets = (key.format(vault.database) for key in (_EPOCH, _TICKETS))

    def look(self, *places: Place) -> Question[list[Look]]:
        floors = list(dict.fromkeys(floor for place in places for floor in place.floors))
        names = [place.name for place in places]
        keys = (self._epoch, self._tickets, *map(self._key, names), *map(self._floor, floors))

        def read(answer: Sequence[Any]) -> list[Look]:
            epoch, number, found = answer
            ticket = _drawn(epoch, number, at=self._clock())
            copies = dict(zip(names, found[:len(names)], strict=True))
            raised = dict(zip(floors, (int(each or 0) for each in found[len(names):]), strict=True))
            if ticket and max(raised.values()) > ticket.number:
                raise ValueError("a floor of another count")
            return [self._looked(place, ticket, copies[place.name], raised) for place in places]

        def alone() -> list[Look]:
            if self._shelf is None:
                return [Look(place) for place in places]
            return read(self._shelf.look(*keys))

        return Question(script=_LOOK, keys=keys, read=read, alone=alone)

    def keep(self, look: Look, value: Any) -> None:
        """For later looks at the same place, until it has changed or a minute has passed."""
        if look.ticket is None:
            return
        key, ticket = self._key(look.place.name), look.ticket
        header = _HEADER.pack(ticket.epoch, ticket.number, ticket.at)
        sealed = self._vault.seal(json.dumps(value), **self._where(look.place, ticket))
        content = header + sealed
        self._trips.ask(Question(
            script=_KEEP,
            keys=(key,),
            args=(content, KEPT_SECONDS * 1000),
            read=bool,
            alone=lambda: self._shelf is not None and self._shelf.keep(key, content, KEPT_SECONDS),
        ))

    def changed(self, *floors: str) -> None:
        """Returns when nobody is shown a copy from before any more; one whose place has the name
        of a floor is gone."""
        put_up, gone = map(self._floor, floors), map(self._key, floors)

        def read(answer: Sequence[Any]) -> bool:
            _drawn(*answer, at=0.0)
            return True

        raising = Question(
            script=_RAISE,
            keys=(self._epoch, self._tickets, *put_up, *gone),
            args=(FLOOR_SECONDS * 1000,),
            read=read,
            alone=lambda: self._shelf is not None and self._shelf.put_up(*map(self._floor, floors)),
        )
        began = time.monotonic()
        while not self._trips.ask(raising, insist=True)[0]:
            # Nobody renews the epoch either; when it is over there is nothing to be shown.
            waited = max(self._trips.lost_seconds(), time.monotonic() - began)
            if waited >= EPOCH_SECONDS:
                return
            time.sleep(_PAUSE_SECONDS)

    def renewal(self, *, candidate: bytes) -> Question[bool]:
        """Lets the epoch go on, or begins one.

        :param candidate: 8 random bytes.
        """
        # Above all that was counted before: nobody draws a million tickets in a second.
        start = int(self._clock() * 1_000_000)
        return Question(
            script=_RENEW,
            keys=(self._epoch, self._tickets),
            args=(_NAME.pack(start, candidate), int(EPOCH_SECONDS * 1000), start),
            read=bool,
            alone=lambda: False,
        )

    def _looked(
        self, place: Place, ticket: Ticket | None, found: bytes | None, raised: dict[str, int]
    ) -> Look:
        look = Look(place, ticket, max(raised[floor] for floor in place.floors))
        kept = _ticket_of(found)
        if found is None or kept is None or kept.number <= look.floor:
            return look
        # Kept late, or put back: the floors of its time may be gone.
        if self._clock() - kept.at > KEPT_SECONDS:
            return look
        opening = partial(self._opened, place, kept, bytes(found[_HEADER.size:]))
        return Look(place, ticket, look.floor, Copy(kept, look.covers(kept), opening))

    def _opened(self, place: Place, ticket: Ticket, sealed: bytes) -> Any:
        return json.loads(self._vault.open(sealed, **self._where(place, ticket)))

    def _where(self, place: Place, ticket: Ticket) -> dict[str, str]:
        """Bound to its ticket too: who writes into Redis could give an old copy a new one."""
        row = f"{place.name} {ticket.epoch.hex()} {ticket.number} {ticket.at}"
        return {"table": "cache", "column": "copy", "row": row}

    def _key(self, name: str) -> str:
        return f"{self._vault.database}:{name}"

    def _floor(self, name: str) -> str:
        return f"{self._vault.database}:floor:{name}"


def _drawn(epoch: bytes | None, number: Any, *, at: float) -> Ticket | None:
    """None while there is no epoch.

    :raises ValueError: when it is not counted as we do: copies would seem newer than they are.
    """
    if epoch is None:
        return None
    start, _ = _NAME.unpack(epoch) if len(epoch) == _NAME.size else (_LAST, None)
    if not start < int(number) <= _LAST:
        raise ValueError("another count")
    return Ticket(bytes(epoch), int(number), at)


def _ticket_of(found: bytes | None) -> Ticket | None:
    """What a copy was kept with; None for what is no copy."""
    if found is None or len(found) < _HEADER.size:
        return None
    ticket = Ticket(*_HEADER.unpack(found[:_HEADER.size]))
    return ticket if math.isfinite(ticket.at) else None
