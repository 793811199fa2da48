"""How a client asks: again with the same key until it is settled, and every time on record."""

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx

from tests.drill.history import History, Line, now

PATIENCE_SECONDS = 20.0
LONGEST_PAUSE = 2.0
TOLD = ("id", "doctorId", "patientId", "date", "end", "status", "start")


class Unsettled(Exception):
    """The end came, and it is not known what became of the request."""


class Asker:
    """:param number: by which the history knows it."""

    def __init__(
        self,
        number: int,
        urls: Sequence[str],
        token: str,
        history: History,
        chance: random.Random,
    ) -> None:
        self.number, self._urls, self._token = number, urls, token
        self._history, self._chance = history, chance
        self._gateways: list[httpx.Client] = []
        # The moment from which on what is unsettled stays so.
        self.give_up: Callable[[], float] = lambda: float("inf")

    @contextmanager
    def connected(self) -> Iterator[None]:
        """To each gateway; which one is asked is a matter of chance, as behind a balancer."""
        headers = {"Authorization": f"Bearer {self._token}"}
        with ExitStack() as ending:
            self._gateways = [
                ending.enter_context(
                    httpx.Client(
                        base_url=url, headers=headers, timeout=PATIENCE_SECONDS, verify=False,
                        trust_env=False,
                    )
                )
                for url in self._urls
            ]
            yield

    def new_key(self) -> str:
        return f"{uuid.UUID(int=self._chance.getrandbits(128), version=4)}"

    def settle(
        self, op: str, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> httpx.Response:
        """The answer that settles it: what is unknown is asked again, with the same key."""
        pause = 0.1
        while now() < self.give_up():
            answer = self.ask(op, method, path, body, headers)
            if answer is not None:
                return answer
            # Longer each time: clients who press on keep a system down.
            time.sleep(pause * self._chance.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)
        raise Unsettled(f"{op} {headers.get('Idempotency-Key', '')}")

    def ask(
        self, op: str, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> httpx.Response | None:
        """The answer, if that settles it."""
        gateway, at, begun = self._chance.choice(self._gateways), now(), time.monotonic()
        answer, error = None, ""
        try:
            answer = gateway.request(method, path, json=body, headers=headers)
        except httpx.TransportError as broken:
            error = type(broken).__name__
        ms = round(1000 * (time.monotonic() - begun), 2)
        line = Line(
            at, self.number, op, headers.get("Idempotency-Key", ""),
            answer.status_code if answer is not None else 0,
            error or _code(answer), ms, _asked(path, body, headers), _told(answer),
        )
        self._history.add(line)
        return answer if line.settled else None


def _code(answer: httpx.Response | None) -> str:
    if answer is None or answer.is_success or not answer.content:
        return ""
    try:
        return str(answer.json().get("code", ""))
    except ValueError:
        return "unreadable"


def _asked(path: str, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    wanted = {name: body[name] for name in TOLD if name in body} if body else {}
    version = {"if": headers["If-Match"]} if "If-Match" in headers else {}
    return {"path": path.partition("?")[0], **wanted, **version}


def _told(answer: httpx.Response | None) -> dict[str, Any]:
    """Ids, times and status words, and the version: nothing that a patient would mind."""
    if answer is None or not answer.is_success or not answer.content:
        return {}
    body = answer.json()
    told = {name: body[name] for name in TOLD if name in body}
    replayed = {"replayed": True} if "Idempotent-Replayed" in answer.headers else {}
    return told | replayed | ({"etag": answer.headers["ETag"]} if "ETag" in answer.headers else {})
