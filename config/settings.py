"""Every setting, read once. The only reader of the environment."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import phonenumbers
from environs import Env, EnvError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

EMBEDDED_BROKER = "memory://localhost/"
SERVERS = ("AMQP_URI", "DATABASE_URL", "REDIS_URL")


@dataclass(frozen=True)
class Variable:
    """An environment variable, as the table of settings shows it."""

    name: str
    default: Any
    meaning: str


VARIABLES = (
    Variable("PORT", 8000, "where the gateway listens"),
    Variable("HOST", "127.0.0.1", "on which address; `0.0.0.0` inside a container"),
    Variable("DATA_DIR", ".data", "databases of the embedded mode; servers of `make stack`"),
    Variable("AMQP_URI", "", "RabbitMQ, `amqp://user:password@host:5672/vhost`; real mode only"),
    Variable(
        "DATABASE_URL",
        "",
        "MySQL or MariaDB, `mysql+pymysql://user:password@host:3306/clinic`; each service's "
        "database is named after this one, `clinic_<service>`; real mode only",
    ),
    Variable("REDIS_URL", "", "Redis, `redis://:password@host:6379/0`; real mode only"),
    Variable("CLINIC_TIMEZONE", "UTC", "IANA time zone of records that name none"),
    Variable("PHONE_REGION", "", "region of national phone numbers, such as `GB`; none: refused"),
    Variable("CALL_SECONDS", 5.0, "deadline of a request, from the gateway to the last service"),
    Variable("PEER_SECONDS", 2.0, "deadline of one service asking another, within the former"),
    Variable("GATEWAY_WORKERS", 2, "gunicorn processes"),
    Variable("SERVICE_WORKERS", 10, "calls that a service process works on at once"),
    Variable("LOG_FORMAT", "json", "`json` or `text`; `make run` and `make stack` print text"),
    Variable("LOG_LEVEL", "INFO", "`DEBUG`, `INFO`, `WARNING` or `ERROR`"),
)
DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


class SettingsError(Exception):
    """The settings do not allow a start; the text says which one and what it should be."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``amqp_uri``, ``database_url`` and ``redis_url`` are empty in embedded mode."""

    host: str
    port: int
    data_dir: Path
    amqp_uri: str
    database_url: str
    redis_url: str
    clinic_timezone: str
    phone_region: str | None
    log_format: str
    log_level: str
    gateway_workers: int
    service_workers: int
    call_seconds: float
    peer_seconds: float

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
        url = make_url(self.database_url)
        return url.set(database=f"{url.database or 'clinic'}_{name}")


def table() -> str:
    """Every setting as a Markdown table."""
    rows = [f"| `{each.name}` | {_shown(each.default)} | {each.meaning} |" for each in VARIABLES]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def _shown(default: object) -> str:
    return f"`{default}`" if default != "" else ""


def embedded_settings() -> Settings:
    """Settings of the embedded mode: no server is named, and none of theirs is looked at."""
    return _read(Env(), dict.fromkeys(SERVERS, "") | {"AMQP_URI": EMBEDDED_BROKER})


def real_settings() -> Settings:
    """:raises SettingsError: naming the server addresses that are missing or unusable."""
    return _real(Env())


def beside_stack() -> Settings:
    """As ``real_settings``; addresses that are not set are those of the stack that runs here."""
    env = Env()
    env.read_env(stack_file(Path(env.str("DATA_DIR", DEFAULTS["DATA_DIR"]))), recurse=False)
    return _real(env)


def _real(env: Env) -> Settings:
    addresses = {name: env.str(name, "") for name in SERVERS}
    missing = [name for name, address in addresses.items() if not address]
    if missing:
        raise SettingsError(f"{_listed(missing)} must be set; `make run` needs none of them.")
    _check_addresses(addresses)
    return _read(env, addresses)


def local_settings() -> Settings:
    """Settings for the stack that starts the servers whose address is not set.

    :raises SettingsError: naming an address that is set and unusable.
    """
    env = Env()
    addresses = {name: env.str(name, "") for name in SERVERS}
    _check_addresses(addresses)
    return _read(env, addresses)


def environment() -> dict[str, str]:
    """The whole environment, for programs that are started from here."""
    return dict(os.environ)


def stack_file(data_dir: Path) -> Path:
    """Where a running stack keeps its servers' addresses, for a shell beside it."""
    return data_dir / "stack.env"


def _read(env: Env, addresses: dict[str, str]) -> Settings:
    try:
        settings = Settings(
            host=env.str("HOST", DEFAULTS["HOST"]),
            port=env.int("PORT", DEFAULTS["PORT"]),
            data_dir=Path(env.str("DATA_DIR", DEFAULTS["DATA_DIR"])),
            amqp_uri=addresses["AMQP_URI"],
            database_url=addresses["DATABASE_URL"],
            redis_url=addresses["REDIS_URL"],
            clinic_timezone=env.str("CLINIC_TIMEZONE", DEFAULTS["CLINIC_TIMEZONE"]),
            phone_region=env.str("PHONE_REGION", DEFAULTS["PHONE_REGION"]) or None,
            log_format=env.str("LOG_FORMAT", DEFAULTS["LOG_FORMAT"]),
            log_level=env.str("LOG_LEVEL", DEFAULTS["LOG_LEVEL"]).upper(),
            gateway_workers=env.int("GATEWAY_WORKERS", DEFAULTS["GATEWAY_WORKERS"]),
            service_workers=env.int("SERVICE_WORKERS", DEFAULTS["SERVICE_WORKERS"]),
            call_seconds=env.float("CALL_SECONDS", DEFAULTS["CALL_SECONDS"]),
            peer_seconds=env.float("PEER_SECONDS", DEFAULTS["PEER_SECONDS"]),
        )
    except (EnvError, ValueError) as refused:
        raise SettingsError(f"{str(refused).rstrip('.')}.") from refused
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if not 1 <= settings.port <= 65535:
        raise SettingsError("PORT must be between 1 and 65535.")
    if not settings.host:
        raise SettingsError("HOST must be an address, such as 127.0.0.1 or 0.0.0.0.")
    if settings.clinic_timezone not in available_timezones():
        raise SettingsError("CLINIC_TIMEZONE must be an IANA time zone such as Europe/Berlin.")
    if settings.phone_region not in (None, *phonenumbers.SUPPORTED_REGIONS):
        raise SettingsError("PHONE_REGION must be a region code such as GB or US.")
    if settings.log_format not in ("json", "text"):
        raise SettingsError("LOG_FORMAT must be json or text.")
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsError("LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR.")
    for name in ("gateway_workers", "service_workers", "call_seconds", "peer_seconds"):
        if getattr(settings, name) <= 0:
            raise SettingsError(f"{name.upper()} must be above 0.")


def _check_addresses(addresses: dict[str, str]) -> None:
    """Those that are set; the texts show what they should look like, never what they are."""
    amqp, database, redis = (addresses[name] for name in SERVERS)
    if amqp and not amqp.startswith(("amqp://", "amqps://")):
        raise SettingsError("AMQP_URI must look like amqp://user:password@host:5672/vhost.")
    if redis and not redis.startswith(("redis://", "rediss://")):
        raise SettingsError("REDIS_URL must look like redis://:password@host:6379/0.")
    if database:
        _check_database(database)


def _check_database(address: str) -> None:
    try:
        driver = make_url(address).drivername
    except (ArgumentError, ValueError):
        driver = ""
    if driver != "mysql+pymysql":
        raise SettingsError(
            "DATABASE_URL must look like mysql+pymysql://user:password@host:3306/clinic."
        )


def _listed(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
