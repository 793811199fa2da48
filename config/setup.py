"""A user on the broker and one in the databases for each program, with the rights it needs."""

import hashlib
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from config.broker_layout import prepare_broker
from config.broker_users import BrokerAdmin, SetupRefused, broker_admin, vhost_of
from config.database import connect, error_number
from config.database_users import make_user
from config.environments import keep
from config.programs import catalogue
from config.rights import Rights, all_rights
from config.settings import Settings
from config.tls import database_address

# MySQL's limit.
LONGEST_NAME = 32


@dataclass(frozen=True)
class _Installation:
    """``prefix``, the database's name, begins the name of everything that is this one's."""

    settings: Settings
    prefix: str
    broker: BrokerAdmin
    databases: Connection

    def addresses(self, program: str, rights: Rights) -> dict[str, str]:
        """Those that ``program`` is to be started with, from now on."""
        name, password = user_name(self.prefix, program), new_password()
        self.broker.make(name, password, rights.broker)
        addresses = {"AMQP_URI": _as_user(self.settings.amqp_uri, name, password)}
        if rights.databases:
            password = new_password()
            privileges = {f"{self.prefix}_{each}": may for each, may in rights.databases.items()}
            make_user(self.databases, name, password, privileges)
            addresses["DATABASE_URL"] = _as_user(self.settings.database_url, name, password)
        return addresses


def set_up(settings: Settings, folder: Path, *, tell: Callable[[str], None]) -> list[Path]:
    """Prepare the broker, make or renew every user, and write their addresses to ``folder``.

    Those of each program are in ``<program>.env``. Passwords are new each time. Whoever is
    connected stays connected; programs must be started again with the new file before they can
    connect anew.

    :raises SetupRefused: then some users may have been renewed already, and it can be run again;
        none has where ``folder`` cannot be written.
    """
    _check_writable(folder)
    admin = database_address(make_url(settings.database_url), settings.tls_ca_file)
    vhost, ca_file = vhost_of(settings.amqp_uri), settings.tls_ca_file
    retries = settings.event_retry_seconds
    with (
        broker_admin(settings.amqp_admin_url, vhost=vhost, ca_file=ca_file) as broker,
        _administrator(admin) as databases,
    ):
        installation = _Installation(settings, admin.database or "clinic", broker, databases)
        # What the users may not declare themselves is there before them.
        prepare_broker(catalogue(), settings, tell=tell)
        return [
            _write(folder, program, installation.addresses(program, rights))
            for program, rights in all_rights(catalogue(), retries).items()
        ]


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as refused:
        raise SetupRefused(
            f"--into: the folder {folder} cannot be written ({refused.strerror}). Name one that "
            "can; no user was changed."
        ) from refused


@contextmanager
def _administrator(url: URL) -> Iterator[Connection]:
    """:raises SetupRefused: when the server does, then or later."""
    engine = connect(url.set(database="").render_as_string(hide_password=False))
    try:
        with engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")
    except DBAPIError as refused:
        raise SetupRefused(
            f"DATABASE_URL: the server at {url.host}:{url.port or 3306} makes no users (error "
            f"{error_number(refused)}): is it up, and may this user create users and grant rights?"
        ) from refused
    finally:
        engine.dispose()


def user_name(prefix: str, program: str) -> str:
    """Installations that share a server have databases, and so users, of different names."""
    name = f"{prefix}_{program}".replace("-", "_")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def new_password() -> str:
    """Random; its end is for servers that want a character of each kind."""
    return f"{secrets.token_urlsafe(32)}-aA1"


def _as_user(uri: str, name: str, password: str) -> str:
    """``uri`` for somebody else; the password needs no quoting."""
    parts = urlsplit(uri)
    server = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(name, safe='')}:{password}@{server}").geturl()


def _write(folder: Path, program: str, addresses: Mapping[str, str]) -> Path:
    file = folder / f"{program}.env"
    keep(file, addresses)
    return file
