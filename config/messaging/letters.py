"""The dead letters, for an operator: read without being taken, sent again, or dropped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import ChannelError, NotFound
from kombu import Connection, Message, Producer

from config.messaging.connection import open_connection
from config.messaging.dead_letters import (
    ATTEMPTS,
    CONFIRM_SECONDS,
    DIED_AT,
    ERROR,
    LETTER,
    NO_ROUTE,
    QUEUE,
    REASON,
    properties,
    raw,
)
from config.messaging.topology import DEAD_LETTERS, delay

# Others come from calls, whose content is not kept.
EVENTS = "evt-"
# Members of a description of what was not kept.
DESCRIBED = {"reason", "bytes", "sha256"}
# RabbitMQ's own note, on what it put aside by itself.
BY_BROKER = "x-death"


class NotReplayed(Exception):
    """Why a letter cannot be sent again, and what to do instead."""


@dataclass(frozen=True)
class Letter:
    message: Message

    @property
    def id(self) -> str:
        return str(self._header(LETTER) or self.message.properties.get("message_id") or "?")

    @property
    def queue(self) -> str:
        """The one that it was in."""
        return str(self._header(QUEUE) or self._by_broker("queue"))

    @property
    def reason(self) -> str:
        return str(self._header(REASON) or self._by_broker("reason"))

    @property
    def died_at(self) -> str:
        return str(self._header(DIED_AT) or self._by_broker("time"))

    @property
    def is_event(self) -> bool:
        """Only then is its body what was sent."""
        content = self._read()
        described = isinstance(content, dict) and DESCRIBED <= content.keys()
        return self.queue.startswith(EVENTS) and not described

    @property
    def summary(self) -> str:
        tries, error = self._header(ATTEMPTS), self._header(ERROR)
        after = f" after {tries} {'try' if tries == 1 else 'tries'}" if self.is_event else ""
        return f"{self.id}  {self.died_at}  {self.queue}  {self.reason}{after}" + (
            f": {error}" if error else ""
        )

    @property
    def content(self) -> str:
        """Of an event its body, of anything else its description; as JSON where it is some."""
        content = self._read()
        if content is None:
            return f"{len(raw(self.message))} bytes that are no JSON"
        return json.dumps(content, indent=2)

    def _read(self) -> Any:
        try:
            return json.loads(raw(self.message))
        except (ValueError, RecursionError):
            return None

    def _header(self, name: str) -> Any:
        return (self.message.headers or {}).get(name)

    def _by_broker(self, member: str) -> Any:
        deaths = self._header(BY_BROKER) or [{}]
        return deaths[0].get(member, "?")


class Letters:
    """While it is open, what was read is held back from others, and found in place afterwards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = connection.channel()

    def __iter__(self) -> Iterator[Letter]:
        """The oldest first; each comes once, however often this begins."""
        while (message := self._channel.basic_get(DEAD_LETTERS)) is not None:
            yield Letter(self._channel.message_to_python(message))

    def __len__(self) -> int:
        """How many there are that nobody holds."""
        found = self._channel.queue_declare(DEAD_LETTERS, passive=True)
        return int(found.message_count)

    def drop(self, letter: Letter) -> None:
        letter.message.ack()

    def replay(self, letter: Letter, *, seconds: int) -> int:
        """Have it come to its queue again, as if for the first time, after ``seconds``.

        :return: how many listen there now.
        :raises NotReplayed: then it is still here.
        """
        if not letter.is_event:
            raise NotReplayed(
                f"{letter.id} describes a message that was refused; what was in it is not kept. "
                "When you have seen what it tells, drop it."
            )
        listening = self._listening(letter)
        try:
            self._send(letter, delay(seconds).name)
        except ChannelError as refused:
            if refused.reply_code != NO_ROUTE:
                raise
            raise NotReplayed(
                f"{letter.id} has no way back: the queue {delay(seconds).name} is missing. Run "
                "`clinic topology`, with the programs' EVENT_RETRY_SECONDS."
            ) from None
        # Only now: what is lost between the two comes twice, and has its effect once.
        letter.message.ack()
        return listening

    def _send(self, letter: Letter, exchange: str) -> None:
        message = letter.message
        # A channel of its own: what comes back is confirmed afterwards, and that would be taken
        # for the next one's.
        with self._connection.channel() as channel:
            Producer(channel, auto_declare=False).publish(
                raw(message),
                exchange=exchange,
                routing_key=letter.queue,
                headers={LETTER: letter.id},
                delivery_mode="persistent",
                mandatory=True,
                timeout=CONFIRM_SECONDS,
                confirm_timeout=CONFIRM_SECONDS,
                **properties(message),
            )

    def _listening(self, letter: Letter) -> int:
        try:
            with self._connection.channel() as channel:
                return int(channel.queue_declare(letter.queue, passive=True).consumer_count)
        except NotFound:
            raise NotReplayed(
                f"{letter.id} was for {letter.queue}, which is not there any more. Run "
                "`clinic topology` if it should be; otherwise drop the letter."
            ) from None


@contextmanager
def opened(uri: str, *, ca_file: str | None) -> Iterator[Letters]:
    """:raises OSError, AMQPError, OperationalError: from inside, too."""
    connection = open_connection(uri, seconds=CONFIRM_SECONDS, confirm=True, ca_file=ca_file)
    try:
        yield Letters(connection)
    finally:
        # What was read and is neither dropped nor sent again goes back to its place.
        connection.release()
