"""What may be done on the broker, put together from a few kinds of need.

What RabbitMQ asks for: declaring needs `configure` on the queue or exchange, binding `write` on the
queue and `read` on the exchange, consuming `read`, publishing `write`. That alone would let any
reply queue be bound to everybody's calls, and any program call every method. So the keys
of topic exchanges are told as well, both those published with and those bound by (which are
compared as they are written, `*` and `#` included).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import reduce
from operator import or_

from config.messaging.topology import RPC

# Keys of replies: our clients' are a UUID in hex, Nameko's have its dashes.
OUR_REPLIES, OUR_QUEUE = "[0-9a-f]{32}", r"rpc\.reply-"
SHELL_REPLIES, SHELL_QUEUE = "[0-9a-f-]{36}", rf"{OUR_QUEUE}standalone_rpc_proxy-"
ANY_SERVICE, METHOD = r"\w+", r"\.\w+"
WAKE_QUEUE = r"outbox-wake-[0-9a-f]{32}"
# As kombu's users may call their queues, and as Nameko calls those of a service `consumer_...`.
CONSUMERS_QUEUES = r"consumer-.+|evt-.+--consumer_.+"


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

    @property
    def exchanges(self) -> list[str]:
        """Those with keys; all of them are topic exchanges."""
        return sorted({exchange for exchange, _ in self.publish | self.bind})

    @property
    def declared(self) -> list[str]:
        """Those of ``exchanges`` that may be declared; the others must be there."""
        return [each for each in self.exchanges if re.escape(each) in self.configure]

    def topic_permissions(self) -> list[dict[str, str]]:
        """As RabbitMQ's management API takes them, one for each exchange."""
        return [
            {
                "exchange": exchange,
                "write": _any(key for where, key in self.publish if where == exchange),
                "read": _any(key for where, key in self.bind if where == exchange),
            }
            for exchange in self.exchanges
        ]


def asks(services: Iterable[str], replies: str, prefix: str = OUR_QUEUE) -> BrokerRights:
    """Calls any method of ``services``; the answers come to a queue of its own."""
    calls = (send(RPC, name + METHOD) for name in services)
    return reduce(or_, calls, queue(prefix + replies) | hear(RPC, replies))


def hears(exchanges: Iterable[str]) -> BrokerRights:
    """Any event, in queues of its own."""
    return reduce(or_, (hear(each, ".*") for each in exchanges), queue(CONSUMERS_QUEUES))


def queue(name: str) -> BrokerRights:
    """To declare it, bind it and take from it."""
    names = frozenset({name})
    return BrokerRights(configure=names, write=names, read=names)


def declare(exchange: str) -> BrokerRights:
    return BrokerRights(configure=frozenset({re.escape(exchange)}))


def send(exchange: str, keys: str) -> BrokerRights:
    """To publish on what others have declared, and must keep: who may declare it may delete it."""
    name = frozenset({re.escape(exchange)})
    return BrokerRights(write=name, publish=frozenset({(exchange, keys)}))


def hear(exchange: str, keys: str) -> BrokerRights:
    """To bind queues to what others have declared."""
    name = frozenset({re.escape(exchange)})
    return BrokerRights(read=name, bind=frozenset({(exchange, keys)}))


def take(name: str) -> BrokerRights:
    """To take from a queue that others have declared."""
    return BrokerRights(read=frozenset({re.escape(name)}))


def _any(patterns: Iterable[str]) -> str:
    """One expression for whole names; without any pattern, for the empty name only."""
    return f"^({'|'.join(sorted(patterns))})$"
