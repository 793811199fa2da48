"""Many clients who book, move and cancel at random on the real stack: nothing is lost or doubled.

RANDOM_CLIENTS_SECONDS says for how long, RANDOM_CLIENTS_SEED repeats the choices of a run.
"""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import httpx
import pytest

from tests.conftest import Say
from tests.e2e.crowd import CANCELLED, Ledger, RandomClient, State, World
from tests.e2e.desk import Json, morning, register_doctor, register_patient
from tests.systems import System, clinic
from tests.waiting import PATIENCE

CLIENTS = 64
SECONDS = float(os.environ.get("RANDOM_CLIENTS_SECONDS", "5"))
PATIENCE_SECONDS = SECONDS + 120
ENOUGH = {
    "book: 201": 100, "book: 409 slot_taken": 20, "move: 200": 20, "cancel: 204": 20,
    "move: 412 precondition_failed": 1,
}
SEED = os.environ.get("RANDOM_CLIENTS_SEED") or f"{random.randrange(10**6)}"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = [{"day": day, "start": "09:00", "end": "17:00"} for day in DAYS]
# A grid of quarters, one of half hours with a gap between any two, and one with both.
SCHEDULES = (
    {"slotMinutes": 15},
    {"slotMinutes": 30, "bufferMinutes": 15},
    {"slotMinutes": 15, "bufferMinutes": 10},
)


@pytest.fixture(scope="module")
def crowd(stack: System) -> Iterator[list[httpx.Client]]:
    with ExitStack() as ending:
        yield [ending.enter_context(stack.client()) for _ in range(CLIENTS)]


@pytest.fixture(scope="module")
def world(crowd: list[httpx.Client]) -> World:
    """Five doctors, of whom two can be booked at any time, and twenty patients."""
    admin = crowd[0]
    doctors = [register_doctor(admin) for _ in range(5)]
    for doctor, schedule in zip(doctors, SCHEDULES, strict=False):
        body = {"timezone": "UTC", "weekly": HOURS, **schedule}
        path = f"/doctors/{doctor['id']}/schedule"
        kept = admin.put(path, json=body, headers={"If-Match": admin.get(path).headers["ETag"]})
        assert kept.status_code == 200, kept.text
    patients = [register_patient(admin) for _ in range(20)]
    return World(doctors, patients, morning(80) - timedelta(hours=9))


def findings(stack: System) -> list[str]:
    """What `clinic check` names; other tests on this system may have left something."""
    checked = subprocess.run(
        clinic("check"), env=dict(stack.environ), capture_output=True, text=True,
        timeout=2 * PATIENCE,
    )
    assert checked.returncode in (0, 1), checked.stderr
    return [line for line in checked.stdout.splitlines() if " wrong (" in line]


def test_random_clients_leave_no_overlap_no_stray_claim_and_no_gap(
    stack: System, crowd: list[httpx.Client], world: World, say: Say
) -> None:
    before, ledger = findings(stack), Ledger()
    say(f"{CLIENTS} clients for {SECONDS:.0f} s, RANDOM_CLIENTS_SEED={SEED}")
    let_loose(crowd, world, ledger)
    say("; ".join(f"{what}: {times}" for what, times in sorted(ledger.counts.items())))
    assert before == findings(stack)
    check_everybody_was_told_the_truth(crowd[0], world, ledger)
    assert enough_happened(ledger)


def let_loose(crowd: list[httpx.Client], world: World, ledger: Ledger) -> None:
    begun = time.monotonic()

    def over() -> bool:
        """Later on a busy machine, where it takes longer until a run proves something."""
        seconds = time.monotonic() - begun
        return seconds > SECONDS and (enough_happened(ledger) or seconds > PATIENCE_SECONDS)

    clients = [
        RandomClient(client, world, ledger, random.Random(f"{SEED} {number}"))
        for number, client in enumerate(crowd)
    ]
    with ThreadPoolExecutor(CLIENTS) as threads:
        for work in [threads.submit(client.work, until=over) for client in clients]:
            work.result()


def check_everybody_was_told_the_truth(
    client: httpx.Client, world: World, ledger: Ledger
) -> None:
    """What was acknowledged is there, and nothing else: neither appointments nor changes."""
    stored = {each["id"]: each for doctor in world.doctors for each in listed(client, doctor)}
    assert stored.keys() == ledger.versions.keys()
    for number, appointment in stored.items():
        lines = client.get(f"/appointments/{number}/history").json()["items"]
        try:
            check_history(lines, ledger, number)
        except AssertionError:
            print(number, *lines, *ledger.trail[number], sep="\n")
            raise
        assert State.of(appointment) == State.of(lines[-1])
        assert (appointment["status"] == CANCELLED) == (number in ledger.cancelled)


def check_history(lines: list[Json], ledger: Ledger, number: int) -> None:
    assert [line["version"] for line in lines] == list(range(1, len(lines) + 1))
    ended = [line for line in lines if line["what"] == CANCELLED]
    assert len(ended) == (number in ledger.cancelled) and (not ended or ended == lines[-1:])
    stored = {line["version"]: State.of(line) for line in lines if line not in ended}
    assert stored == ledger.versions[number]


def listed(client: httpx.Client, doctor: Json) -> Iterator[Json]:
    query = {"doctorId": f"{doctor['id']}", "limit": "100"}
    while True:
        page = client.get("/appointments", params=query).json()
        yield from page["items"]
        if page["nextCursor"] is None:
            return
        query["cursor"] = page["nextCursor"]


def enough_happened(ledger: Ledger) -> bool:
    """Else a run proves little."""
    return all(ledger.counts[what] >= times for what, times in ENOUGH.items())
