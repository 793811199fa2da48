"""Messages that nothing can be done with: kept aside, for an operator to look at."""

from collections.abc import Mapping
from typing import Any

from nameko.amqp.publish import Publisher
from nameko.constants import AMQP_SSL_CONFIG_KEY, AMQP_URI_CONFIG_KEY

from config.messaging.topology import dead_letters

# Headers of a dead letter.
REASON, QUEUE, DIED_AT = "x-reason", "x-queue", "x-died-at"
CONFIRM_SECONDS = 5.0


class SafePublisher(Publisher):
    """Returns when the broker has the message in a queue, and bounds the wait for that."""

    use_confirms = True
    mandatory = True
    # Once more, at once, for a pooled connection that died unnoticed.
    retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    # A dict of its own: Nameko writes `confirm_publish` into the class's.
    transport_options = {**retry_policy, "interval_max": 0}


def safe_publisher(config: Mapping[str, Any]) -> SafePublisher:
    return SafePublisher(
        config[AMQP_URI_CONFIG_KEY],
        ssl=config.get(AMQP_SSL_CONFIG_KEY),
        timeout=CONFIRM_SECONDS,
        confirm_timeout=CONFIRM_SECONDS,
    )


def bury(
    config: Mapping[str, Any], body: bytes | str, *, queue: str, headers: Mapping[str, Any],
    **properties: Any,
) -> None:
    """Keep ``body`` as a dead letter of ``queue``; on return the broker has it.

    :param headers: among them REASON and DIED_AT.
    :raises OSError, AMQPError, OperationalError, UndeliverableMessage: then it must not be
        acknowledged where it came from.
    """
    safe_publisher(config).publish(
        body,
        exchange=dead_letters(),
        routing_key=queue,
        headers={**headers, QUEUE: queue},
        serializer=None,
        **properties,
    )
