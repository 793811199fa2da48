"""Records as they are: from a copy that nothing has changed since, or else from their service.

Where the service cannot be asked, an older copy is shown for what it is.
"""

from typing import Any

from config.cache import Copy, Look, Place
from config.encryption import Unreadable
from config.messaging.call import DeadlineExceeded
from gateway.cache import KINDS, Kind, list_place, record_place
from gateway.visit import Visit
from schemas.errors import Unavailable


def read(visit: Visit, kind: str, record_id: int) -> dict[str, Any]:
    """:raises NotFound, Unavailable:"""
    return _read(visit, kind, record_place(kind, record_id), (record_id,))


def read_list(visit: Visit, kind: str, *asked: Any) -> dict[str, Any]:
    """:raises InvalidInput, Unavailable:"""
    return _read(visit, kind, list_place(kind, asked, visit.office.vault), asked)


def _read(visit: Visit, kind: str, place: Place, asked: tuple[Any, ...]) -> dict[str, Any]:
    look = visit.looks.get(place.name) or _look(visit, place)
    known = _opened(look.copy) if look.copy and look.copy.current else None
    # While a service is left alone, one at a time finds out whether it is back; the others are told
    # at once that what they are shown is a copy.
    if known is None or _left_alone(visit, KINDS[kind]):
        return _asked(visit, kind, look, asked)
    return known


def _asked(visit: Visit, kind: str, look: Look, asked: tuple[Any, ...]) -> dict[str, Any]:
    """Of its service; an older copy, for what it is, when that does not answer."""

    def ask() -> dict[str, Any]:
        found: dict[str, Any] = visit.ask(KINDS[kind].service, KINDS[kind].method, *asked).result()
        visit.office.cache.keep(look, found)
        return found

    try:
        return dict(visit.office.flights.read(look, ask, seconds=visit.seconds_left))
    except (Unavailable, DeadlineExceeded):
        outdated = _opened(look.copy)
        if outdated is None:
            raise
        visit.outdated = look.copy
        return outdated


def _look(visit: Visit, place: Place) -> Look:
    ((look,),) = visit.office.trips.ask(visit.office.cache.look(place))
    return look


def _left_alone(visit: Visit, kind: Kind) -> bool:
    breakers = visit.office.pools.calls.breakers
    return f"{kind.service}.{kind.method}" in breakers.states()


def _opened(copy: Copy | None) -> dict[str, Any] | None:
    try:
        return dict(copy.value) if copy else None
    except Unreadable:
        # Sealed with a key that is gone, or not here: as good as none.
        return None
