"""Whether the services of this process live, and whether they can be called on."""

from collections.abc import Iterable, Mapping
from typing import Any

from nameko.timer import Timer

from config.messaging.consumer import QueueConsumer
from config.messaging.peers import Peers

Verdicts = Mapping[str, str]


def alive(containers: Iterable[Any]) -> Verdicts:
    """By service: `failing` when only a new process can help."""
    return {each.service_name: _verdict(_lives(each)) for each in containers}


def ready(containers: Iterable[Any]) -> Verdicts:
    """By service: `failing` while nothing that is sent to it would arrive."""
    return {each.service_name: _verdict(_hears(each)) for each in containers}


def readiness(containers: Iterable[Any]) -> Mapping[str, Verdicts]:
    """An open breaker fails nothing: it closes by calls that go well, and there must be some."""
    known = tuple(containers)
    return {"checks": ready(known), "breakers": breakers(known)}


def breakers(containers: Iterable[Any]) -> Verdicts:
    """By ``service.method``, what these services leave alone; where they differ, what one sees."""
    peers = (each for one in containers for each in one.extensions if isinstance(each, Peers))
    return {kind: state for each in peers for kind, state in each.breakers.items()}


def is_dying(container: Any) -> bool:
    """Being killed, and not done with it."""
    return bool(container._being_killed and not container._died.ready())


def _lives(container: Any) -> bool:
    if container._being_killed or container._died.ready():
        return False
    return all(_works(extension) for extension in container.extensions)


def _works(extension: Any) -> bool:
    """Extensions that have a thread tell by ``alive`` whether it is there."""
    if isinstance(extension, Timer):
        return extension.gt is None or not extension.gt.dead
    return bool(getattr(extension, "alive", True))


def _hears(container: Any) -> bool:
    consumers = (each for each in container.extensions if isinstance(each, QueueConsumer))
    return bool(
        container.started and _lives(container) and all(each.consuming for each in consumers)
    )


def _verdict(well: bool) -> str:
    return "ok" if well else "failing"
