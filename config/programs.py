"""services.yml, read: which programs there are and what each one needs to run."""

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from config.settings import Settings
from config.tls import broker_options

GATEWAY = "gateway"
# No program, but somebody with rights of their own: who opens `nameko shell`.
OPERATOR = "operator"
# By its path, as Nameko wants it, and loaded by services alone.
CONTAINER = "config.messaging.container.Container"


@dataclass(frozen=True)
class Program:
    """A Nameko service: its class as ``module:Class`` and the name of its database."""

    name: str
    path: str
    database: str

    def service(self) -> Any:
        return load(self.path)


@dataclass(frozen=True)
class Catalogue:
    title: str
    language: str
    databases: dict[str, str]
    programs: tuple[Program, ...]
    gateway_factory: str
    gateway_wsgi: str
    gateway_demo: str
    gateway_check: str
    walkthrough: str
    # By database: the function that lists its own checks, as ``module:name``.
    checks: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Everything that runs as a process of its own."""
        return [*(program.name for program in self.programs), GATEWAY]

    def program(self, name: str) -> Program:
        return next(program for program in self.programs if program.name == name)

    def tables(self, database: str) -> MetaData:
        """Those that the ``models`` beside its migrations declare."""
        package, _, _ = self.databases[database].partition(":")
        models = import_module(f"{package}.models")
        (base,) = (
            each
            for each in vars(models).values()
            if isinstance(each, type) and issubclass(each, DeclarativeBase)
            # Tables are subclasses of that one.
            and DeclarativeBase in each.__bases__
        )
        return base.metadata


@cache
def catalogue() -> Catalogue:
    content = yaml.safe_load(Path(__file__).with_name("services.yml").read_text())
    return Catalogue(
        title=content["title"],
        language=content["language"],
        databases=content["databases"],
        programs=tuple(
            Program(name, entry["class"], entry["database"])
            for name, entry in content["services"].items()
        ),
        gateway_factory=content["gateway"]["factory"],
        gateway_wsgi=content["gateway"]["wsgi"],
        gateway_demo=content["gateway"]["demo"],
        gateway_check=content["gateway"]["check"],
        walkthrough=content["walkthrough"],
        checks=content["checks"],
    )


def load(path: str) -> Any:
    """The object at ``module:name``."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def nameko_config(settings: Settings, programs: tuple[Program, ...]) -> dict[str, Any]:
    """Nameko's configuration for ``programs`` in one process."""
    return {
        "SERVICE_CONTAINER_CLS": CONTAINER,
        "AMQP_URI": settings.amqp_uri,
        "AMQP_SSL": broker_options(settings.amqp_uri, settings.tls_ca_file),
        "TLS_CA_FILE": settings.tls_ca_file,
        "REDIS_URL": settings.redis_url,
        "DATA_DIR": settings.data_dir,
        "DB_URIS": dict(_database_uri(settings, program) for program in programs),
        "DATABASES": {_store_key(program): program.database for program in programs},
        "max_workers": settings.service_workers,
        "CALL_SECONDS": settings.call_seconds,
        "PEER_SECONDS": settings.peer_seconds,
        "CANCEL_NOTICE_MINUTES": settings.cancel_notice_minutes,
        "REMINDER_MINUTES": settings.reminder_minutes,
        "EVENT_RETRY_SECONDS": settings.event_retry_seconds,
        "EVENT_DAYS": settings.event_days,
        "QUEUE_TYPE": settings.queue_type,
        "PHONE_REGION": settings.phone_region,
        "CLINIC_TIMEZONE": settings.clinic_timezone,
        "CALLER_KEYS": settings.keys.caller,
        "DATA_KEYS": settings.keys.data,
        "INDEX_KEYS": settings.keys.index,
        "AUDIT_KEYS": settings.keys.audit,
        "AUDIT_URI": settings.database("audit").render_as_string(hide_password=False),
    }


def _database_uri(settings: Settings, program: Program) -> tuple[str, str]:
    url = settings.database(program.database)
    return _store_key(program), url.render_as_string(hide_password=False)


def _store_key(program: Program) -> str:
    """What nameko-sqlalchemy calls the database of a service."""
    service = program.service()
    return f"{service.name}:{service.store.declarative_base.__name__}"
