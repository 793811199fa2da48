"""Every setting, read once. The only reader of the environment."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from environs import Env, EnvError
from sqlalchemy.engine import URL, make_url

from config.keys import KEYS_FILE, Keys, kept
from config.settings_checks import (
    SHORTEST_PASSWORD,
    YEAR,
    check_addresses,
    check_certificates,
    checked_keys,
    event_retries,
    listed,
    reminders,
)
from config.tls import database_address
from config.variables import (
    ADMINISTRATION,
    DEFAULTS,
    KEYS,
    SERVERS,
    SERVICE_KEYS,
    STORE_KEYS,
    VARIABLES,
    SettingsError,
    Variable,
    table,
)

__all__ = [
    "KEYS", "SERVERS", "SERVICE_KEYS", "STORE_KEYS", "VARIABLES", "Settings", "SettingsError",
    "beside_stack", "database_settings", "embedded_settings", "environment", "local_settings",
    "real_settings", "setup_settings", "stack_file", "table", "topology_settings",
    "with_kept_keys", "with_keys",
]

EMBEDDED_BROKER = "memory://localhost/"
ABSENT_WHEN_EMPTY = ("phone_region", "tls_ca_file", "admin_email", "admin_password")
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]+)?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``amqp_uri``, ``database_url`` and ``redis_url`` are empty in embedded mode."""

    host: str
    port: int
    data_dir: Path
    # With the servers' passwords.
    amqp_uri: str = field(repr=False)
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    clinic_timezone: str
    phone_region: str | None
    log_format: str
    log_level: str
    gateway_workers: int
    service_workers: int
    call_seconds: float
    peer_seconds: float
    amqp_admin_url: str = field(default="", repr=False)
    tls_ca_file: str | None = None
    keys: Keys = Keys()
    admin_email: str | None = field(default=None, repr=False)
    admin_password: str | None = field(default=None, repr=False)
    access_minutes: int = 15
    session_days: int = 14
    rate_limit_per_minute: int = 600
    auth_rate_limit_per_minute: int = 20
    cancel_notice_minutes: int = 1440
    # The longest first.
    reminder_minutes: tuple[int, ...] = (1440, 120)
    # The shortest first.
    event_retry_seconds: tuple[int, ...] = (5, 30, 300)
    event_days: int = 30
    queue_type: str = "classic"
    operations_port: int = 0
    trust_local_servers: bool = False
    trusted_proxies: int = 0
    cors_origins: frozenset[str] = frozenset()

    @property
    def readable_logs(self) -> bool:
        return self.log_format == "text"

    @property
    def embedded(self) -> bool:
        return self.amqp_uri == EMBEDDED_BROKER

    def database(self, name: str) -> URL:
        """Each service has a database of its own: ``<that of DATABASE_URL, or clinic>_<name>``."""
        if self.embedded:
            return URL.create("sqlite", database=str(self.data_dir / f"{name}.sqlite3"))
        url = database_address(make_url(self.database_url), self.tls_ca_file)
        return url.set(database=f"{url.database or 'clinic'}_{name}")


def embedded_settings() -> Settings:
    """Settings of the embedded mode: no server is named, and none of theirs is looked at.

    Its keys are not set but kept beside the data; see ``with_keys``.
    """
    return _read(Env(), dict.fromkeys(SERVERS, "") | {"AMQP_URI": EMBEDDED_BROKER})


def with_keys(settings: Settings, rings: Mapping[str, str]) -> Settings:
    """``settings`` with the key rings ``rings``, by the names of their variables.

    :raises SettingsError: naming the one that cannot be used.
    """
    return replace(settings, keys=checked_keys(rings))


def with_kept_keys(settings: Settings) -> Settings:
    """``settings`` with the keys beside the data, made when first asked for.

    :raises SettingsError: when they cannot be used, or were lost.
    """
    return with_keys(settings, kept(settings.data_dir / KEYS_FILE, KEYS))


