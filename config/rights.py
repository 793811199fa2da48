"""What each program may do on the broker and in the databases: what its class shows it needs."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from nameko.events import BROADCAST, SINGLETON, EventHandler
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from nameko.rpc import Rpc

from config.broker_rights import (
    ANY_SERVICE,
    OUR_REPLIES,
    RPC,
    SHELL_QUEUE,
    SHELL_REPLIES,
    BrokerRights,
    asks,
    hears,
    publish,
    queue,
    subscribe,
)
from config.messaging.outbox import OutboxRelay
from config.messaging.peers import Peers
from config.messaging.rpc import REPLY_TO
from config.programs import GATEWAY, OPERATOR, Catalogue, catalogue
from config.settings import KEYS, SERVICE_KEYS, STORE_KEYS

AUDIT = "audit"
CALLERS = "CALLER_KEYS"
# No program of ours: whoever subscribes to the events.
CONSUMER = "consumer"

CHANGE = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE"))
# What is written stays.
APPEND = frozenset(("SELECT", "INSERT"))


@dataclass(frozen=True)
class Rights:
    """``databases``: the privileges in each of them, by its name in services.yml."""

    broker: BrokerRights
    databases: Mapping[str, frozenset[str]]


def all_rights(catalogue: Catalogue) -> dict[str, Rights]:
    """By program, the gateway among them, the operator at `nameko shell`, and the consumer."""
    classes = {program.name: program.service() for program in catalogue.programs}
    answering = {name: cls.name for name, cls in classes.items() if _has(cls, Rpc)}
    asked = answering.values()
    rights = {
        program.name: Rights(
            broker=_of_service(classes[program.name], asked),
            databases=_databases(
                catalogue, program.database, audits=program.name in answering
            ),
        )
        for program in catalogue.programs
    }
    return rights | {
        GATEWAY: Rights(
            broker=asks(map(re.escape, asked), OUR_REPLIES),
            databases=_databases(catalogue, GATEWAY, audits=True),
        ),
        # Any service, so that Nameko can say that there is none of that name.
        OPERATOR: Rights(broker=asks([ANY_SERVICE], SHELL_REPLIES, SHELL_QUEUE), databases={}),
        CONSUMER: Rights(broker=hears(event_exchanges(catalogue)), databases={}),
    }


def own_rights(program: str) -> Rights:
    """As in ``all_rights``, but without whom it calls: that takes every other one's class."""
    if program == GATEWAY:
        return Rights(asks([], OUR_REPLIES), _databases(catalogue(), GATEWAY, audits=True))
    entry = catalogue().program(program)
    cls = entry.service()
    databases = _databases(catalogue(), entry.database, audits=_has(cls, Rpc))
    return Rights(_of_service(cls, asked=()), databases)


def event_exchanges(catalogue: Catalogue) -> list[str]:
    """Those that some program publishes its events on."""
    classes = (program.service() for program in catalogue.programs)
    relays = (
        extension
        for cls in classes
        for _, extension in inspect.getmembers(cls)
        if isinstance(extension, OutboxRelay)
    )
    return sorted({f"{relay.source}.events" for relay in relays})


def keys_needed(program: str) -> tuple[str, ...]:
    """The key rings that it does not start without; it should be given no others."""
    if program == GATEWAY:
        return KEYS
    cls = catalogue().program(program).service()
    if _has(cls, Rpc):
        return SERVICE_KEYS
    # Who asks others unasked signs that itself.
    return (CALLERS, *STORE_KEYS) if _asks(cls) else STORE_KEYS


def _databases(catalogue: Catalogue, own: str, *, audits: bool) -> dict[str, frozenset[str]]:
    """Whoever answers to somebody puts on record what was answered."""
    wanted = {own: CHANGE} | ({AUDIT: APPEND} if audits else {})
    return {name: wanted[name] for name in wanted if name in catalogue.databases}


def _of_service(cls: Any, asked: Iterable[str]) -> BrokerRights:
    return reduce(or_, _parts(cls, asked), BrokerRights())


def _parts(cls: Any, asked: Iterable[str]) -> Iterator[BrokerRights]:
    """What each of the class's extensions needs."""
    if _has(cls, Rpc):
        yield queue(re.escape(f"rpc-{cls.name}"))
        yield subscribe(RPC, re.escape(f"{cls.name}.*"))
        yield publish(RPC, REPLY_TO)
    for _, extension in inspect.getmembers(cls):
        if isinstance(extension, OutboxRelay):
            yield publish(f"{extension.source}.events", ".*")
        if isinstance(extension, Peers):
            names = {*asked} - {cls.name} if extension.services is None else extension.services
            yield asks(map(re.escape, names), OUR_REPLIES)
    for method, entrypoint in _entrypoints(cls):
        if isinstance(entrypoint, EventHandler):
            exchange, event = f"{entrypoint.source_service}.events", entrypoint.event_type
            yield queue(_event_queue(cls.name, method, entrypoint))
            yield subscribe(exchange, re.escape(event))


def _entrypoints(cls: Any) -> Iterator[tuple[str, Any]]:
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        for entrypoint in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ()):
            yield name, entrypoint


def _asks(cls: Any) -> bool:
    return any(isinstance(extension, Peers) for _, extension in inspect.getmembers(cls))


def _has(cls: Any, kind: type) -> bool:
    return any(isinstance(entrypoint, kind) for _, entrypoint in _entrypoints(cls))


def _event_queue(service: str, method: str, handler: EventHandler) -> str:
    """The name that Nameko gives to the handler's queue."""
    name = re.escape(f"evt-{handler.source_service}-{handler.event_type}")
    if handler.handler_type is SINGLETON:
        return name
    name += re.escape(f"--{service}.{method}")
    return f"{name}-.+" if handler.handler_type is BROADCAST else name
