"""Whatever lies in the queue of a service, the next call is answered, by the same process."""

import json
import pickle
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from subprocess import Popen
from typing import Any

import amqp
import pytest
from kombu import Connection, Queue

from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Request
from config.messaging.pool import Pool
from config.messaging.topology import RPC, dead_letter_queue
from schemas.errors import Unavailable
from tests.systems import raising
from tests.waiting import PATIENCE, wait_for

SECONDS = PATIENCE
JSON = "application/json"
MARK = "Marrow-Markerson"
REPLIES = str(uuid.uuid4())
CALL = {"args": [MARK], "kwargs": {}}
GOOD = json.dumps(CALL).encode()
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Sent:
    what: str
    body: bytes = GOOD
    key: str | bytes = "raising.echo"
    headers: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)


def nested(levels: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for _ in range(levels):
        table = {"a": table}
    return table


DEADLY = {
    "no reply_to": [
        Sent("nobody to answer", properties={"reply_to": None}),
        Sent("a queue of ours to answer", properties={"reply_to": "raising.echo"}),
    ],
    "no correlation_id": [
        Sent("no correlation id", properties={"correlation_id": None}),
        Sent("a correlation id in many lines", properties={"correlation_id": "a\r\nb"}),
    ],
    "unreadable": [
        Sent("broken JSON", body=b'{"args": ["' + MARK.encode()),
        Sent("nothing", body=b""),
        Sent("JSON of ten thousand levels", body=b'{"args": ' + b"[" * 10_000 + b"]" * 10_000),
        Sent("a number of ten thousand digits", body=b'{"args": [' + b"1" * 10_000 + b"]}"),
        Sent("bytes that are no text", body=b'{"args": ["\xff\xfe"], "kwargs": {}}'),
    ],
    "content type": [
        Sent(
            "pickle", body=pickle.dumps(CALL), properties={"content_type": "application/x-pickle"}
        ),
        Sent(
            "kombu's pickle",
            body=pickle.dumps(CALL),
            properties={
                "content_type": "application/x-python-serialize", "content_encoding": "binary"
            },
        ),
        Sent("yaml", body=b"!!python/none", properties={"content_type": "application/x-yaml"}),
        Sent("no content type", properties={"content_type": None}),
    ],
    "content encoding": [
        Sent("an encoding of no kind", properties={"content_encoding": "x-klingon"}),
        Sent("an encoding that runs code", properties={"content_encoding": "zlib_codec"}),
    ],
    "no call": [
        Sent("a list", body=json.dumps([MARK]).encode()),
        Sent("a number", body=b"41"),
        Sent("null", body=b"null"),
        Sent("a text", body=json.dumps(MARK).encode()),
        Sent("no arguments", body=b"{}"),
        Sent("a number of arguments", body=b'{"args": 5, "kwargs": {}}'),
        Sent("names that are a list", body=b'{"args": [], "kwargs": []}'),
    ],
    "too large": [
        Sent("ten megabytes", body=json.dumps({**CALL, "args": [10 * MEGABYTE * "x"]}).encode()),
        Sent("ten megabytes of nothing", body=bytes(10 * MEGABYTE)),
    ],
    "unknown method": [
        Sent("an unknown method", key="raising.vanish"),
        Sent("a private method", key="raising.__init__"),
        Sent("a key of odd bytes", key=b"raising.\xff\xfe\x00\n"),
        Sent("an empty name", key="raising."),
    ],
    "forged caller": [
        Sent("a caller who is not signed", headers={"nameko.caller": MARK}),
        Sent("a caller who is a table", headers={"nameko.caller": {"role": "admin"}}),
    ],
    "unreadable properties": [
        Sent("headers of three thousand levels", headers=nested(3000)),
        Sent("a bomb", body=b"BZh9" + bytes(100), headers={"compression": "application/x-bz2"}),
        Sent("ids that are no text", properties={"correlation_id": b"\xff\xfe"}),
    ],
}
JUNK = [(reason, sent) for reason, several in DEADLY.items() for sent in several]
ODD = [
    Sent("tables within tables", headers={"a": {"b": [{"c": None}, None, 1.5, True]}}),
    Sent("a date", headers={"nameko.deadline": datetime(2031, 1, 1)}),
    Sent("a header of 100,000 characters", headers={"nameko.correlation_id": "x" * 100_000}),
    Sent("a thousand headers", headers={f"nameko.{number}": None for number in range(1000)}),
    Sent("a header whose name is no text", headers={b"\xff": 1}),
    Sent("a correlation id of 255 characters", properties={"correlation_id": "x" * 255}),
    *(
        Sent(f"the deadline {value!r}", headers={"nameko.deadline": value})
        # RabbitMQ itself throws out who sends NaN.
        for value in ("soon", None, True, 0, -1e300, 1e300, 2**62, [], {})
    ),
    Sent("arguments of other types", body=b'{"args": [{"a": [null]}], "kwargs": {}}'),
    Sent("arguments that do not fit", body=b'{"args": [1, 2, 3], "kwargs": {"self": 1}}'),
    Sent("half a character", body=b'{"args": ["\\ud800"], "kwargs": {}}'),
    Sent("more than was asked for", body=b'{"args": [1], "kwargs": {}, "more": 1}'),
]


class Desk:
    """Sends anything to the service ``raising``, and looks at what becomes of it."""

    def __init__(self, connection: Connection, process: Popen[str], log: Path, uri: str) -> None:
        self._channel = connection.channel()
        self._replies = Queue(f"rpc.reply-{REPLIES}", exclusive=True)(self._channel)
        self._replies.declare()
        self._replies.bind_to(RPC, routing_key=REPLIES)
        self._letters = dead_letter_queue("classic")(self._channel)
        self._letters.declare()
        self._pool = Pool(uri, size=1, unavailable=Unavailable)
        self.process = process
        self.log = log

    def close(self) -> None:
        self._pool.close()

    def send(self, sent: Sent) -> None:
        properties = {
            "reply_to": REPLIES, "correlation_id": "c", "content_type": JSON,
            "content_encoding": "utf-8", "application_headers": sent.headers, **sent.properties,
        }
        kept = {name: value for name, value in properties.items() if value is not None}
        with recursion():
            message = amqp.Message(sent.body, **kept)
            self._channel.basic_publish(message, exchange=RPC, routing_key=sent.key)

    def letter(self) -> Any:
        letter = wait_for(lambda: self._letters.get(no_ack=True))
        assert letter.properties["delivery_mode"] == 2
        return letter

    def reply(self) -> Any:
        return wait_for(lambda: self._replies.get(no_ack=True)).payload

    def empty(self) -> None:
        self._replies.purge()
        self._letters.purge()

    def answers(self) -> bool:
        """The same process: one that is started anew would be another."""
        context = new_context(correlation="c", seconds=SECONDS, key="k")
        request = Request("raising", "echo", ("well",))
        (answer,) = self._pool.ask(
            request, headers=headers_of(context), deadline=context[DEADLINE]
        )
        return answer.result() == "well" and self.process.poll() is None


@contextmanager
def recursion() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    yield
    sys.setrecursionlimit(limit)


@pytest.fixture(scope="module")
def a_desk(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    uri, log = addresses["AMQP_URI"], tmp_path_factory.mktemp("junk") / "log"
    with raising(uri, log=log) as process, Connection(uri) as connection:
        desk = Desk(connection, process, log, uri)
        yield desk
        desk.close()


@pytest.fixture
def desk(a_desk: Desk) -> Desk:
    a_desk.empty()
    return a_desk


@pytest.mark.parametrize(("reason", "sent"), JUNK, ids=[sent.what for _, sent in JUNK])
def test_junk_becomes_a_description_and_the_service_goes_on(
    reason: str, sent: Sent, desk: Desk
) -> None:
    desk.send(sent)
    letter = desk.letter()
    description = json.loads(letter.body)
    assert description["reason"] == letter.headers["x-reason"] == reason
    assert description["bytes"] == len(sent.body)
    assert description["sha256"] == sha256(sent.body).hexdigest()
    assert letter.headers["x-queue"] == letter.delivery_info["routing_key"] == "rpc-raising"
    assert desk.answers()


@pytest.mark.parametrize("sent", ODD, ids=[sent.what for sent in ODD])
def test_what_is_odd_is_answered_one_way_or_another(sent: Sent, desk: Desk) -> None:
    desk.send(sent)
    assert set(desk.reply()) == {"result", "error"}
    assert desk.answers()


@pytest.mark.parametrize(
    "reason", ["unreadable", "content type", "no call", "too large", "unknown method",
               "forged caller"]
)
def test_a_caller_who_sent_junk_is_told(reason: str, desk: Desk) -> None:
    desk.send(DEADLY[reason][0])
    assert desk.reply()["error"]["exc_type"] in ("MalformedRequest", "MethodNotFound")


def test_of_what_was_sent_nothing_is_kept(desk: Desk) -> None:
    for _, sent in JUNK:
        desk.send(sent)
    kept = [desk.letter() for _ in JUNK]
    assert not [letter for letter in kept if MARK in letter.body]
    assert MARK not in desk.log.read_text()


def test_junk_that_cannot_be_kept_is_gone_all_the_same(desk: Desk) -> None:
    desk._letters.delete()
    try:
        desk.send(Sent("broken JSON", body=b"{"))
        assert desk.answers()
        wait_for(lambda: "dead letter not kept" in desk.log.read_text())
    finally:
        desk._letters.declare()
    assert desk.answers()
