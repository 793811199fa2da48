"""Which records the gateway keeps copies of, and what changes them.

Not appointments: their descriptions change without an event.
"""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

from config.cache import Look, Place, Ticket
from config.encryption import Vault
from schemas.errors import SchedulingError, Unavailable

# What they are kept and sealed under, beside what others keep in Redis.
CACHE = "gateway-copies"


@dataclass(frozen=True)
class Kind:
    """What ``service.method`` answers; outdated by what raises ``floor``, of one record or all."""

    service: str
    method: str
    floor: str


KINDS: Mapping[str, Kind] = {
    "patient": Kind("patient", "get", "patient/{}"),
    "doctor": Kind("doctor", "get", "doctor/{}"),
    "schedule": Kind("doctor", "get_schedule", "doctor/{}"),
    "doctors": Kind("doctor", "find", "doctors"),
}
Changes = Mapping[tuple[str, str], tuple[str, ...]]
# Of each change, what it raises; by the methods that services are asked for it with ...
CHANGES: Changes = {
    ("patient", "update"): ("patient/{}",),
    ("patient", "erase"): ("patient/{}",),
    ("doctor", "create"): ("doctors",),
    ("doctor", "update"): ("doctor/{}", "doctors"),
    ("doctor", "set_schedule"): ("doctor/{}", "doctors"),
}
# ... and by the events that tell of it.
EVENTS: Changes = {
    ("patient", "updated"): ("patient/{}",),
    ("patient", "erased"): ("patient/{}",),
    ("doctor", "registered"): ("doctors",),
    ("doctor", "updated"): ("doctor/{}", "doctors"),
    ("doctor", "schedule_changed"): ("doctor/{}", "doctors"),
}
# What bookings are judged by: of these, too, the client who has changed it sees no older state.
TIMETABLES = frozenset(("update", "set_schedule", "add_time_off", "remove_time_off"))
# What is known of a session hangs on its account.
ACCOUNT = "account/{}"


def floors(changes: Changes, service: str, name: str, *args: Any) -> list[str]:
    """What the change ``name`` of the record ``args[0]`` raises; nothing when it outdates none."""
    return [floor.format(*args) for floor in changes.get((service, name), ())]


def record_place(kind: str, record_id: int) -> Place:
    return Place(f"{kind}/{record_id}", (KINDS[kind].floor.format(record_id),))


def list_place(kind: str, asked: tuple[Any, ...], vault: Vault) -> Place:
    """:param asked: may hold names, so it shows as a digest."""
    return Place(f"{kind}/{vault.index('copies', json.dumps(asked))}", (KINDS[kind].floor,))


def session_place(session_id: str, account_id: int, vault: Vault) -> Place:
    """:param session_id: with a key to sign, it would open the session; so it shows as a digest."""
    digest = vault.index("session-copy", session_id)
    return Place(f"session/{digest}", (ACCOUNT.format(account_id),))


class Lost(Exception):
    """Who read for the others got no answer."""


@dataclass
class _Flight:
    ticket: Ticket | None
    landed: "Future[Any]" = field(default_factory=Future)
    # The one that those join who waited for it in vain.
    after: "_Flight | None" = None


class Flights:
    """The reads that are under way in this process. Who looked after the last change, as the one
    who reads did, may wait for it instead of asking again."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Flight] = {}
        self._lock = Lock()

    def read(self, look: Look, ask: Callable[[], Any], *, seconds: float) -> Any:
        """What ``ask`` returns or raises, now or for somebody else meanwhile; where nobody answered
        them, it is asked again, by one of those who waited."""
        until = time.monotonic() + seconds
        own = _Flight(look.ticket)
        flight = self._under_way.setdefault(look.place.name, own)
        while flight is not own and look.covers(flight.ticket):
            try:
                return flight.landed.result(until - time.monotonic())
            except Lost:
                flight = self._after(flight, look, own)
            except TimeoutError:
                break
        return self._read(look, ask, own)

    def _after(self, lost: _Flight, look: Look, own: _Flight) -> _Flight:
        """The first who hears of it goes; who hears late may find that it has landed already."""
        with self._lock:
            lost.after = lost.after or self._under_way.setdefault(look.place.name, own)
            return lost.after

    def _read(self, look: Look, ask: Callable[[], Any], own: _Flight) -> Any:
        name = look.place.name
        self._under_way[name] = own
        outcome: Callable[[], None] = partial(own.landed.set_exception, Lost())
        try:
            found = ask()
            outcome = partial(own.landed.set_result, found)
            return found
        except Unavailable:
            raise
        except SchedulingError as refusal:
            outcome = partial(own.landed.set_exception, refusal)
            raise
        finally:
            if self._under_way.get(name) is own:
                del self._under_way[name]
            outcome()
