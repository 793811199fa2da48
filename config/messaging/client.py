"""What is asked of a service, and what comes back."""

import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kombu import Message


@dataclass(frozen=True)
class Request:
    """A call of ``service.method(*args)``."""

    service: str
    method: str
    args: Sequence[Any] = ()


@dataclass(frozen=True)
class Answer:
    """What came back; ``replayed`` when it is the answer kept for an idempotency key."""

    value: Any = None
    error: Exception | None = None
    replayed: bool = False

    def result(self) -> Any:
        """The value, or raise the error that the service raised."""
        if self.error is not None:
            raise self.error
        return self.value


class NoAnswer(Exception):
    """``service`` did not answer in time, or not in a way that could be read."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.service = service


class Undelivered(NoAnswer):
    """No queue took the call, or the connection broke: asked again, it may well be answered."""


Outcome = Message | NoAnswer


class Asked:
    """What one caller asks side by side: requests and outcomes by correlation id."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = {uuid.uuid4().hex: request for request in requests}
        # Made here: what is no JSON fails before anybody else's connection is touched.
        self.bodies = {
            id_: json.dumps({"args": list(request.args), "kwargs": {}})
            for id_, request in self.requests.items()
        }
        self.outcomes: dict[str, Outcome] = {}
        # Set when there is something for its caller to do: to take the answers, or to read.
        self.news = threading.Event()
        # Whether all of it is on its way, so that its caller is free to read.
        self.sent = False

    @property
    def waits(self) -> bool:
        return len(self.outcomes) < len(self.requests)


# Who has less time left is not begun with: no answer would come in time, and what it costs others
# to try would be for nothing.
LEAST_SECONDS = 0.1


def seconds_left(deadline: float) -> float:
    """Seconds until ``deadline``; a little, when it has passed, so that the wait itself ends it."""
    return max(deadline - time.time(), 0.001)
