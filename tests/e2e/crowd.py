"""Clients who book, move and cancel at random, and remember what they were told."""

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple

import httpx

from tests.e2e.desk import Json, rfc3339

# What a refusal may be; all else but success is a fault.
REFUSED = (404, 409, 412, 422)
CODES = {
    "slot_taken", "patient_busy", "off_grid", "outside_hours", "precondition_failed", "not_booked",
    "move_not_allowed",
}
RETRY_SECONDS, LONGEST_PAUSE = 120, 5.0
IN_FLIGHT = "request_in_flight"
CANCELLED = "cancelled"


class State(NamedTuple):
    """An appointment, as told by an answer or by its history."""

    doctor_id: int
    start: datetime
    end: datetime

    @classmethod
    def of(cls, told: Json) -> "State":
        start, end = (datetime.fromisoformat(told[name]) for name in ("date", "end"))
        return cls(told["doctorId"], start, end)


@dataclass
class Ledger:
    """What the system has acknowledged to anybody: by appointment, the state of each version."""

    versions: dict[int, dict[int, State]] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    # Every answer about an appointment, for who has to find out what went wrong.
    trail: dict[int, list[str]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def acknowledge(self, told: Json, version: int) -> None:
        with self._lock:
            known = self.versions.setdefault(told["id"], {})
            # A change to what it is already is acknowledged, and is none.
            assert known.setdefault(version, State.of(told)) == State.of(told), told["id"]

    def cancel(self, appointment_id: int) -> None:
        with self._lock:
            self.cancelled.add(appointment_id)

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def note(self, appointment_id: int, line: str) -> None:
        with self._lock:
            self.trail.setdefault(appointment_id, []).append(line)

    def some_id(self, chance: random.Random) -> int | None:
        with self._lock:
            ids = list(self.versions.keys() - self.cancelled)
        return chance.choice(ids) if ids else None


@dataclass(frozen=True)
class World:
    doctors: Sequence[Json]
    patients: Sequence[Json]
    first_day: datetime

    def some_start(self, chance: random.Random) -> datetime:
        minutes = chance.randrange(9 * 60, 17 * 60, 15)
        return self.first_day + timedelta(days=chance.randrange(5), minutes=minutes)


class RandomClient:
    """One of many; it changes what others have booked too."""

    def __init__(
        self, client: httpx.Client, world: World, ledger: Ledger, chance: random.Random
    ) -> None:
        self._client = client
        self._world = world
        self._ledger = ledger
        self._chance = chance
        self._etags: dict[int, str] = {}

    def work(self, *, until: Callable[[], bool]) -> None:
        while not until():
            wanted = self._ledger.some_id(self._chance)
            if wanted is None or (dice := self._chance.random()) < 0.5:
                self._book()
            elif dice < 0.8:
                self._move(wanted)
            else:
                self._cancel(wanted)

    def _book(self) -> None:
        body = {
            "patientId": self._chance.choice(self._world.patients)["id"],
            "doctorId": self._chance.choice(self._world.doctors)["id"],
            "date": rfc3339(self._world.some_start(self._chance)),
            "durationMinutes": self._chance.choice((15, 30, 45)),
            "description": "Check-up",
        }
        answer = self._send("book", "POST", "/appointments", json=body)
        if answer.status_code == 201:
            self._acknowledged(answer)

    def _move(self, appointment_id: int) -> None:
        path = f"/appointments/{appointment_id}"
        # As it was read at some time: somebody else may have changed it since.
        if appointment_id not in self._etags or self._chance.random() < 0.5:
            read = self._send("read", "GET", path)
            self._etags[appointment_id] = read.headers["ETag"]
        change = self._change()
        answer = self._send(
            "move", "PATCH", path, json=change, headers={"If-Match": self._etags[appointment_id]}
        )
        if answer.status_code == 200:
            self._acknowledged(answer)

    def _change(self) -> dict[str, Any]:
        change: dict[str, Any] = {"date": rfc3339(self._world.some_start(self._chance))}
        if self._chance.random() < 0.3:
            change["doctorId"] = self._chance.choice(self._world.doctors)["id"]
        return change

    def _cancel(self, appointment_id: int) -> None:
        answer = self._send("cancel", "DELETE", f"/appointments/{appointment_id}")
        assert answer.status_code == 204, answer.text
        self._ledger.cancel(appointment_id)

    def _acknowledged(self, answer: httpx.Response) -> None:
        told, etag = answer.json(), answer.headers["ETag"]
        self._etags[told["id"]] = etag
        self._ledger.acknowledge(told, int(etag.strip('"')))

    def _send(self, what: str, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer that settles it: what is unknown is asked again, with the same key."""
        headers = {"Idempotency-Key": uuid.uuid4().hex, **request.pop("headers", {})}
        until, pause = time.monotonic() + RETRY_SECONDS, 0.1
        while time.monotonic() < until:
            with suppress(httpx.TransportError):
                answer = self._client.request(method, path, headers=headers, **request)
                self._note(answer)
                if not _is_unsettled(answer):
                    self._told(what, answer)
                    return answer
            self._ledger.count(f"{what}: sent again")
            # Longer each time: clients who press on keep an overloaded system from recovering.
            time.sleep(pause * self._chance.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError(f"{what} was not settled within {RETRY_SECONDS} s")

    def _note(self, answer: httpx.Response) -> None:
        _, _, number = answer.request.url.path.partition("/appointments/")
        if number:
            key = answer.request.headers["Idempotency-Key"][:6]
            told = answer.json().get("code", answer.headers.get("ETag")) if answer.content else ""
            at = f"{datetime.now(UTC):%H:%M:%S.%f}"
            line = f"{at} {answer.request.method} {key} {answer.status_code} {told}"
            self._ledger.note(int(number), line)

    def _told(self, what: str, answer: httpx.Response) -> None:
        if answer.is_success:
            self._ledger.count(f"{what}: {answer.status_code}")
            return
        problem = answer.json()
        assert answer.status_code in REFUSED and problem["code"] in CODES, answer.text
        self._ledger.count(f"{what}: {answer.status_code} {problem['code']}")


def _is_unsettled(answer: httpx.Response) -> bool:
    if answer.status_code == 409:
        return bool(answer.json()["code"] == IN_FLIGHT)
    return answer.status_code == 503
