"""Events leave through a table: written with the change they tell of, published by a relay."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import eventlet
from eventlet.event import Event
from nameko.constants import AMQP_URI_CONFIG_KEY
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from sqlalchemy.orm import DeclarativeBase

from config.database import connect
from config.messaging.outbox_tables import forget_some_events
from config.messaging.publisher import Publisher
from config.messaging.relay import Relay
from config.mysql import bounded
from config.service_database import uri_of

# What cannot be ended meanwhile, by a broker that says nothing, is given up.
STOP_SECONDS = 0.8
GIVE_BACK_SECONDS = 0.5


class OutboxRelay(DependencyProvider):
    """Publishes a service's outbox on its topic exchange ``<source>.events``, in the background.

    Any number of them may run; they take turns, which ``turn`` keeps. To its service it gives what
    forgets old events, see ``forget_some_events``.

    :param awaited: names of the events that programs of this system react to, with those of the
        queues that wait for them; see ``Relay``.
    """

    def __init__(
        self,
        base: type[DeclarativeBase],
        *,
        outbox: Any,
        turn: Any,
        source: str,
        awaited: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> None:
        self.base = base
        self.outbox = outbox
        self.turn = turn
        self.source = source
        self.awaited = awaited
        self.thread: Any = None

    @property
    def alive(self) -> bool:
        """Not so when its thread has ended, for whatever reason."""
        return self.thread is None or not self.thread.dead

    def setup(self) -> None:
        config = self.container.config
        uri = uri_of(config, self.container.service_name, self.base)
        # Stopped between a statement and its commit, it would keep its locks for as long.
        self.engine = connect(uri, pool_size=1, statements_alone=True)
        self.relay = Relay(
            self.engine,
            outbox=self.outbox,
            turn=self.turn,
            source=self.source,
            awaited=self.awaited,
            connect=partial(
                Publisher,
                config[AMQP_URI_CONFIG_KEY],
                source=self.source,
                ca_file=config["TLS_CA_FILE"],
            ),
        )
        self.ended = Event()

    def start(self) -> None:
        self.thread = self.container.spawn_managed_thread(
            self._run, identifier=f"outbox relay {self.source}"
        )

    def stop(self) -> None:
        self.relay.stopping = True
        with eventlet.Timeout(STOP_SECONDS, False):
            self.ended.wait()
        self.thread.kill()
        # A frozen database is given up: then the turn ends by itself.
        with bounded(time.time() + GIVE_BACK_SECONDS):
            self.relay.close()
        self.engine.dispose()

    def get_dependency(self, worker_ctx: WorkerContext) -> Callable[..., Any]:
        return partial(
            forget_some_events, outbox=self.outbox, days=self.container.config["EVENT_DAYS"]
        )

    def _run(self) -> None:
        try:
            self.relay.run()
        finally:
            self.ended.send()
