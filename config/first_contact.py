"""Before a program starts: does each of its servers let it in, with the rights it needs?

The libraries try again for ever, whatever the reason, and do not tell it. So a refusal ends the
start here. A server that is not up yet is left to them: it is only told of.
"""

import logging
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from urllib.parse import urlsplit

from amqp.exceptions import AccessRefused, NotAllowed, NotFound
from kombu import Connection, Exchange, Queue
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from sqlalchemy.exc import DBAPIError

from config.broker_layout import own_queues
from config.broker_rights import BrokerRights
from config.database import error_number
from config.messaging.connection import BROKEN, let_go, open_connection
from config.migration import is_migrated
from config.preflight import DEFAULT_PORTS, StartRefused
from config.programs import GATEWAY, catalogue
from config.redis_client import redis_client
from config.rights import own_rights
from config.settings import Settings

_log = logging.getLogger("start")

BROKER_SECONDS = 3.0
# MySQL's numbers for a database that is denied, a login, a table, and the client's own address.
DENIED = (1044, 1045, 1142, 1130)
NO_SUCH_DATABASE = 1049

ITS_FILE = "Start {} with the addresses that `clinic setup` wrote last for it, and with no other's."
NO_TOPOLOGY = (
    "AMQP_URI: the broker at {} is not prepared ({}): run `clinic topology` first, with the same "
    "EVENT_RETRY_SECONDS."
)
NOT_MIGRATED = "DATABASE_URL: {} at {} is not migrated: run `clinic migrate` first."


def make_contact(settings: Settings, program: str) -> None:
    """:raises StartRefused: naming the server that refuses, and whom; never a password."""
    rights = own_rights(program, settings.event_retry_seconds)
    _try("AMQP_URI", settings.amqp_uri, lambda: _broker(settings, program, rights.broker))
    _try(
        "DATABASE_URL",
        settings.database_url,
        lambda: _databases(settings, program, rights.databases),
    )
    if program == GATEWAY:
        _try("REDIS_URL", settings.redis_url, lambda: _redis(settings))


def _try(name: str, address: str, contact: Callable[[], None]) -> None:
    try:
        contact()
    except (*BROKEN, DBAPIError, RedisError) as failure:
        fields = {
            "setting": name,
            "server": _where(name, address),
            "error": type(failure).__name__,
            "number": error_number(failure),
        }
        _log.warning("server does not answer yet; it is waited for", extra=fields)


def _broker(settings: Settings, program: str, rights: BrokerRights) -> None:
    refused = partial(_refused, "AMQP_URI", settings.amqp_uri, advice=ITS_FILE.format(program))
    try:
        connection = open_connection(
            settings.amqp_uri, seconds=BROKER_SECONDS, ca_file=settings.tls_ca_file
        )
    except AccessRefused:
        raise refused("at the login") from None
    except NotAllowed:
        raise refused("its virtual host") from None
    try:
        _declare(connection, rights, _queues(settings, program))
    except AccessRefused:
        raise refused(f"what {program} needs to do there") from None
    except NotFound as missing:
        where = _where("AMQP_URI", settings.amqp_uri)
        raise StartRefused(NO_TOPOLOGY.format(where, missing.reply_text)) from None
    finally:
        let_go(connection)


def _queues(settings: Settings, program: str) -> tuple[Queue, ...]:
    if program == GATEWAY:
        # One of its own, gone with the connection, as it has for the answers to its calls.
        name = f"rpc.reply-{uuid.uuid4().hex}"
        return (Queue(name, exclusive=True, auto_delete=True, durable=False),)
    return own_queues(catalogue().program(program), settings)


def _declare(connection: Connection, rights: BrokerRights, queues: Iterable[Queue]) -> None:
    """As the program will itself; there is always something that the others may not.

    What it may not declare must be there: without it, what fails could not be put aside.
    """
    for name in rights.exchanges:
        found = name not in rights.declared
        Exchange(name, type="topic", durable=True)(connection.default_channel).declare(
            passive=found
        )
    for queue in queues:
        queue(connection.default_channel).declare()


def _databases(settings: Settings, program: str, names: Iterable[str]) -> None:
    for name in names:
        url = settings.database(name)
        try:
            migrated = is_migrated(scripts=catalogue().databases[name], url=url)
        except DBAPIError as failure:
            number = error_number(failure)
            if number not in (*DENIED, NO_SUCH_DATABASE):
                raise
            migrated = False
            if number in DENIED:
                what, advice = f"the database {url.database}", ITS_FILE.format(program)
                address = settings.database_url
                raise _refused("DATABASE_URL", address, what, advice=advice) from None
        if not migrated:
            where = _where("DATABASE_URL", settings.database_url)
            raise StartRefused(NOT_MIGRATED.format(url.database, where))


def _redis(settings: Settings) -> None:
    client = redis_client(settings.redis_url, settings.tls_ca_file)
    try:
        client.ping()
    except (AuthenticationError, NoPermissionError):
        advice = "Look at user and password in the address."
        raise _refused("REDIS_URL", settings.redis_url, "at the login", advice=advice) from None
    finally:
        client.close()


def _refused(name: str, address: str, what: str, *, advice: str) -> StartRefused:
    user = urlsplit(address).username or "default"
    where = _where(name, address)
    return StartRefused(f"{name}: the server at {where} refuses {user} {what}. {advice}")


def _where(name: str, address: str) -> str:
    server = urlsplit(address)
    return f"{server.hostname}:{server.port or DEFAULT_PORTS[name]}"
