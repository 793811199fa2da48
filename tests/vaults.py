"""Vaults whose keys last as long as the run."""

from functools import cache

from config.encryption import Vault
from config.keys import KeyRing, new_secret


@cache
def ring(*key_ids: str) -> KeyRing:
    """Equal ids have equal secrets in every ring of the run."""
    return KeyRing(tuple((key_id, _secret(key_id)) for key_id in key_ids))


@cache
def vault_for(database: str, *key_ids: str) -> Vault:
    """:param key_ids: of the data keys, newest first; ``a`` when there are none."""
    return Vault(ring(*(key_ids or ("a",))), ring("index"), database)


@cache
def _secret(key_id: str) -> str:
    return new_secret()
