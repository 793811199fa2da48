"""The cache as a Nameko extension; apart from it, so that the gateway need not load eventlet."""

import os

from nameko.extensions import DependencyProvider

from config.cache import Cache
from config.cache_shelf import shelf_beside
from config.encryption import Vault
from config.redis_client import redis_client
from config.redis_lines import RedisLines
from config.redis_trip import Trips


class Copies:
    """What a service does about the copies that others keep."""

    def __init__(self, cache: Cache, trips: Trips) -> None:
        self.changed = cache.changed
        self._cache = cache
        self._trips = trips

    def renew(self) -> None:
        """Vouch for them: whoever does so hears of every change."""
        self._trips.ask(self._cache.renewal(candidate=os.urandom(8)))


class CopiesOf(DependencyProvider):
    """Gives a service the :class:`Copies` that are kept under ``name``."""

    def __init__(self, name: str) -> None:
        self.name = name

    copies: Copies

    def setup(self) -> None:
        config = self.container.config
        vault = Vault(config["DATA_KEYS"], config["INDEX_KEYS"], self.name)
        address = config["REDIS_URL"]
        trips = Trips(
            RedisLines(redis_client(address, config["TLS_CA_FILE"])) if address else None
        )
        shelf = None if address else shelf_beside(config["DATA_DIR"])
        self.copies = Copies(Cache(vault, trips, shelf=shelf), trips)

    def get_dependency(self, worker_ctx: object) -> Copies:
        return self.copies
