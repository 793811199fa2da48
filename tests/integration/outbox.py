"""An outbox of a test's own on the real servers, relays for it, and a consumer of its events."""

import json
import sys
import threading
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

from kombu import Connection, Queue
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from config.clock import utc_now
from config.database import connect
from config.messaging.outbox_tables import publish
from config.messaging.publisher import Publisher
from config.messaging.relay import Relay
from config.messaging.topology import events_of, outbox_wake
from patient.models import Outbox, RelayTurn
from tests import waiting
from tests.integration.databases import migrated
from tests.systems import plain_environ, running
from tests.vaults import vault_for

wait_for = waiting.wait_for

ROOT = Path(__file__).parents[2]
NOTHING: Mapping[str, Collection[str]] = {}


@dataclass
class Post:
    """``source`` is nobody else's, so neither is its exchange."""

    engine: Engine
    broker: str
    source: str = field(default_factory=lambda: f"test_{uuid.uuid4().hex[:8]}")
    _locks: Any = field(default_factory=lambda: defaultdict(threading.Lock))
    _sequences: Any = field(default_factory=lambda: defaultdict(int))

    def write(self, subject: str, name: str = "updated") -> str:
        """As a service does it: the record's row is held meanwhile, here by a lock."""
        with self._locks[subject], Session(self.engine) as session, session.begin():
            self._sequences[subject] += 1
            return self.add(session, subject, self._sequences[subject], name)

    def add(self, session: Session, subject: str, sequence: int, name: str = "updated") -> str:
        """:return: the id of the event."""
        event = {"id": str(uuid.uuid4()), "subject": subject, "sequence": sequence,
                 "time": utc_now().isoformat()}
        publish(session, Outbox, name=name, event=event)
        session.flush()
        return str(event["id"])

    @property
    def unpublished(self) -> int:
        wanted = select(func.count()).where(Outbox.published_at.is_(None))
        with self.engine.connect() as connection:
            return connection.scalar(wanted) or 0

    def is_published(self, event_id: str) -> bool:
        with self.engine.connect() as connection:
            found = select(Outbox.published_at).where(Outbox.id == event_id)
            return connection.scalar(found) is not None

    def is_marked(self, at: datetime, *ids: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(Outbox).where(Outbox.id.in_(ids)).values(published_at=at))

    @property
    def holder(self) -> str | None:
        with self.engine.connect() as connection:
            return connection.scalar(select(RelayTurn.holder))

    def relay(self, *, awaited: Mapping[str, Collection[str]] = NOTHING, **options: Any) -> Relay:
        broker = options.pop("broker", self.broker)
        return Relay(
            self.engine, outbox=Outbox, turn=RelayTurn, source=self.source, awaited=awaited,
            connect=partial(Publisher, broker, source=self.source), **options,
        )

    @contextmanager
    def process(self, log: Path) -> Iterator[Popen]:
        """A relay that can be stopped and killed."""
        environ = plain_environ(
            RELAY_DATABASE=self.engine.url.render_as_string(hide_password=False),
            RELAY_BROKER=self.broker, RELAY_SOURCE=self.source,
        )
        argv = [sys.executable, "-m", "tests.integration.relay_program"]
        with running(argv, environ=environ, log=log, folder=ROOT) as process:
            yield process

    @contextmanager
    def subscriber(self, name: str = "", **arguments: Any) -> Iterator["Subscriber"]:
        """:param arguments: of its queue, with underscores for the dashes."""
        told = {name.replace("_", "-"): value for name, value in arguments.items()}
        with Connection(self.broker) as connection:
            channel = connection.default_channel
            queue = Queue(
                name or f"test-{uuid.uuid4().hex}", events_of(self.source), routing_key="#",
                exclusive=True, durable=False, queue_arguments=told,
            )(channel)
            queue.declare()
            yield Subscriber(queue)


@dataclass
class Subscriber:
    queue: Queue
    events: list[dict[str, Any]] = field(default_factory=list)

    def take(self) -> list[dict[str, Any]]:
        """All that have come so far."""
        while message := self.queue.get(no_ack=True):
            self.events.append(json.loads(message.body))
        return self.events

    @property
    def first_deliveries(self) -> dict[str, list[int]]:
        """By subject, the sequences in the order in which they came, doubles left out."""
        seen: set[str] = set()
        told: dict[str, list[int]] = defaultdict(list)
        for event in self.take():
            if event["id"] not in seen:
                told[event["subject"]].append(event["sequence"])
            seen.add(event["id"])
        return told


@contextmanager
def at_work(relay: Relay) -> Iterator[Relay]:
    """In a thread of its own."""
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield relay
    finally:
        relay.stopping = True
        thread.join(waiting.PATIENCE)
        relay.close()


@contextmanager
def open_post(addresses: Mapping[str, str]) -> Iterator[Post]:
    url = make_url(addresses["DATABASE_URL"])
    own = url.set(database=f"{url.database}_{uuid.uuid4().hex[:8]}_patient")
    with migrated("patient", own, vault_for("patient")) as engine:
        post = Post(engine, addresses["AMQP_URI"])
        with Connection(post.broker) as broker:
            outbox_wake()(broker.default_channel).declare()
            events_of(post.source)(broker.default_channel).declare()
            yield post
            broker.default_channel.exchange_delete(f"{post.source}.events")
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE `{own.database}`"))
    server.dispose()
