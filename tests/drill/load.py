"""What the clients of a drill do, at random: book, move, cancel, read, register and so on."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.drill.asking import Asker, Unsettled
from tests.drill.history import History
from tests.e2e.desk import Json, patient_body, rfc3339, time_off_body
from tests.e2e.markers import Markers

# Between two requests of a client: they are people, and the machine is small.
THINK_SECONDS = (0.02, 0.12)
KEPT_ANSWERS = 100


@dataclass(frozen=True)
class Asked:
    """A request, and how it was settled: the same again must be answered the same."""

    op: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int
    answer: Any


@dataclass
class World:
    """Whom there is to book with and for. ``urls`` are those of the gateways."""

    urls: Sequence[str]
    token: str
    doctors: Sequence[int]
    patients: list[int]
    first_day: datetime
    days: int
    markers: Markers
    # Patients who were registered meanwhile, and erased again.
    erased: set[int] = field(default_factory=set)
    newcomers: list[int] = field(default_factory=list)
    # By appointment, the ETag it was last told with.
    etags: dict[int, str] = field(default_factory=dict)
    settled: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def some_start(self, chance: random.Random) -> datetime:
        minutes = chance.randrange(0, 16 * 60, 15)
        return self.first_day + timedelta(days=chance.randrange(self.days), minutes=minutes)

    def some_appointment(self, chance: random.Random) -> int | None:
        with self.lock:
            known = list(self.etags)
        # Those of late: the others are mostly cancelled.
        return chance.choice(known[-200:]) if known else None


class Client:
    """One of many; whatever it does is in the history."""

    def __init__(self, number: int, world: World, history: History, seed: str) -> None:
        self.number, self._world = number, world
        self._chance = random.Random(f"{seed} client {number}")
        self.asker = Asker(number, world.urls, world.token, history, self._chance)
        self.unsettled: list[str] = []
        self._acts: dict[Callable[[], None], int] = {
            self.book: 42, self.move: 18, self.cancel: 9, self.arrive: 4, self.read: 10,
            self.slots: 6, self.listed: 4, self.register: 4, self.time_off: 2, self.schedule: 1,
            self.erase: 1,
        }

    def work(self, *, until: Callable[[], bool]) -> None:
        with self.asker.connected():
            while not until():
                [act] = self._chance.choices(list(self._acts), list(self._acts.values()))
                try:
                    act()
                except Unsettled as unknown:
                    self.unsettled.append(str(unknown))
                time.sleep(self._chance.uniform(*THINK_SECONDS))

    # What they do

    def book(self) -> None:
        self._noted(self._change("book", "POST", "/appointments", self.booking()))

    def booking(self, **changes: Any) -> Json:
        return {
            "patientId": self._chance.choice(self._world.patients),
            "doctorId": self._chance.choice(self._world.doctors),
            "date": rfc3339(self._world.some_start(self._chance)),
            "durationMinutes": self._chance.choice((15, 30, 45)),
            "description": f"It {self._word()} hurts",
            **changes,
        }

    def move(self) -> None:
        found = self._one()
        if found is None:
            return
        number, etag = found
        body: Json = {"date": rfc3339(self._world.some_start(self._chance))}
        if self._chance.random() < 0.3:
            body["doctorId"] = self._chance.choice(self._world.doctors)
        path = f"/appointments/{number}"
        answer = self._change("move", "PATCH", path, body, {"If-Match": etag})
        self._noted(answer)
        if answer.status_code == 412:
            self._read(number)

    def cancel(self) -> None:
        found = self._one()
        if found:
            self._change("cancel", "DELETE", f"/appointments/{found[0]}", None)

    def arrive(self) -> None:
        found = self._one()
        if found:
            path = f"/appointments/{found[0]}/status"
            self._noted(self._change("status", "POST", path, {"status": "arrived"}))

    def read(self) -> None:
        found = self._one()
        if found:
            self._read(found[0])

    def slots(self) -> None:
        doctor = self._chance.choice(self._world.doctors)
        self.asker.settle("slots", "GET", f"/doctors/{doctor}/slots", None, {})

    def listed(self) -> None:
        patient = self._chance.choice(self._world.patients)
        self.asker.settle("list", "GET", f"/appointments?patientId={patient}&limit=20", None, {})

    def register(self) -> None:
        body = patient_body(
            name=f"Ada {self._word()}", email=f"{self._mark()}@example.org",
            address=f"12 {self._word()} Road",
        )
        answer = self._change("register", "POST", "/patients", body)
        if answer.status_code == 201:
            with self._world.lock:
                self._world.patients.append(answer.json()["id"])
                self._world.newcomers.append(answer.json()["id"])

    def erase(self) -> None:
        """Somebody who may be booking just now."""
        with self._world.lock:
            if not self._world.newcomers:
                return
            number = self._world.newcomers.pop(0)
            self._world.erased.add(number)
        self._change("erase", "DELETE", f"/patients/{number}", None)
        with self._world.lock:
            self._world.patients.remove(number)

    def time_off(self) -> None:
        start = self._world.some_start(self._chance)
        body = time_off_body(
            start=rfc3339(start), end=rfc3339(start + timedelta(hours=1)),
            reason=f"A {self._word()} congress",
        )
        doctor = self._chance.choice(self._world.doctors)
        self._change("time off", "POST", f"/doctors/{doctor}/time-off", body)

    def schedule(self) -> None:
        """No key here: after an answer that did not come, what is stored tells."""
        path = f"/doctors/{self._chance.choice(self._world.doctors)}/schedule"
        told = self.asker.settle("read", "GET", path, None, {})
        if told.status_code != 200 or not told.json()["weekly"]:
            return
        body = told.json() | {"maxDaysAhead": self._chance.randrange(365, 400)}
        # The names of what can be set.
        body = {
            name: body[name]
            for name in ("timezone", "slotMinutes", "weekly", "exceptions", "minNoticeMinutes",
                         "maxDaysAhead", "bufferMinutes")
        }
        self.asker.settle("schedule", "PUT", path, body, {"If-Match": told.headers["ETag"]})

    # How they ask

    def _word(self) -> str:
        with self._world.lock:
            return self._world.markers.word()

    def _mark(self) -> str:
        with self._world.lock:
            return self._world.markers.ascii()

    def _one(self) -> tuple[int, str] | None:
        number = self._world.some_appointment(self._chance)
        return None if number is None else (number, self._world.etags[number])

    def _read(self, number: int) -> None:
        self._noted(self.asker.settle("read", "GET", f"/appointments/{number}", None, {}))

    def _noted(self, answer: httpx.Response) -> None:
        if answer.is_success and "ETag" in answer.headers:
            with self._world.lock:
                self._world.etags[answer.json()["id"]] = answer.headers["ETag"]

    def _change(
        self, op: str, method: str, path: str, body: Any,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"Idempotency-Key": self.asker.new_key(), **(headers or {})}
        answer = self.asker.settle(op, method, path, body, sent)
        keyed = method in ("POST", "PATCH")
        if keyed and self._chance.random() < 0.05:
            # As a client does whose answer was lost on the way.
            self.asker.settle(op, method, path, body, sent)
        if keyed:
            told = answer.json() if answer.content else None
            with self._world.lock:
                place = len(self._world.settled)
                kept = Asked(op, method, path, sent, body, answer.status_code, told)
                if place < KEPT_ANSWERS:
                    self._world.settled.append(kept)
                elif self._chance.random() < 0.02:
                    self._world.settled[self._chance.randrange(place)] = kept
        return answer
