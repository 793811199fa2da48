"""Waking the relay of an outbox when something was committed for it to publish.

A courtesy: whatever becomes of it, the relay looks by itself each second. So nothing waits for it,
and nothing is made of its failures.
"""

import logging
import threading
import time
from typing import Any

from kombu import Producer
from nameko.constants import AMQP_URI_CONFIG_KEY
from nameko.extensions import Extension
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Session

from config.messaging.connection import BROKEN, let_go, open_connection
from config.messaging.outbox_tables import WROTE, OutboxColumns
from config.messaging.topology import outbox_wake

_log = logging.getLogger("outbox")

# Many commits are told of once.
GATHER_SECONDS = 0.03
PUBLISH_SECONDS = 1.0
PAUSE_AFTER_FAILURE = 1.0


class Waker:
    """Tells whoever relays ``source``, in its own thread or greenlet: ``tell`` returns at once."""

    def __init__(self, uri: str, *, source: str, ca_file: str | None = None) -> None:
        self._uri = uri
        self._source = source
        self._ca_file = ca_file
        self._wanted = threading.Event()
        self._connection: Any = None
        self._stopping = False

    def tell(self) -> None:
        self._wanted.set()

    def stop(self) -> None:
        self._stopping = True
        self._wanted.set()

    def run(self) -> None:
        """Until ``stop``."""
        while self._next():
            try:
                self._publish()
                time.sleep(GATHER_SECONDS)
            except BROKEN as broken:
                _log.debug("relay not woken", extra={"error": type(broken).__name__})
                self._close()
                time.sleep(PAUSE_AFTER_FAILURE)
        self._close()

    def _next(self) -> bool:
        self._wanted.wait()
        self._wanted.clear()
        return not self._stopping

    def _publish(self) -> None:
        if self._connection is None:
            self._connection = open_connection(
                self._uri, seconds=PUBLISH_SECONDS, ca_file=self._ca_file
            )
            self._producer = Producer(self._connection.channel(), auto_declare=False)
        self._producer.publish(
            b"",
            exchange=outbox_wake().name,
            routing_key=self._source,
            content_type="application/octet-stream",
            content_encoding="binary",
            delivery_mode="transient",
            timeout=PUBLISH_SECONDS,
        )

    def _close(self) -> None:
        if self._connection is not None:
            let_go(self._connection)
            self._connection = None


class CommitsWakeRelay(Extension):
    """Wakes the relay when a service commits events; the name of its database is their source."""

    waker: Waker | None = None

    def watch(self, sessions: Any, base: type[DeclarativeBase]) -> None:
        """:param sessions: what makes the service's sessions; at setup."""
        if not any(issubclass(table.class_, OutboxColumns) for table in base.registry.mappers):
            return
        config = self.container.config
        source = config["DATABASES"][f"{self.container.service_name}:{base.__name__}"]
        self.waker = Waker(
            config[AMQP_URI_CONFIG_KEY], source=source, ca_file=config["TLS_CA_FILE"]
        )
        wake_after_commit(sessions, self.waker)

    def start(self) -> None:
        if self.waker:
            self.container.spawn_managed_thread(self.waker.run, identifier="outbox waker")

    def stop(self) -> None:
        if self.waker:
            self.waker.stop()


def wake_after_commit(sessions: Any, waker: Waker) -> None:
    """Have ``waker`` told of each commit with new events in it, of sessions from ``sessions``."""

    def on_commit(session: Session) -> None:
        # The end of a savepoint comes here too, and below.
        if not session.in_nested_transaction() and session.info.pop(WROTE, False):
            waker.tell()

    def on_rollback(session: Session) -> None:
        if not session.in_nested_transaction():
            session.info.pop(WROTE, None)

    event.listen(sessions, "after_rollback", on_rollback)
    event.listen(sessions, "after_commit", on_commit)
