"""What one gateway process holds for all its requests: connections, keys, limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event

from limits.storage import RedisStorage
from sqlalchemy.orm import Session, sessionmaker

from config.audit.trail import Trail
from config.cache import Cache
from config.cache_shelf import shelf_beside
from config.database import connect
from config.encryption import VAULT, Vault
from config.redis_client import redis_client
from config.redis_lines import RedisLines
from config.redis_trip import Trips
from config.settings import Settings
from gateway.cache import CACHE, Flights
from gateway.passwords import Passwords
from gateway.rates import Rates
from gateway.rpc import Pools, services_pools
from gateway.throttle import AttemptLimits
from gateway.tokens import Tokens

DATABASE, AUDIT = "gateway", "audit"
CONNECTIONS = 10


class DatabaseSessions:
    """Sessions on one database, as config.database.Transactions wants them."""

    def __init__(self, url: str, *, size: int, vault: Vault | None = None) -> None:
        self._engine = connect(url, pool_size=size)
        # What a transaction has read may be looked at after it.
        self._new = sessionmaker(self._engine, info={VAULT: vault}, expire_on_commit=False)

    @contextmanager
    def get_session(self, *, close_on_exit: bool) -> Iterator[Session]:
        # Not begun for good: what finds its key taken rolls back, and reads on.
        with self._new() as session:
            yield session
            session.commit()

    def close(self) -> None:
        self._engine.dispose()


@dataclass(frozen=True, kw_only=True)
class Office:
    settings: Settings
    pools: Pools
    sessions: DatabaseSessions
    audit_sessions: DatabaseSessions
    vault: Vault
    tokens: Tokens
    passwords: Passwords
    limits: AttemptLimits
    rates: Rates
    trips: Trips
    cache: Cache
    flights: Flights = field(default_factory=Flights)
    trail: Trail
    # Set once there is an administrator, or nobody asked for one.
    settled: Event = field(default_factory=Event)

    def close(self) -> None:
        """Write what waits for the trail, and let go of all connections."""
        self.trail.close()
        self.pools.close()
        for sessions in (self.sessions, self.audit_sessions):
            sessions.close()


def open_office(settings: Settings) -> Office:
    """Nothing connects before it is needed."""
    keys = settings.keys
    vault = Vault(keys.data, keys.index, DATABASE)
    redis = None if settings.embedded else redis_client(settings.redis_url, settings.tls_ca_file)
    trips = Trips(RedisLines(redis) if redis else None)
    own, audit = (
        settings.database(name).render_as_string(hide_password=False) for name in (DATABASE, AUDIT)
    )
    return Office(
        settings=settings,
        pools=services_pools(settings),
        sessions=DatabaseSessions(own, size=CONNECTIONS, vault=vault),
        audit_sessions=DatabaseSessions(audit, size=1),
        vault=vault,
        tokens=Tokens(
            keys.token,
            access=timedelta(minutes=settings.access_minutes),
            refresh=timedelta(days=settings.session_days),
        ),
        passwords=Passwords(),
        limits=AttemptLimits(
            RedisStorage(settings.redis_url, connection_pool=redis.connection_pool)
            if redis else None,
            per_minute=settings.auth_rate_limit_per_minute,
        ),
        rates=Rates(settings),
        trips=trips,
        cache=gateway_cache(settings, trips),
        trail=Trail(audit, keys.audit),
    )


def gateway_cache(settings: Settings, trips: Trips) -> Cache:
    """The copies that all of the gateway's processes share."""
    vault = Vault(settings.keys.data, settings.keys.index, CACHE)
    return Cache(vault, trips, shelf=shelf_beside(settings.data_dir) if settings.embedded else None)
