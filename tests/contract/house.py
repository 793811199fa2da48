"""An installation of a test's own, with a virtual host and databases that nobody else has."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from amqp.exceptions import NotFound
from kombu import Connection, Exchange, Message, Producer
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from config.clock import utc_now
from config.database import connect
from config.encryption import VAULT, Vault
from config.keys import fresh, parse_ring
from config.messaging.topology import events_of
from config.settings import KEYS
from schemas.events import envelope
from tests.systems import clinic, plain_environ, running, succeed
from tests.vhosts import own_vhost
from tests.waiting import wait_for

QUEUE = "evt-patient-erased--{service}.patient_erased"
BACKGROUND = {
    "appointment-background": QUEUE.format(service="appointment_background"),
    "gateway-background": QUEUE.format(service="gateway_background"),
}
# The shortest that there are; a failure is final after three tries.
RETRY_SECONDS = "1,2"


@dataclass(frozen=True)
class House:
    """``environ`` is what programs are started with."""

    environ: dict[str, str]
    broker: Connection

    @contextmanager
    def serving(self, program: str, log: Path, **environ: str) -> Iterator[Popen]:
        given = self.environ | environ
        with running(clinic("serve", program), environ=given, log=log) as process:
            wait_for(lambda: self.queue(program).consumer_count == 1)
            yield process

    def queue(self, program: str) -> Any:
        """What the broker says of the queue of its handler."""
        with self.broker.channel() as channel:
            try:
                return channel.queue_declare(BACKGROUND[program], passive=True)
            except NotFound:
                # Before the first start there is none.
                return channel.queue_declare(f"none-{uuid.uuid4().hex}", exclusive=True)

    def publish(
        self, body: Any, *, source: str = "patient", event: str = "erased", **properties: Any
    ) -> None:
        exchange = Exchange(f"{source}.events", type="topic", durable=True)
        with self.broker.channel() as channel:
            told = {"content_type": "application/json", "content_encoding": "utf-8"} | properties
            Producer(channel, exchange).publish(
                body if isinstance(body, bytes | str) else json.dumps(body),
                routing_key=event, **told,
            )

    def dead_letters(self) -> list[Message]:
        """All that there are, which are gone then."""
        found = []
        with self.broker.channel() as channel:
            while (message := channel.basic_get("dead-letters", no_ack=True)) is not None:
                found.append(channel.message_to_python(message))
        return found

    def waiting(self, queue: str) -> int:
        with self.broker.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def forget(self, queue: str) -> None:
        """What waits in it, while nobody consumes."""
        with self.broker.channel() as channel:
            channel.queue_purge(queue)

    def operate(self, *arguments: str) -> str:
        """What the command ``clinic dead-letters`` printed."""
        return succeed(clinic("dead-letters", *arguments), environ=self.environ)

    @contextmanager
    def session(self, database: str) -> Iterator[Session]:
        keys = {name: parse_ring(self.environ[name]) for name in ("DATA_KEYS", "INDEX_KEYS")}
        vault = Vault(keys["DATA_KEYS"], keys["INDEX_KEYS"], database)
        engine = self.engine(database)
        with Session(engine, info={VAULT: vault}) as session, session.begin():
            yield session
        engine.dispose()

    def engine(self, database: str) -> Engine:
        url = make_url(self.environ["DATABASE_URL"])
        own = url.set(database=f"{url.database}_{database}")
        return connect(own.render_as_string(hide_password=False))


@contextmanager
def open_house(addresses: Mapping[str, str]) -> Iterator[House]:
    url = make_url(addresses["DATABASE_URL"]).set(database=f"house_{uuid.uuid4().hex[:8]}")
    with own_vhost(addresses) as amqp:
        environ = plain_environ(**addresses, **fresh(KEYS)) | {
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "AMQP_URI": amqp,
            "EVENT_RETRY_SECONDS": RETRY_SECONDS,
        }
        succeed(clinic("migrate"), environ=environ)
        succeed(clinic("topology"), environ=environ)
        with Connection(environ["AMQP_URI"]) as broker:
            # Of a service that there is in tests only.
            events_of("tests")(broker.default_channel).declare()
            yield House(environ, broker)
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        for each in ("patient", "doctor", "appointment", "gateway", "audit"):
            connection.execute(text(f"DROP DATABASE `{url.database}_{each}`"))
    server.dispose()


def erased(patient: int, **changes: Any) -> dict[str, Any]:
    event = envelope(
        source="patient", name="erased", subject=patient, sequence=2, time=utc_now(),
        correlation_id="told-by-test", data={"patient_id": patient},
    )
    return event | changes
