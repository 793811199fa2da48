"""What no program of ours would send: each of these must end as a dead letter, and harm nobody."""

import hashlib
import json
import pickle
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from config.messaging.topology import RPC
from tests.drill.broker import Broker

JSON, PICKLE = "application/json", "application/x-python-serialize"
LARGE = 3 * 1024 * 1024


@dataclass(frozen=True)
class Junk:
    what: str
    exchange: str
    routing_key: str
    body: bytes
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def text(self) -> str:
        return self.body.decode("latin-1")


def rpc_junk(service: str, mark: str) -> Iterator[Junk]:
    """:param mark: makes each body one of its kind, and is a word that must not be kept anywhere.
    """
    key = f"{service}.get"
    good = json.dumps({"args": [1], "kwargs": {}, "mark": mark}).encode()
    me = f"{uuid.uuid4()}"
    told = {"reply_to": me, "correlation_id": me, "content_type": JSON, "content_encoding": "utf-8"}

    def one(what: str, body: bytes, routing_key: str = key, **properties: Any) -> Junk:
        return Junk(what, RPC, routing_key, body, {**told, **properties})

    yield one("no reply_to", good, reply_to=None)
    yield one("broken JSON", b'{"args": [' + mark.encode())
    yield one("pickle", pickle.dumps({"args": [mark]}), content_type=PICKLE)
    yield one("a list", json.dumps([mark]).encode())
    yield one("too large", b'{"args": ["' + mark.encode() + b"x" * LARGE + b'"], "kwargs": {}}')
    yield one("unknown method", good + b" ", f"{service}.nonsense")
    yield one("forged caller", good + b"  ", headers={"nameko.caller": f"forged {mark}"})
    yield one("no content type", good + b"   ", content_type=None)


def event_junk(exchange: str, name: str, mark: str) -> Iterator[Junk]:
    def one(what: str, body: bytes, **properties: Any) -> Junk:
        kept = {"content_type": JSON, "content_encoding": "utf-8", **properties}
        return Junk(what, exchange, name, body, kept)

    yield one("broken JSON", b'{"id": ' + mark.encode())
    yield one("a list", json.dumps([mark]).encode())
    yield one("no id", json.dumps({"specversion": "1.0", "mark": mark}).encode())
    yield one("an id that is none", json.dumps({"id": [mark], "specversion": "1.0"}).encode())


def send(broker: Broker, junk: list[Junk]) -> None:
    with broker.connect() as connection:
        channel = connection.default_channel
        for each in junk:
            properties = {k: v for k, v in each.properties.items() if v is not None}
            headers = properties.pop("headers", {})
            message = channel.prepare_message(
                each.body,
                content_type=properties.pop("content_type", None),
                content_encoding=properties.pop("content_encoding", None),
                headers=headers,
                properties={"delivery_mode": 2, **properties},
            )
            channel.basic_publish(message, exchange=each.exchange, routing_key=each.routing_key)
