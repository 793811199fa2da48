"""Nameko's queue consumer, which looks before it decodes, and leaves without losing anything.

Nameko's own ends with the first message that it cannot decode; and, told to stop, it closes its
connection while calls are still at work, so that the broker gives them to somebody else as well.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import eventlet
from amqp import Channel
from kombu import Connection, Message
from nameko.constants import AMQP_SSL_CONFIG_KEY
from nameko.extensions import ProviderCollector
from nameko.messaging import QueueConsumer as StockQueueConsumer
from nameko.messaging import QueueConsumerStopped

from config.messaging.connection import BROKEN, bound_waits, read_by_itself, socket_of
from config.messaging.frames import mending_frame_handler
from config.messaging.junk import Junk, bury_description, decoded
from config.messaging.outgoing import gather

_log = logging.getLogger("service")

# A broker that is gone without a word is noticed after twice as long.
HEARTBEAT_SECONDS = 10
BROKER_SECONDS = 5.0
# Between tries to connect: the first at once, later ones with this much more, up to the most.
MORE_SECONDS, MOST_SECONDS = 0.5, 2.0
CLOSE_SECONDS = 1.0


class QueueConsumer(StockQueueConsumer):
    """Gives each of its providers what came in its queue: to ``handle_message(body, message)`` what
    could be decoded, all else to ``refuse(message, junk)``, or to its own where there is none.
    """

    # Whether messages can come right now.
    consuming = False
    _away = False

    @property
    def alive(self) -> bool:
        """Not so when its thread has ended, for whatever reason."""
        return self._gt is None or not self._gt.dead

    @property
    def connection(self) -> Connection:
        return Connection(
            self.amqp_uri,
            ssl=self.container.config.get(AMQP_SSL_CONFIG_KEY),
            connect_timeout=BROKER_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            transport_options={"frame_handler": mending_frame_handler},
        )

    @contextmanager
    def establish_connection(self) -> Iterator[Connection]:
        with self.create_connection() as connection:
            connection.ensure_connection(
                self.on_connection_error,
                interval_start=0,
                interval_step=MORE_SECONDS,
                interval_max=MOST_SECONDS,
            )
            bound_waits(connection, seconds=BROKER_SECONDS)
            if socket_of(connection) is not None:
                read_by_itself(connection)
                gather(connection.connection, seconds=BROKER_SECONDS)
            yield connection

    def get_consumers(self, consumer_cls: Callable[..., Any], channel: Any) -> Any:
        self._consumers = {}
        # Declaring takes its time, in which a provider may leave.
        for provider in tuple(self._providers):
            consumer = consumer_cls(
                queues=[provider.queue],
                on_message=partial(self.receive, provider),
                on_decode_error=partial(self._not_unpacked, provider),
            )
            consumer.qos(prefetch_count=self.prefetch_count)
            self._consumers[provider] = consumer
        return self._consumers.values()

    def on_consume_ready(self, *arguments: Any, **options: Any) -> None:
        """All are subscribed now: those of providers that left meanwhile, too."""
        for provider in self._consumers.keys() - self._providers:
            _cancel(self._consumers.pop(provider))
        super().on_consume_ready(*arguments, **options)

    def consume(self, limit: Any = None, timeout: Any = None, safety_interval: float = 1.0,
                **kwargs: Any) -> Iterator[None]:
        with self.consumer_context(**kwargs) as (connection, _, _):
            # Of this connection: after a write that failed, kombu's own would connect again without
            # a word, and without anything that is consumed.
            driver, transport = connection.connection, connection.transport
            self.consuming = True
            try:
                while not self.should_stop:
                    try:
                        transport.drain_events(driver, timeout=safety_interval)
                    except socket.timeout:
                        transport.heartbeat_check(driver)
                    else:
                        yield
            except BROKEN as broken:
                _log.warning("broker lost", extra={"error": type(broken).__name__})
                raise
            finally:
                self.consuming = False

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        """Once for all tries, until it is back."""
        if not self._away:
            self._away = True
            _log.warning("broker does not answer", extra={"error": type(exc).__name__})

    def on_connection_revived(self) -> None:
        if self._away:
            self._away = False
            _log.info("broker answers again")

    def receive(self, provider: Any, message: Message) -> None:
        """In the consumer's own thread, which must neither wait nor end."""
        if provider not in self._providers:
            # It has left; what was on its way goes to another instance.
            self.requeue_message(message)
            return
        try:
            body = decoded(message)
        except Junk as junk:
            self.refuse_aside(provider, message, junk)
        else:
            self._hand_over(provider, body, message)

    def _hand_over(self, provider: Any, body: Any, message: Message) -> None:
        """In a thread of its own, which costs something, only if the provider may have to wait."""
        if getattr(provider, "only_spawns", False) and _has_place(self.container._worker_pool):
            provider.handle_message(body, message)
        else:
            self.handle_message(provider, body, message)

    def _not_unpacked(self, provider: Any, message: Message, failure: Exception) -> None:
        """The memory transport's way to say what frames.py says for the real one."""
        self.refuse_aside(provider, message, Junk("unreadable properties"))

    def refuse_aside(self, provider: Any, message: Message, junk: Junk) -> None:
        refuse = getattr(provider, "refuse", partial(self.refuse, provider.queue.name))
        self.container.spawn_managed_thread(partial(refuse, message, junk), identifier="refusal")

    def refuse(self, queue: str, message: Message, junk: Junk) -> None:
        """Keep a description among the dead letters, and have the message gone."""
        bury_description(self.container.config, message, queue=queue, reason=junk.reason)
        self._settle(message, message.reject)

    def ack_message(self, message: Message) -> None:
        self._settle(message, message.ack)

    def requeue_message(self, message: Message) -> None:
        self._settle(message, message.requeue)

    def _settle(self, message: Message, settle: Callable[[], None]) -> None:
        """What came over a connection that is gone, the broker gives to somebody again."""
        try:
            if message.channel.connection:
                settle()
        except BROKEN as broken:
            # Raised on, it would end the whole service, as Nameko has it.
            _log.warning("message not settled", extra={"error": type(broken).__name__})

    def unregister_provider(self, provider: Any) -> None:
        """Nothing more is taken for ``provider``. The connection stays: what is at work still needs
        it to be acknowledged."""
        if consumer := self._consumers.get(provider):
            _cancel(consumer)
        ProviderCollector.unregister_provider(self, provider)

    def stop(self) -> None:
        """When nothing is at work any more."""
        if not self._consumers_ready.ready():
            self._gt.kill(QueueConsumerStopped())
        self.wait_for_providers()
        self.should_stop = True
        if self.consuming:
            with eventlet.Timeout(CLOSE_SECONDS, False):
                # As if nothing had come for a while: it then sees that it should stop.
                eventlet.kill(self._gt, socket.timeout())
                self._ended()
        self.kill()

    def kill(self) -> None:
        """At once, whatever the broker does: Nameko's own waits for it."""
        self.should_stop = True
        # The container is killed by the thread that failed, which may be this one.
        if self._gt is not None and self._gt is not eventlet.getcurrent():
            self._gt.kill()

    def _ended(self) -> None:
        try:
            self._gt.wait()
        except (*BROKEN, QueueConsumerStopped) as ending:
            _log.debug("consumer ended", extra={"error": type(ending).__name__})


def _has_place(pool: Any) -> bool:
    """Whether who comes now need not wait. Behind others that do, eventlet has it wait even while
    places are free: those are for them, as soon as they have their turn."""
    return bool(0 < pool.free() == pool.sem.balance)


def _cancel(consumer: Any) -> None:
    """Without waiting for the answer, which would be read by the consumer's own thread."""
    channel, tags = consumer.channel, [*consumer._active_tags.values()]
    consumer._active_tags.clear()
    options = {"nowait": True} if isinstance(channel, Channel) else {}
    for tag in tags:
        try:
            channel.basic_cancel(tag, **options)
        except BROKEN as broken:
            _log.debug("consumer gone already", extra={"error": type(broken).__name__})
