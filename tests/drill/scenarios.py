"""Short drills, each of which a certain fault cannot pass: what is done is no matter of chance."""

import random
import signal
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx
from sqlalchemy import Connection, text

from tests.drill.checker import CLINIC_CHECK, EFFECTS, LATE
from tests.drill.drain import drained, published
from tests.drill.evidence import Evidence
from tests.drill.faults.broker import events_twice
from tests.drill.history import History, now
from tests.drill.load import Client, World
from tests.drill.nemesis import Nemesis, tell
from tests.drill.promises import LATE_SECONDS
from tests.drill.stage import WITNESS, Stage
from tests.e2e.desk import Json, rfc3339

DRAIN_SECONDS = 8.0
SETTLE_SECONDS = 60.0
CROWD = 12
BOOKINGS, KEY = "/appointments", "Idempotency-Key"


class Scenarios:
    """Played on one stage, one after the other."""

    def __init__(self, stage: Stage, world: World, folder: Path, *, seed: str = "0") -> None:
        self.stage, self.world = stage, world
        self.chance = random.Random(seed)
        self.history = History(folder / "history.jsonl")
        self.client = Client(0, world, self.history, seed)
        self._days = 0

    def evidence(self) -> Evidence:
        self.stage.wait(lambda: drained(self.stage), seconds=DRAIN_SECONDS, every=0.2)
        return Evidence(self.stage, self.world, self.history.lines)

    def one_slot(self) -> None:
        """Many patients want the same time of one doctor."""
        wanted, patients = self._free_time(), iter(self.world.patients)
        self._together(
            lambda client: client.booking(
                **wanted, durationMinutes=30, patientId=next(patients)
            )
        )

    def many_at_once(self) -> None:
        """Bookings side by side, again and again, while a relay is at work."""
        self._book_any()
        # Not before the turn of a relay that was killed is over.
        assert self.stage.wait(lambda: published(self.stage), seconds=30, every=0.2)
        for _ in range(3):
            self._together(lambda client: client.booking())

    def killed_at_work(self) -> None:
        """The witness is killed while it handles an event."""
        engine = self.stage.database(WITNESS)
        with engine.connect() as connection:
            connection.execute(text("LOCK TABLES tally WRITE"))
            self._book_any()
            assert self.stage.wait(lambda: _blocked(connection), seconds=10)
            for each in self.stage.supervisor.of(WITNESS):
                each.kill()
            connection.execute(text("UNLOCK TABLES"))
        engine.dispose()
        assert self.stage.wait(self.stage.ready, seconds=60, every=0.3)

    def told_twice(self) -> None:
        """Each event comes again."""
        self._book_any()
        assert self.stage.wait(lambda: drained(self.stage), seconds=30, every=0.2)
        events_twice(Nemesis(self.stage, self.chance, scale=0.0))

    def left_alone(self) -> None:
        """A service is frozen for longer than its caller waits, and then goes on."""
        wanted, key = self.client.booking(**self._free_time()), f"{uuid.uuid4()}"
        [frozen] = self.stage.supervisor.of("appointment")
        calls = float(self.stage.environ["CALL_SECONDS"])
        tell(frozen.pid or 0, signal.SIGSTOP)
        try:
            with self.client.asker.connected():
                self.client.asker.ask("book", "POST", BOOKINGS, wanted, {KEY: key})
            self.stage.rest(LATE_SECONDS + 1)
        finally:
            tell(frozen.pid or 0, signal.SIGCONT)
        self.stage.rest(calls / 2)
        self._book(wanted, key=key)

    def _free_time(self) -> Json:
        """Of a doctor who works at any time, on a day after those that are booked at random."""
        self._days += 1
        day = self.world.first_day + timedelta(days=self.world.days + self._days)
        return {"doctorId": self.world.doctors[-1], "date": rfc3339(day)}

    def _book_any(self) -> None:
        """Until one is booked: a time may be taken, or the doctor away."""
        while self._book(self.client.booking()).status_code != 201:
            pass

    def _book(self, body: dict[str, object], key: str = "") -> httpx.Response:
        """Until it is settled."""
        until = now() + SETTLE_SECONDS
        self.client.asker.give_up = lambda: until
        with self.client.asker.connected():
            return self.client.asker.settle(
                "book", "POST", BOOKINGS, body, {KEY: key or f"{uuid.uuid4()}"}
            )

    def _together(self, body: Callable[[Client], dict[str, object]]) -> None:
        clients = [
            Client(number, self.world, self.history, f"{self.chance.random()}")
            for number in range(CROWD)
        ]
        start = threading.Barrier(CROWD)

        def work(client: Client, wanted: dict[str, object]) -> None:
            with client.asker.connected():
                start.wait()
                client.asker.ask("book", "POST", BOOKINGS, wanted, {KEY: f"{uuid.uuid4()}"})

        threads = [threading.Thread(target=work, args=(each, body(each))) for each in clients]
        for thread in threads:
            thread.start()
        self.stage.wait(lambda: not any(each.is_alive() for each in threads), seconds=30)


def _blocked(connection: Connection) -> bool:
    """Somebody waits for the table that this connection holds."""
    listed = connection.execute(text("SHOW PROCESSLIST")).all()
    return any("metadata lock" in (row[6] or "") for row in listed)


Play = Callable[[Scenarios], None]
# By fault: the program that has it, what is played, and where the checker must find it.
SCENARIOS: dict[str, tuple[str, Play, str]] = {
    "no-inbox": (WITNESS, Scenarios.told_twice, EFFECTS),
    "high-water": ("appointment-background", Scenarios.many_at_once, EFFECTS),
    "no-deadline": ("appointment", Scenarios.left_alone, LATE),
    "no-claims": ("appointment", Scenarios.one_slot, CLINIC_CHECK),
    # The last: what it loses is waited for in vain by all that come after.
    "ack-first": (WITNESS, Scenarios.killed_at_work, EFFECTS),
}
