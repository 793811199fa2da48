"""Messages that nothing can be done with: kept aside, for an operator to look at."""

import uuid
from collections.abc import Mapping
from typing import Any

from amqp.exceptions import ChannelError, MessageNacked
from kombu import Exchange, Message
from nameko.amqp.publish import UndeliverableMessage
from nameko.constants import AMQP_SSL_CONFIG_KEY, AMQP_URI_CONFIG_KEY

from config.messaging.connection import BROKEN
from config.messaging.pooled import PooledPublisher
from config.messaging.topology import dead_letters, delay

# Headers of a dead letter; LETTER is its id, which it keeps when it is sent again.
REASON, QUEUE, DIED_AT, LETTER = "x-reason", "x-queue", "x-died-at", "x-letter"
# Of an event: how often it was tried, and what was raised the last time.
ATTEMPTS, ERROR = "x-attempts", "x-error"
# Of an event that will be tried again: how often it failed.
ATTEMPT = "x-attempt"
CONFIRM_SECONDS = 5.0
NO_ROUTE = 312
# What `publish` raises when the broker did not take a message, or nobody knows whether it did.
NOT_TAKEN = (*BROKEN, MessageNacked, UndeliverableMessage)


class SafePublisher(PooledPublisher):
    """Returns when the broker has the message in a queue."""

    mandatory = True

    def publish(self, payload: Any, **kwargs: Any) -> None:
        """:raises OSError, AMQPError, OperationalError, MessageNacked, UndeliverableMessage:"""
        try:
            super().publish(payload, **kwargs)
        except ChannelError as failure:
            if failure.reply_code == NO_ROUTE:
                raise UndeliverableMessage() from failure
            raise


def safe_publisher(config: Mapping[str, Any]) -> SafePublisher:
    return SafePublisher(config[AMQP_URI_CONFIG_KEY], ssl=config.get(AMQP_SSL_CONFIG_KEY))


def bury(
    config: Mapping[str, Any], body: bytes | str, *, queue: str, headers: Mapping[str, Any],
    **properties: Any,
) -> str:
    """Keep ``body`` as a dead letter of ``queue``; its id, on return the broker has it.

    :param headers: among them REASON and DIED_AT; without LETTER, it gets an id of its own.
    :param properties: among them its content type.
    :raises OSError, AMQPError, OperationalError, MessageNacked, UndeliverableMessage: NOT_TAKEN;
        then it must not be acknowledged where it came from.
    """
    own = {LETTER: uuid.uuid4().hex} | {**headers} | {QUEUE: queue}
    _keep(config, body, dead_letters(), queue=queue, headers=own, **properties)
    return str(own[LETTER])


def put_off(
    config: Mapping[str, Any], body: bytes | str, *, queue: str, seconds: int,
    headers: Mapping[str, Any], **properties: Any,
) -> None:
    """Have ``body`` come to ``queue`` after so long, one of EVENT_RETRY_SECONDS.

    :raises OSError, AMQPError, OperationalError, MessageNacked, UndeliverableMessage: as ``bury``.
    """
    _keep(config, body, delay(seconds), queue=queue, headers=headers, **properties)


def raw(message: Message) -> bytes:
    """Its body as it came; py-amqp decodes what names an encoding that it knows."""
    body = message.body
    return body.encode(errors="backslashreplace") if isinstance(body, str) else bytes(body)


def properties(message: Message) -> dict[str, Any]:
    """Those by which it is read, and told from others, as they are."""
    own = {
        "content_type": message.content_type or "application/octet-stream",
        "content_encoding": message.content_encoding or "binary",
    }
    number = message.properties.get("message_id")
    return own | ({"message_id": number} if number else {})


def _keep(
    config: Mapping[str, Any], body: bytes | str, exchange: Exchange, *, queue: str,
    headers: Mapping[str, Any], **properties: Any,
) -> None:
    # By its name: given itself, the exchange would be declared first, which needs a right.
    safe_publisher(config).publish(
        body, exchange=exchange.name, routing_key=queue, headers={**headers}, **properties
    )