def real_settings(
    *, keys: Iterable[str] = SERVICE_KEYS, servers: Iterable[str] = SERVERS
) -> Settings:
    """:raises SettingsError: naming the addresses and key rings that are missing or unusable.

    :param keys: the rings without which this program does not start.
    :param servers: those that it speaks to; the other addresses are not looked at.
    """
    return _real(Env(), keys, servers)


def database_settings(keys: Iterable[str]) -> Settings:
    """For commands on the databases alone, with ``keys``; those of the stack that runs here, unless
    another server is named: one system's keys must never be used on the data of another.
    """
    env = Env()
    folder = Path(env.str("DATA_DIR", DEFAULTS["DATA_DIR"]))
    stack, named = stack_file(folder), env.str("DATABASE_URL", "")
    lines = stack.read_text().splitlines() if stack.is_file() else []
    if lines and (not named or f"DATABASE_URL={named}" in lines):
        env.read_env(stack, recurse=False)
        env.read_env(folder / KEYS_FILE, recurse=False)
    return _real(env, keys, ("DATABASE_URL",))


def beside_stack(servers: Iterable[str] = SERVERS) -> Settings:
    """As ``real_settings``; what is not set is taken from the stack that runs here."""
    env = Env()
    env.read_env(stack_file(Path(env.str("DATA_DIR", DEFAULTS["DATA_DIR"]))), recurse=False)
    return _real(env, keys=(), servers=servers)


def _real(env: Env, keys: Iterable[str], servers: Iterable[str] = SERVERS) -> Settings:
    addresses = {name: env.str(name, "") for name in servers}
    missing = [name for name, address in addresses.items() if not address]
    if missing:
        raise SettingsError(f"{listed(missing)} must be set; `make run` needs none of them.")
    unset = [name for name in keys if not env.str(name, "")]
    if unset:
        raise SettingsError(f"{listed(unset)} must be set; `clinic keys` makes some.")
    check_addresses(addresses, trust_local=_trust_local(env))
    settings = _read(env, dict.fromkeys(SERVERS, "") | addresses)
    return with_keys(settings, {name: env.str(name, "") for name in KEYS})


def local_settings() -> Settings:
    """Settings for the stack that starts the servers whose address is not set.

    :raises SettingsError: naming an address that is set and unusable.
    """
    env = Env()
    addresses = {name: env.str(name, "") for name in {*SERVERS, *ADMINISTRATION}}
    check_addresses(addresses, trust_local=_trust_local(env))
    return _read(env, addresses)


def setup_settings() -> Settings:
    """For who makes the programs' users, and needs neither their keys nor Redis.

    :raises SettingsError: naming what is missing or unusable.
    """
    env = Env()
    addresses = {name: env.str(name, "") for name in ADMINISTRATION}
    missing = [name for name, address in addresses.items() if not address]
    if missing:
        raise SettingsError(f"{listed(missing)} must be set, for an administrator.")
    check_addresses(addresses, trust_local=_trust_local(env))
    return _read(env, addresses | {"REDIS_URL": ""})


def topology_settings() -> Settings:
    """For who declares what is on the broker; AMQP_ADMIN_URL may be left out.

    :raises SettingsError: naming what is missing or unusable.
    """
    env = Env()
    addresses = {name: env.str(name, "") for name in ("AMQP_URI", "AMQP_ADMIN_URL")}
    if not addresses["AMQP_URI"]:
        raise SettingsError("AMQP_URI must be set, for an administrator.")
    check_addresses(addresses, trust_local=_trust_local(env))
    return _read(env, dict.fromkeys(SERVERS, "") | addresses)


def _trust_local(env: Env) -> bool:
    name = "TRUST_LOCAL_SERVERS"
    try:
        return bool(env.bool(name, DEFAULTS[name]))
    except (EnvError, ValueError) as refused:
        raise SettingsError(f"{name} must be true or false.") from refused


