"""What there is on the broker: exchanges, queues and how they hang together.

Named and built here alone. A deploy step declares all of it (`clinic topology`), so that no event
is published before the queues of those who wait for it are there; embedded mode does so at its
start.
"""

from typing import Any

from kombu import Exchange, Queue

RPC = "nameko-rpc"
DEAD_LETTERS = "dead-letters"
# How long they are kept, where limits are set.
DEAD_LETTER_DAYS = 30
OUTBOX_WAKE = "outbox-wake"
# The broker's own exchange: it routes by the name of a queue.
BY_QUEUE_NAME = ""
# How a quorum queue moves on messages without losing one; the first works with the second only.
SURELY_MOVED_ON = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}


def queue_arguments(queue_type: str) -> dict[str, Any]:
    """Those of every queue that lasts; RabbitMQ's own kind needs none."""
    return {} if queue_type == "classic" else {"x-queue-type": queue_type}


def events_of(source: str) -> Exchange:
    """As Nameko names and declares it."""
    return Exchange(f"{source}.events", type="topic", durable=True)


def found(exchange: Exchange) -> Exchange:
    """As programs use it: they look whether it is there. Who may declare one may delete it, and
    with it what others have bound."""
    return Exchange(exchange.name, type=exchange.type, durable=exchange.durable, passive=True)


def rpc_exchange() -> Exchange:
    return Exchange(RPC, type="topic", durable=True)


def rpc_queue(service: str, queue_type: str) -> Queue:
    """As Nameko names and declares it, where the type is RabbitMQ's own kind."""
    return Queue(
        f"rpc-{service}",
        rpc_exchange(),
        routing_key=f"{service}.*",
        durable=True,
        queue_arguments=queue_arguments(queue_type),
    )


def event_queue(name: str, *, source: str, event: str, queue_type: str) -> Queue:
    """A handler's; as with ``rpc_queue``, others declare it alike."""
    return Queue(
        name,
        events_of(source),
        routing_key=event,
        durable=True,
        queue_arguments=queue_arguments(queue_type),
    )


def outbox_wake() -> Exchange:
    """Tells relays, by their source, that something was committed for them to publish."""
    return Exchange(OUTBOX_WAKE, type="topic", durable=True)


def dead_letters() -> Exchange:
    """Takes what no handler could do anything with, by the name of the queue that it was in."""
    return Exchange(DEAD_LETTERS, type="topic", durable=True)


def dead_letter_queue(queue_type: str) -> Queue:
    return Queue(
        DEAD_LETTERS,
        dead_letters(),
        routing_key="#",
        durable=True,
        queue_arguments=queue_arguments(queue_type),
    )


def delay(seconds: int) -> Exchange:
    """What is published here by the name of a queue arrives there ``seconds`` later."""
    return Exchange(f"delay-{seconds}s", type="topic", durable=True)


def delay_queue(seconds: int, queue_type: str) -> Queue:
    """Where it rests: all for the same time, so the first in is the first out.

    A quorum queue keeps what it moves on until the other queue has confirmed it. RabbitMQ's own
    kind lets go of it at once: a node that dies in that moment may take it along.
    """
    exchange = delay(seconds)
    surely = SURELY_MOVED_ON if queue_type == "quorum" else {}
    return Queue(
        exchange.name,
        exchange,
        routing_key="#",
        durable=True,
        queue_arguments={
            **queue_arguments(queue_type),
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": BY_QUEUE_NAME,
            **{f"x-{name}": value for name, value in surely.items()},
        },
    )
