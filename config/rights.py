"""What each program may do on the broker and in the databases: what its class shows it needs.

What RabbitMQ asks for: declaring needs `configure` on the queue or exchange, binding `write` on the
queue and `read` on the exchange, consuming `read`, publishing `write`. That alone would let any
reply queue be bound to everybody's calls, and any program call every method. So the keys
of topic exchanges are told as well, both those published with and those bound by (which are
compared as they are written, `*` and `#` included).
"""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import or_
from typing import Any

from nameko.events import BROADCAST, SINGLETON, EventHandler
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from nameko.rpc import Rpc

from config.messaging.outbox import OutboxRelay
from config.messaging.peers import Peers
from config.messaging.rpc import REPLY_TO
from config.programs import GATEWAY, OPERATOR, Catalogue, catalogue
from config.settings import KEYS, SERVICE_KEYS, STORE_KEYS

AUDIT = "audit"

RPC = "nameko-rpc"
# Keys of replies: our clients' are a UUID in hex, Nameko's have its dashes.
OUR_REPLIES, OUR_QUEUE = "[0-9a-f]{32}", r"rpc\.reply-"
SHELL_REPLIES, SHELL_QUEUE = "[0-9a-f-]{36}", rf"{OUR_QUEUE}standalone_rpc_proxy-"
ANY_SERVICE, METHOD = r"\w+", r"\.\w+"

CHANGE = frozenset(("SELECT", "INSERT", "UPDATE", "DELETE"))
# What is written stays.
APPEND = frozenset(("SELECT", "INSERT"))


@dataclass(frozen=True)
class BrokerRights:
    """Names of queues and exchanges, and (exchange, keys), all as regular expressions."""

    configure: frozenset[str] = frozenset()
    write: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()
    publish: frozenset[tuple[str, str]] = frozenset()
    bind: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: "BrokerRights") -> "BrokerRights":
        mine_and_theirs = (
            getattr(self, each.name) | getattr(other, each.name) for each in fields(self)
        )
        return BrokerRights(*mine_and_theirs)

    def permissions(self) -> dict[str, str]:
        """As RabbitMQ's management API takes them."""
        return {name: _any(getattr(self, name)) for name in ("configure", "write", "read")}

    def topic_permissions(self) -> list[dict[str, str]]:
        """As RabbitMQ's management API takes them, one for each exchange."""
        exchanges = sorted({exchange for exchange, _ in self.publish | self.bind})
        return [
            {
                "exchange": exchange,
                "write": _any(key for where, key in self.publish if where == exchange),
                "read": _any(key for where, key in self.bind if where == exchange),
            }
            for exchange in exchanges
        ]


@dataclass(frozen=True)
class Rights:
    """``databases``: the privileges in each of them, by its name in services.yml."""

    broker: BrokerRights
    databases: Mapping[str, frozenset[str]]


def all_rights(catalogue: Catalogue) -> dict[str, Rights]:
    """By program, the gateway and the operator at `nameko shell` among them."""
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
            broker=_asks(map(re.escape, asked), OUR_REPLIES),
            databases=_databases(catalogue, GATEWAY, audits=True),
        ),
        # Any service, so that Nameko can say that there is none of that name.
        OPERATOR: Rights(broker=_asks([ANY_SERVICE], SHELL_REPLIES, SHELL_QUEUE), databases={}),
    }


def keys_needed(program: str) -> tuple[str, ...]:
    """The key rings that it does not start without; it should be given no others."""
    if program == GATEWAY:
        return KEYS
    return SERVICE_KEYS if _has(catalogue().program(program).service(), Rpc) else STORE_KEYS


def _databases(catalogue: Catalogue, own: str, *, audits: bool) -> dict[str, frozenset[str]]:
    """Whoever answers to somebody puts on record what was answered."""
    wanted = {own: CHANGE} | ({AUDIT: APPEND} if audits else {})
    return {name: wanted[name] for name in wanted if name in catalogue.databases}


def _of_service(cls: Any, asked: Iterable[str]) -> BrokerRights:
    return reduce(or_, _parts(cls, asked), BrokerRights())


def _parts(cls: Any, asked: Iterable[str]) -> Iterator[BrokerRights]:
    """What each of the class's extensions needs."""
    if _has(cls, Rpc):
        yield _queue(re.escape(f"rpc-{cls.name}"))
        yield _subscribe(RPC, re.escape(f"{cls.name}.*"))
        yield _publish(RPC, REPLY_TO)
    for _, extension in inspect.getmembers(cls):
        if isinstance(extension, OutboxRelay):
            yield _publish(f"{extension.source}.events", ".*")
        if isinstance(extension, Peers):
            yield _asks([re.escape(name) for name in asked if name != cls.name], OUR_REPLIES)
    for method, entrypoint in _entrypoints(cls):
        if isinstance(entrypoint, EventHandler):
            exchange, event = f"{entrypoint.source_service}.events", entrypoint.event_type
            yield _queue(_event_queue(cls.name, method, entrypoint))
            yield _subscribe(exchange, re.escape(event))


def _entrypoints(cls: Any) -> Iterator[tuple[str, Any]]:
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        for entrypoint in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ()):
            yield name, entrypoint


def _has(cls: Any, kind: type) -> bool:
    return any(isinstance(entrypoint, kind) for _, entrypoint in _entrypoints(cls))


def _event_queue(service: str, method: str, handler: EventHandler) -> str:
    """The name that Nameko gives to the handler's queue."""
    name = re.escape(f"evt-{handler.source_service}-{handler.event_type}")
    if handler.handler_type is SINGLETON:
        return name
    name += re.escape(f"--{service}.{method}")
    return f"{name}-.+" if handler.handler_type is BROADCAST else name


def _asks(services: Iterable[str], replies: str, queue: str = OUR_QUEUE) -> BrokerRights:
    """Calls any method of ``services``; the answers come to a queue of its own."""
    calls = (_publish(RPC, name + METHOD) for name in services)
    return reduce(or_, calls, _queue(queue + replies) | _subscribe(RPC, replies))


def _queue(name: str) -> BrokerRights:
    """To declare it, bind it and take from it."""
    names = frozenset({name})
    return BrokerRights(configure=names, write=names, read=names)


def _subscribe(exchange: str, keys: str) -> BrokerRights:
    name = frozenset({re.escape(exchange)})
    return BrokerRights(configure=name, read=name, bind=frozenset({(exchange, keys)}))


def _publish(exchange: str, keys: str) -> BrokerRights:
    name = frozenset({re.escape(exchange)})
    return BrokerRights(configure=name, write=name, publish=frozenset({(exchange, keys)}))


def _any(patterns: Iterable[str]) -> str:
    """One expression for whole names; without any pattern, for the empty name only."""
    return f"^({'|'.join(sorted(patterns))})$"
