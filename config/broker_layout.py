"""Everything that is to be on the broker before the programs start, as their classes show it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import AccessRefused, NotAllowed, NotFound, PreconditionFailed
from kombu import Connection, Exchange, Queue

from config.broker_limits import policies
from config.broker_rights import CONSUMERS_QUEUES
from config.broker_users import SetupRefused, broker_admin, vhost_of
from config.entrypoints import RANDOM, answers, event_sources, handlers
from config.messaging.connection import BROKEN, open_connection
from config.messaging.topology import (
    dead_letter_queue,
    dead_letters,
    delay,
    delay_queue,
    event_queue,
    events_of,
    found,
    outbox_wake,
    rpc_exchange,
    rpc_queue,
)
from config.programs import Catalogue, Program
from config.settings import Settings

DECLARE_SECONDS = 5.0

ADMINISTRATOR = "AMQP_URI must name a user that may declare everything, an administrator."
UNLIMITED_QUORUM = (
    "QUEUE_TYPE=quorum needs AMQP_ADMIN_URL, the address of RabbitMQ's management API: without the "
    "limits that are set there, RabbitMQ 4 drops what was delivered 20 times, dead letters too."
)
OTHER_ARGUMENTS = (
    "The queue {} is there with other arguments: an older version, or another QUEUE_TYPE, made it. "
    "Set QUEUE_TYPE as it was; or stop every program, see that the queue is empty, delete it "
    "(`rabbitmqctl delete_queue {}`), and run this again."
)


@dataclass(frozen=True)
class Layout:
    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()


def layout(catalogue: Catalogue, settings: Settings) -> Layout:
    """What the programs of ``catalogue`` need, without the queues of single processes."""
    classes = [program.service() for program in catalogue.programs]
    kind, delays = settings.queue_type, settings.event_retry_seconds
    return Layout(
        exchanges=(
            rpc_exchange(),
            *(events_of(source) for source in _sources(classes)),
            dead_letters(),
            *(delay(seconds) for seconds in delays),
            outbox_wake(),
        ),
        queues=(
            dead_letter_queue(kind),
            *(delay_queue(seconds, kind) for seconds in delays),
            *(rpc_queue(cls.name, kind) for cls in classes if answers(cls)),
            *_event_queues(classes, kind),
        ),
    )


def own_queues(program: Program, settings: Settings) -> tuple[Queue, ...]:
    """Those that only this program may declare, as it does at its start."""
    cls, kind = program.service(), settings.queue_type
    queues = [*([rpc_queue(cls.name, kind)] if answers(cls) else []), *_event_queues([cls], kind)]
    for queue in queues:
        queue.exchange = found(queue.exchange)
    return tuple(queues)


def _sources(classes: Iterable[Any]) -> list[str]:
    """Whose events are told, or waited for."""
    classes = list(classes)
    heard = {handler.source_service for cls in classes for _, handler in handlers(cls)}
    return sorted({*event_sources(classes)} | heard)


def _event_queues(classes: Iterable[Any], queue_type: str) -> list[Queue]:
    named = {
        name: event_queue(
            name, source=handler.source_service, event=handler.event_type, queue_type=queue_type
        )
        for cls in classes
        for name, handler in handlers(cls)
        if RANDOM not in name
    }
    return [named[name] for name in sorted(named)]


def subscription(text: str) -> Queue:
    """The queue of a subscriber that is no program of ours, as kombu and Nameko declare it.

    :param text: ``QUEUE:SOURCE.EVENT``, where the event may be ``*``.
    :raises ValueError: when it has another form, or the queue a name that no subscriber may use.
    """
    name, _, key = text.rpartition(":")
    source, _, event = key.partition(".")
    if not (name and re.fullmatch(r"\w+", source) and re.fullmatch(r"\w+|\*|#", event)):
        raise ValueError("it must look like consumer-billing:appointment.scheduled")
    if not re.fullmatch(CONSUMERS_QUEUES, name):
        raise ValueError("the queue's name must begin with consumer- or be Nameko's of a service "
                         "whose name begins with consumer_")
    # Found there, not made: a subscriber may not, and nothing would ever be published on it.
    return Queue(name, found(events_of(source)), routing_key=event)


def prepare_broker(
    catalogue: Catalogue, settings: Settings, *, tell: Callable[[str], None]
) -> None:
    """Declare everything, and limit the queues where AMQP_ADMIN_URL is set.

    :raises SetupRefused: then it can be run again, once what it names is mended.
    """
    ca_file = settings.tls_ca_file
    if settings.queue_type == "quorum" and not settings.amqp_admin_url:
        raise SetupRefused(UNLIMITED_QUORUM)
    wanted = layout(catalogue, settings)
    declare(wanted, uri=settings.amqp_uri, ca_file=ca_file, tell=tell)
    if not settings.amqp_admin_url:
        tell("no limits: they take AMQP_ADMIN_URL, the address of RabbitMQ's management API")
        return
    vhost = vhost_of(settings.amqp_uri)
    names = [queue.name for queue in wanted.queues]
    with broker_admin(settings.amqp_admin_url, vhost=vhost, ca_file=ca_file) as broker:
        for name, (pattern, limits) in policies(names, settings.queue_type).items():
            broker.make_policy(name, pattern, limits)
            tell(f"policy {name}: {limits}")


def declare(
    wanted: Layout, *, uri: str, ca_file: str | None, tell: Callable[[str], None]
) -> None:
    """Make what is not there yet; what is there stays as it is.

    :raises SetupRefused: then it can be run again, once what it names is mended.
    """
    try:
        with _connected(uri, ca_file) as connection:
            declare_on(connection, wanted, tell)
    except BROKEN as failure:
        raise SetupRefused(
            f"AMQP_URI: the broker does not answer ({type(failure).__name__}): is it up?"
        ) from failure


def declare_on(connection: Connection, wanted: Layout, tell: Callable[[str], None]) -> None:
    channel = connection.default_channel
    for exchange in wanted.exchanges:
        _tried(exchange(channel).declare, exchange.name)
        tell(f"exchange {exchange.name}")
    for queue in wanted.queues:
        _tried(queue(channel).declare, queue.name)
        tell(f"queue {queue.name}: {queue.routing_key} of {queue.exchange.name}")


def _tried(act: Callable[[], object], name: str) -> None:
    try:
        act()
    except PreconditionFailed:
        raise SetupRefused(OTHER_ARGUMENTS.format(name, name)) from None
    except AccessRefused:
        raise SetupRefused(f"AMQP_URI: this user may not declare {name}. {ADMINISTRATOR}") from None
    except NotFound:
        raise SetupRefused(
            f"The events that {name} waits for have no exchange: is the source's name right, and "
            "was `clinic topology` run without --subscriber?"
        ) from None


def _connected(uri: str, ca_file: str | None) -> Connection:
    try:
        return open_connection(uri, seconds=DECLARE_SECONDS, ca_file=ca_file)
    except AccessRefused:
        raise SetupRefused("AMQP_URI: the broker refuses this user, password, or both.") from None
    except NotAllowed:
        raise SetupRefused("AMQP_URI: the broker refuses this virtual host.") from None
