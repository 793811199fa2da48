"""What each program may do on the broker and in the databases: what its class shows it needs."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from config.broker_rights import (
    ANY_SERVICE,
    OUR_REPLIES,
    SHELL_QUEUE,
    SHELL_REPLIES,
    WAKE_QUEUE,
    BrokerRights,
    asks,
    declare,
    hear,
    hears,
    queue,
    send,
    take,
)
from config.entrypoints import (
    RANDOM,
    answers,
    event_sources,
    handlers,
    peers,
    relays,
    writes_outbox,
)
from config.messaging.call_form import REPLY_TO
from config.messaging.topology import DEAD_LETTERS, OUTBOX_WAKE, RPC, delay, events_of
from config.programs import GATEWAY, OPERATOR, Catalogue, Program, catalogue
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


def all_rights(catalogue: Catalogue, retries: Sequence[int]) -> dict[str, Rights]:
    """By program, the gateway among them, the operator at `nameko shell`, and the consumer.

    :param retries: EVENT_RETRY_SECONDS, by which the exchanges of delayed events are named.
    """
    classes = {program.name: program.service() for program in catalogue.programs}
    answering = {name: cls.name for name, cls in classes.items() if answers(cls)}
    asked = answering.values()
    rights = {
        program.name: Rights(
            broker=_of_service(program, retries, asked),
            databases=_databases(
                catalogue, program.database, audits=program.name in answering
            ),
        )
        for program in catalogue.programs
    }
    events = (events_of(source).name for source in event_sources(classes.values()))
    return rights | {
        GATEWAY: Rights(
            broker=asks(map(re.escape, asked), OUR_REPLIES),
            databases=_databases(catalogue, GATEWAY, audits=True),
        ),
        OPERATOR: Rights(broker=_operator(classes.values(), retries), databases={}),
        CONSUMER: Rights(broker=hears(events), databases={}),
    }


def own_rights(program: str, retries: Sequence[int]) -> Rights:
    """As in ``all_rights``, but without whom it calls: that takes every other one's class."""
    if program == GATEWAY:
        return Rights(asks([], OUR_REPLIES), _databases(catalogue(), GATEWAY, audits=True))
    entry = catalogue().program(program)
    databases = _databases(catalogue(), entry.database, audits=answers(entry.service()))
    return Rights(_of_service(entry, retries, asked=()), databases)


def keys_needed(program: str) -> tuple[str, ...]:
    """The key rings that it does not start without; it should be given no others."""
    if program == GATEWAY:
        return KEYS
    cls = catalogue().program(program).service()
    if answers(cls):
        return SERVICE_KEYS
    # Who asks others unasked signs that itself.
    return (CALLERS, *STORE_KEYS) if peers(cls) else STORE_KEYS


def _databases(catalogue: Catalogue, own: str, *, audits: bool) -> dict[str, frozenset[str]]:
    """Whoever answers to somebody puts on record what was answered."""
    wanted = {own: CHANGE} | ({AUDIT: APPEND} if audits else {})
    return {name: wanted[name] for name in wanted if name in catalogue.databases}


def _of_service(
    program: Program, retries: Sequence[int], asked: Iterable[str]
) -> BrokerRights:
    cls = program.service()
    parts = (*_calls(cls, asked), *_outbox(cls, program.database), *_events(cls, retries))
    return reduce(or_, parts, BrokerRights())


def _calls(cls: Any, asked: Iterable[str]) -> Iterator[BrokerRights]:
    if answers(cls):
        name = f"rpc-{cls.name}"
        yield queue(re.escape(name))
        yield hear(RPC, re.escape(f"{cls.name}.*"))
        yield send(RPC, REPLY_TO)
        yield send(DEAD_LETTERS, re.escape(name))
    for extension in peers(cls):
        names = {*asked} - {cls.name} if extension.services is None else extension.services
        yield asks(map(re.escape, names), OUR_REPLIES)


def _outbox(cls: Any, source: str) -> Iterator[BrokerRights]:
    """The source of events has the name of its database."""
    if writes_outbox(cls):
        yield send(OUTBOX_WAKE, re.escape(source))
    for relay in relays(cls):
        events = events_of(relay.source).name
        yield declare(events) | send(events, ".*")
        yield queue(WAKE_QUEUE) | hear(OUTBOX_WAKE, re.escape(relay.source))


def _events(cls: Any, retries: Sequence[int]) -> Iterator[BrokerRights]:
    for name, handler in handlers(cls):
        yield queue(_pattern(name))
        yield hear(events_of(handler.source_service).name, re.escape(handler.event_type))
        yield send(DEAD_LETTERS, _pattern(name))
        for seconds in retries:
            yield send(delay(seconds).name, _pattern(name))


def _operator(classes: Iterable[Any], retries: Sequence[int]) -> BrokerRights:
    """Calls whom there is, and looks after dead letters: a replayed one goes by the way that is
    limited to the queues of events, and where it waits the least."""
    shortest = delay(retries[0]).name
    names = {_pattern(name) for cls in classes for name, _ in handlers(cls)}
    replay = (send(shortest, name) for name in names)
    # Any service, so that Nameko can say that there is none of that name; its client declares the
    # exchange each time.
    calls = asks([ANY_SERVICE], SHELL_REPLIES, SHELL_QUEUE) | declare(RPC)
    return reduce(or_, replay, calls | take(DEAD_LETTERS))


def _pattern(name: str) -> str:
    """Of the queue with this name, or of all whose name has any end."""
    return ".+".join(re.escape(part) for part in name.split(RANDOM))
