"""The keys of a ring in the order in which itsdangerous wants them."""

from functools import cache

from config.keys import KeyRing


@cache
def signing_keys(ring: KeyRing, purpose: str) -> list[bytes]:
    """Oldest first: the last one signs, all of them verify."""
    return [ring.derive(purpose, key_id) for key_id in reversed(ring.ids)]
