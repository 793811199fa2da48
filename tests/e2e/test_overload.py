"""More clients than the system can serve: some are sent away, and it is well again soon."""

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit

from config.variables import DEFAULTS
from tests.e2e.desk import (
    Json,
    booking_body,
    eventually,
    morning,
    register_doctor,
    register_patient,
)
from tests.systems import System

FEW, MANY = 4, 96
QUIET_SECONDS, LOAD_SECONDS = 1.5, 5.0
# More than the deadline: what the machine needs to take a request, and to hand out the answer, even
# if it stands still for a while.
LATE = float(DEFAULTS["CALL_SECONDS"]) + 8.0
SENT_AWAY = {429, 503}
# Taken, or refused for a reason that has nothing to do with the load.
ANSWERED = {200, 201, 409, 422}


class Told(NamedTuple):
    status: int
    seconds: float
    retry_after: str | None


class Crowd:
    """Clients who read and book at random, each as fast as it is answered."""

    def __init__(self, system: System) -> None:
        self._address = urlsplit(system.url).netloc
        self._headers = {
            "Authorization": f"Bearer {system.admin_token}", "Content-Type": "application/json"
        }
        with system.client() as client:
            self._patients = [register_patient(client) for _ in range(4)]
            self._doctors = [register_doctor(client) for _ in range(4)]

    def told(self, *, clients: int, seconds: float) -> list[Told]:
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(clients) as crowd:
            each = crowd.map(lambda _: self._keep_asking(until), range(clients))
            return [told for their in each for told in their]

    def _keep_asking(self, until: float) -> list[Told]:
        connection, told = HTTPConnection(self._address, timeout=3 * LATE), []
        while time.monotonic() < until:
            told.append(self._ask(connection))
        connection.close()
        return told

    def _ask(self, connection: HTTPConnection) -> Told:
        began, doctor = time.monotonic(), random.choice(self._doctors)
        if random.random() < 0.5:
            connection.request("GET", f"/doctors/{doctor['id']}", headers=self._headers)
        else:
            body = json.dumps(self._booking(doctor))
            connection.request("POST", "/appointments", body, self._headers)
        answer = connection.getresponse()
        answer.read()
        return Told(
            answer.status, time.monotonic() - began, answer.getheader("Retry-After")
        )

    def _booking(self, doctor: Json) -> Json:
        at = morning(random.randrange(1, 300)) + timedelta(minutes=15 * random.randrange(20))
        return booking_body(random.choice(self._patients), doctor, at)


def usual_seconds(told: Sequence[Told]) -> float:
    return sorted(each.seconds for each in told)[len(told) // 2]


def test_too_many_clients_are_told_so_in_time_and_all_is_well_soon_after(stack: System) -> None:
    crowd = Crowd(stack)
    before = usual_seconds(crowd.told(clients=FEW, seconds=QUIET_SECONDS))
    told = crowd.told(clients=MANY, seconds=LOAD_SECONDS)
    statuses = Counter(each.status for each in told)
    assert statuses.keys() <= ANSWERED | SENT_AWAY
    assert all(each.retry_after for each in told if each.status in SENT_AWAY)
    assert max(each.seconds for each in told) < LATE
    # It does not do less than it would for a few.
    assert sum(statuses[status] for status in ANSWERED) > LOAD_SECONDS * FEW

    def as_before() -> bool:
        again = crowd.told(clients=FEW, seconds=QUIET_SECONDS)
        well = all(each.status in ANSWERED for each in again)
        return well and usual_seconds(again) < 2 * before + 0.2

    eventually(as_before, what="all as it was before")
