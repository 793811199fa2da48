"""What must be so on the broker, for `clinic check`: every queue is there, and somebody takes from
it, and nothing is left of processes that are gone. Looked at without taking a message."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from amqp.exceptions import NotFound, ResourceLocked
from kombu import Connection, Queue
from sqlalchemy import literal, select

from config.broker_layout import layout
from config.broker_users import SetupRefused, broker_admin, vhost_of
from config.check import Outcome
from config.findings import Check, Finding
from config.messaging.connection import BROKEN, open_connection
from config.messaging.topology import DEAD_LETTERS
from config.programs import catalogue
from config.settings import Settings

BROKER = "broker"
ANSWER_SECONDS = 5.0
# More than comes together while a program is started anew.
PILE = 1000
# From these a program takes; the others are for a time to pass, or for somebody to look.
TAKEN_FROM = re.compile(r"(rpc|evt)-.*")
# Made by a process for itself, and gone with it.
OF_ONE_PROCESS = re.compile(r"rpc\.reply-.*|outbox-wake-.*")
# Nothing is counted in a database here.
_NO_ROWS = select(literal(0))


class _Seen(NamedTuple):
    """A queue as it is; ``None`` where it is not there."""

    name: str
    messages: int | None
    consumers: int


def examine_broker(settings: Settings) -> Iterator[Outcome]:
    """:raises SetupRefused: when the broker or its management API does not answer."""
    names = [queue.name for queue in layout(catalogue(), settings).queues]
    admin = broker_admin(
        settings.amqp_admin_url, vhost=vhost_of(settings.amqp_uri), ca_file=settings.tls_ca_file
    )
    try:
        with admin as broker, _connected(settings) as connection:
            seen = [_look(connection, name) for name in names]
            yield _outcome("each queue is there", "queues", seen, _missing(seen))
            yield _outcome("somebody takes from each", "queues", seen, _left_alone(seen))
            yield _outcome("messages do not pile up", "queues", seen, _piled_up(seen))
            own = {
                name: expires for name, expires in broker.queues().items()
                if OF_ONE_PROCESS.fullmatch(name)
            }
            left = _orphans(connection, own)
            yield _outcome("no process left its queue behind", "such queues", list(own), left)
    except BROKEN as failure:
        raise SetupRefused(
            f"AMQP_URI: the broker does not answer ({type(failure).__name__}): is it up?"
        ) from failure


def _connected(settings: Settings) -> Connection:
    return open_connection(
        settings.amqp_uri, seconds=ANSWER_SECONDS, ca_file=settings.tls_ca_file
    )


def _look(connection: Connection, name: str) -> _Seen:
    # A channel of its own: a refusal ends it.
    with connection.channel() as channel:
        try:
            found = Queue(name).bind(channel).queue_declare(passive=True)
        except NotFound:
            return _Seen(name, None, 0)
    return _Seen(name, found.message_count, found.consumer_count)


def _missing(seen: Sequence[_Seen]) -> Iterator[Finding]:
    for each in seen:
        if each.messages is None:
            yield Finding(f"{each.name} is missing: run `clinic topology`")


def _left_alone(seen: Sequence[_Seen]) -> Iterator[Finding]:
    for each in seen:
        if each.messages is not None and not each.consumers and TAKEN_FROM.fullmatch(each.name):
            yield Finding(f"nobody takes from {each.name}: does its program run?")


def _piled_up(seen: Sequence[_Seen]) -> Iterator[Finding]:
    for each in seen:
        if each.messages and each.name == DEAD_LETTERS:
            text = f"{each.messages} dead letters: see `clinic dead-letters list`"
            yield Finding(text, wrong=False)
        elif each.messages:
            yield Finding(f"{each.name} holds {each.messages}", wrong=each.messages >= PILE)


def _orphans(connection: Connection, own: Mapping[str, bool]) -> Iterator[Finding]:
    for name, expires in own.items():
        try:
            seen = _look(connection, name)
        except ResourceLocked:
            # A connection has it for itself; if its host has vanished, until TCP notices.
            continue
        if seen.messages is None or seen.consumers:
            continue
        if expires:
            # As after each `nameko shell`, for five minutes.
            yield Finding(f"{name} is not used any more; the broker removes it soon", wrong=False)
        else:
            yield Finding(f"{name} has nobody who takes from it")


def _outcome(
    title: str, what: str, looked_at: Sequence[object], findings: Iterator[Finding]
) -> Outcome:
    begun = time.monotonic()
    found = list(findings)
    outcome = Outcome(BROKER, Check(title, what, _NO_ROWS, lambda _: iter(found)))
    outcome.looked_at = len(looked_at)
    for each in found:
        outcome.add(each)
    outcome.seconds = time.monotonic() - begun
    return outcome
