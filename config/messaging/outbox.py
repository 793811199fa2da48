"""Events leave through a table: written with the change they tell of, published by a relay.

Rows are taken while `published_at IS NULL`, never above a high-water mark: transactions commit
in another order than they number their rows, and a mark would pass over the late ones.
"""

import logging
from typing import Any

import eventlet
from amqp.exceptions import MessageNacked
from eventlet.event import Event
from kombu import Exchange, Producer
from nameko.constants import AMQP_URI_CONFIG_KEY
from nameko.extensions import DependencyProvider
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session

from config.clock import utc_now
from config.database import connect
from config.messaging.connection import BROKEN, open_connection
from config.service_database import uri_of

_log = logging.getLogger("outbox")

BATCH = 100
POLL_SECONDS = 0.1
BACK_OFF_SECONDS = 1.0
CONFIRM_SECONDS = 5.0


class Publisher:
    """Publishes on one exchange and returns only when the broker has taken the message."""

    def __init__(self, uri: str, exchange: Exchange, *, ca_file: str | None = None) -> None:
        self._connection = open_connection(
            uri, seconds=CONFIRM_SECONDS, confirm=True, ca_file=ca_file
        )
        try:
            self._producer = Producer(self._connection.channel(), exchange)
            self._producer.maybe_declare(exchange)
        except Exception:
            self.close()
            raise

    def publish(self, row: Any) -> None:
        self._producer.publish(
            row.body,
            routing_key=row.name,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode="persistent",
            message_id=row.id,
            # The broker confirms what it has on disk; without a bound this waits for ever.
            timeout=CONFIRM_SECONDS,
            confirm_timeout=CONFIRM_SECONDS,
        )

    def close(self) -> None:
        self._connection.collect(socket_timeout=0.1)


class OutboxRelay(DependencyProvider):
    """Publishes a service's outbox on its topic exchange ``<source>.events``, in the background.

    At least once: killed between publishing and marking, it publishes the batch again, and
    consumers tell duplicates by the event's id.
    """

    def __init__(self, base: type[DeclarativeBase], *, outbox: Any, source: str) -> None:
        self.base = base
        self.outbox = outbox
        self.source = source

    def setup(self) -> None:
        config = self.container.config
        self.engine = connect(uri_of(config, self.container.service_name, self.base), pool_size=1)
        self.exchange = Exchange(f"{self.source}.events", type="topic", durable=True)
        self.uri, self.ca_file = config[AMQP_URI_CONFIG_KEY], config["TLS_CA_FILE"]
        self.publisher: Publisher | None = None
        self.stopping = False
        self.stopped = Event()

    def start(self) -> None:
        self.container.spawn_managed_thread(self._run, identifier=f"outbox relay {self.source}")

    def stop(self) -> None:
        self.stopping = True
        self.stopped.wait()
        self.engine.dispose()

    def _run(self) -> None:
        try:
            while not self.stopping:
                eventlet.sleep(self._pause_after_round())
            self._drop_publisher()
        finally:
            self.stopped.send()

    def _pause_after_round(self) -> float:
        """Publish what waits; how long to rest before looking again, in seconds."""
        try:
            with Session(self.engine) as session, session.begin():
                taken = self._publish_batch(session)
        except (*BROKEN, SQLAlchemyError) as failure:
            # Nothing is lost: the rows wait in the table until broker and database are back.
            self._log_failure("relay waits", failure)
            self._drop_publisher()
            return BACK_OFF_SECONDS
        return 0.0 if taken == BATCH else POLL_SECONDS

    def _publish_batch(self, session: Session) -> int:
        """Publish and mark what waits, in order; how many rows were published."""
        rows = session.scalars(
            select(self.outbox)
            .where(self.outbox.published_at.is_(None))
            .order_by(self.outbox.position)
            .limit(BATCH)
            # A row whose change has not committed yet is locked by it; it comes in a later round.
            .with_for_update(skip_locked=True)
        ).all()
        if rows and self.publisher is None:
            self.publisher = Publisher(self.uri, self.exchange, ca_file=self.ca_file)
        refused: set[str] = set()
        for row in rows:
            # What a subscriber's full queue refused comes again; so do later ones of that subject,
            # which keep their order, while other subjects go on.
            if row.subject not in refused and not self._published(row):
                refused.add(row.subject)
        return sum(row.published_at is not None for row in rows)

    def _published(self, row: Any) -> bool:
        assert self.publisher is not None  # nosec B101 # for mypy: the caller has made it
        try:
            self.publisher.publish(row)
        except MessageNacked as refusal:
            self._log_failure("event refused by a queue", refusal)
            return False
        row.published_at = utc_now()
        return True

    def _log_failure(self, text: str, failure: Exception) -> None:
        _log.warning(text, extra={"source": self.source, "error": type(failure).__name__})

    def _drop_publisher(self) -> None:
        if self.publisher:
            self.publisher.close()
            self.publisher = None