def environment() -> dict[str, str]:
    """The whole environment, for programs that are started from here."""
    return dict(os.environ)


def stack_file(data_dir: Path) -> Path:
    """Where a running stack keeps its servers' addresses, for a shell beside it."""
    return data_dir / "stack.env"


def _read(env: Env, addresses: Mapping[str, str]) -> Settings:
    try:
        values = {
            each.name.lower(): _value(env, each)
            for each in VARIABLES
            if each.name not in (*SERVERS, *KEYS)
        }
    except (EnvError, ValueError) as refused:
        raise SettingsError(f"{str(refused).rstrip('.')}.") from refused
    values |= {name.lower(): address for name, address in addresses.items()}
    for name in ABSENT_WHEN_EMPTY:
        values[name] = values[name] or None
    values["data_dir"] = Path(values["data_dir"])
    values["log_level"] = values["log_level"].upper()
    values["cors_origins"] = frozenset(
        origin.strip() for origin in values["cors_origins"].split(",") if origin.strip()
    )
    values["reminder_minutes"] = reminders(values["reminder_minutes"])
    values["event_retry_seconds"] = event_retries(values["event_retry_seconds"])
    settings = Settings(**values)
    _check(settings)
    return settings


def _value(env: Env, variable: Variable) -> Any:
    """What is set, of the default's type; no number is below 0, nor 0 unless that is allowed."""
    read: dict[type, Callable[..., Any]] = {
        bool: env.bool, int: env.int, float: env.float, str: env.str
    }
    value = read[type(variable.default)](variable.name, variable.default)
    allowed = value == variable.default or (variable.zero and value == 0)
    if isinstance(value, int | float) and value <= 0 and not allowed:
        least = "above 0" if variable.default and not variable.zero else "0 or above"
        raise SettingsError(f"{variable.name} must be {least}.")
    return value


def _check(settings: Settings) -> None:
    if not 1 <= settings.port <= 65535:
        raise SettingsError("PORT must be between 1 and 65535.")
    if not settings.host:
        raise SettingsError("HOST must be an address, such as 127.0.0.1 or 0.0.0.0.")
    # These two mean whatever the machine takes them for.
    if settings.clinic_timezone not in available_timezones() - {"localtime", "Factory"}:
        raise SettingsError("CLINIC_TIMEZONE must be an IANA time zone such as Europe/Berlin.")
    if settings.cancel_notice_minutes > YEAR:
        raise SettingsError(f"CANCEL_NOTICE_MINUTES must be at most {YEAR}, which is a year.")
    if settings.phone_region not in (None, *phonenumbers.SUPPORTED_REGIONS):
        raise SettingsError("PHONE_REGION must be a region code such as GB or US.")
    if settings.queue_type not in ("classic", "quorum"):
        raise SettingsError("QUEUE_TYPE must be classic or quorum.")
    if settings.operations_port > 65535 or settings.operations_port == settings.port:
        raise SettingsError("OPERATIONS_PORT must be 0, or up to 65535 and not that of PORT.")
    if settings.log_format not in ("json", "text"):
        raise SettingsError("LOG_FORMAT must be json or text.")
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsError("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR.")
    _check_security(settings)


def _check_security(settings: Settings) -> None:
    if settings.tls_ca_file:
        check_certificates(settings.tls_ca_file)
    if bool(settings.admin_email) != bool(settings.admin_password):
        raise SettingsError("ADMIN_EMAIL and ADMIN_PASSWORD must be set together.")
    if settings.admin_password and len(settings.admin_password) < SHORTEST_PASSWORD:
        raise SettingsError(f"ADMIN_PASSWORD must have at least {SHORTEST_PASSWORD} characters.")
    for origin in settings.cors_origins:
        if not _ORIGIN.fullmatch(origin):
            raise SettingsError("CORS_ORIGINS must look like https://a.example,https://b.example.")
