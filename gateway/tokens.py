"""Access and refresh tokens: signed, with a purpose and an age, and nothing in them but ids."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from itsdangerous import BadData

from config.keys import KeyRing
from config.signing import Signer
from schemas.errors import Unauthenticated

LONGEST = 512
# Each request of a caller brings the same one, of some hundred bytes.
REMEMBERED = 2000


@dataclass(frozen=True)
class Pair:
    """What a client gets: ``access`` to call with, ``refresh`` to get the next pair with, once."""

    access: str
    refresh: str
    expires_in: int


@dataclass(frozen=True)
class Claims:
    """Which session an access token is of, and whose; neither need still be there."""

    session_id: str
    account_id: int


class Tokens:
    """A token of one purpose is no token of the other: each has its own keys and salt."""

    def __init__(self, ring: KeyRing, *, access: timedelta, refresh: timedelta) -> None:
        self._access_age, self._refresh_age = access, refresh
        self._access = Signer(ring, "token/access", remembered=REMEMBERED)
        self._refresh = Signer(ring, "token/refresh")

    def issue(self, session_id: str, *, account_id: int, refreshes: int) -> Pair:
        return Pair(
            access=self._access.sign([session_id, account_id]),
            refresh=self._refresh.sign([session_id, refreshes]),
            expires_in=int(self._access_age.total_seconds()),
        )

    def claims_of_access(self, token: str) -> Claims:
        """:raises Unauthenticated: when it is not ours, not for access, or too old."""
        try:
            session_id, account_id = _load(self._access, token, self._access_age)
            return Claims(str(session_id), int(account_id))
        except (TypeError, ValueError) as older:
            # Of a version that signed something else; a refresh gives one of ours.
            raise Unauthenticated() from older

    def session_of_refresh(self, token: str) -> tuple[str, int]:
        """Its session, and which of that session's refresh tokens it is.

        :raises Unauthenticated: when it is not ours, not for refreshing, or too old.
        """
        session_id, number = _load(self._refresh, token, self._refresh_age)
        return str(session_id), int(number)


def _load(signer: Signer, token: str, age: timedelta) -> Any:
    # No token of ours is that long; checking a signature costs the more the longer the text is.
    if len(token) > LONGEST:
        raise Unauthenticated()
    try:
        return signer.read(token, longest=age)
    except BadData as refused:
        raise Unauthenticated() from refused
