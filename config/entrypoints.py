"""What a service's class shows of itself: what it answers, hears, tells and asks."""

import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from nameko.events import SERVICE_POOL, SINGLETON, EventHandler
from nameko.extensions import ENTRYPOINT_EXTENSIONS_ATTR
from nameko.rpc import Rpc

from config.messaging.outbox import OutboxRelay
from config.messaging.outbox_tables import OutboxColumns
from config.messaging.peers import Peers

RANDOM = "*"


def entrypoints(cls: Any) -> Iterator[tuple[str, Any]]:
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        for entrypoint in getattr(method, ENTRYPOINT_EXTENSIONS_ATTR, ()):
            yield name, entrypoint


def answers(cls: Any) -> bool:
    """Whether it can be called."""
    return any(isinstance(entrypoint, Rpc) for _, entrypoint in entrypoints(cls))


def handlers(cls: Any) -> Iterator[tuple[str, EventHandler]]:
    """The name of each handler's queue, and the handler.

    :return: names as Nameko makes them; with ``RANDOM`` where each process has its own.
    """
    for method, entrypoint in entrypoints(cls):
        if isinstance(entrypoint, EventHandler):
            yield _queue_name(cls.name, method, entrypoint), entrypoint


def relays(cls: Any) -> list[OutboxRelay]:
    return _extensions(cls, OutboxRelay)


def writes_outbox(cls: Any) -> bool:
    """Whether events are among what it stores."""
    store = getattr(cls, "store", None)
    tables = store.declarative_base.registry.mappers if store else ()
    return any(issubclass(table.class_, OutboxColumns) for table in tables)


def peers(cls: Any) -> list[Peers]:
    return _extensions(cls, Peers)


def event_sources(classes: Iterable[Any]) -> list[str]:
    """Whose events some of them publish."""
    return sorted({relay.source for cls in classes for relay in relays(cls)})


def _extensions(cls: Any, kind: type) -> list[Any]:
    return [each for _, each in inspect.getmembers(cls) if isinstance(each, kind)]


def _queue_name(service: str, method: str, handler: EventHandler) -> str:
    name = f"evt-{handler.source_service}-{handler.event_type}"
    if handler.handler_type is SINGLETON:
        return name
    name += f"--{service}.{method}"
    return name if handler.handler_type is SERVICE_POOL else f"{name}-{RANDOM}"
