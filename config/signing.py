"""Texts that are signed and have an age, with the keys of a ring (itsdangerous)."""

from datetime import timedelta
from functools import cache, lru_cache, partial
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from config.clock import utc_now
from config.keys import KeyRing

# So far apart may the clocks of two machines be: a text may seem to be signed in the future.
CLOCKS_DIFFER = timedelta(seconds=30)


def signing_keys(ring: KeyRing, purpose: str) -> list[bytes]:
    """Oldest first: the last one signs, all of them verify."""
    return [ring.derive(purpose, key_id) for key_id in reversed(ring.ids)]


@cache
def signer(ring: KeyRing, purpose: str) -> "Signer":
    """Made once: each call is signed and checked, and deriving keys takes longest."""
    return Signer(ring, purpose)


class Signer:
    """Signs plain JSON values for one purpose, which is no good for another.

    :param remembered: of how many texts it is remembered that they were verified; for those that
        come again and again.
    """

    def __init__(self, ring: KeyRing, purpose: str, *, remembered: int = 0) -> None:
        self._serializer = URLSafeTimedSerializer(signing_keys(ring, purpose), salt=purpose)
        self._verified = lru_cache(remembered)(
            partial(self._serializer.loads, return_timestamp=True)
        )

    def sign(self, value: Any) -> str:
        return str(self._serializer.dumps(value))

    def read(self, text: str, *, longest: timedelta) -> Any:
        """:raises BadData: unless ``text`` was signed so, at most ``longest`` ago."""
        # Not its own check of the age: that refuses what another clock signed a moment "later".
        value, signed_at = self._verified(text)
        if not -CLOCKS_DIFFER <= utc_now() - signed_at <= longest:
            raise BadData("too old")
        return value
