"""Many clients at once, on the real servers: a time has one owner, however many ask for it."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Barrier
from typing import TypeVar

import httpx
import pytest
from sqlalchemy import Engine, bindparam, text
from sqlalchemy.engine import make_url

from config.database import connect
from tests.e2e.desk import (
    Json,
    book,
    morning,
    problem,
    register_doctor,
    register_patient,
    stored,
    unique,
)
from tests.systems import System
from tests.waiting import PATIENCE

CROWD = 50
BUCKET_SECONDS = 300
Outcome = TypeVar("Outcome")


@pytest.fixture(scope="module")
def crowd(stack: System) -> Iterator[list[httpx.Client]]:
    """Clients with a connection each."""
    with ExitStack() as ending:
        yield [ending.enter_context(stack.client()) for _ in range(CROWD)]


@pytest.fixture(scope="module")
def ledger(addresses: dict[str, str], stack: System) -> Iterator["Ledger"]:
    url = make_url(addresses["DATABASE_URL"])
    own = url.set(database=f"{url.database}_appointment")
    engine = connect(own.render_as_string(hide_password=False))
    yield Ledger(engine)
    engine.dispose()


def all_at_once(acts: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
    """What each returned, in order; none begins before all are ready."""
    barrier = Barrier(len(acts))

    def act(wanted: Callable[[], Outcome]) -> Outcome:
        barrier.wait(timeout=PATIENCE)
        return wanted()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(act, acts))


def booking(
    client: httpx.Client, patient: Json, doctor: Json, start: datetime, minutes: int = 30
) -> Callable[[], httpx.Response]:
    return lambda: book(client, patient, doctor, start, key=unique(), durationMinutes=minutes)


def assert_one_winner(answers: Sequence[httpx.Response], refusal: str) -> Json:
    """The one appointment; everybody else was refused with this code, and nobody with a 5xx."""
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: 1, 409: len(answers) - 1}
    for answer in answers:
        if answer.status_code != 201:
            problem(answer, 409, refusal)
    return next(stored(answer) for answer in answers if answer.status_code == 201)


@dataclass(frozen=True)
class Row:
    id: int
    patient_id: int
    doctor_id: int
    start: datetime
    end: datetime

    def buckets(self) -> range:
        """Numbers of the 5-minute pieces since 1970 that it touches, worked out anew here."""
        seconds = int(self.start.replace(tzinfo=UTC).timestamp())
        last = int(self.end.replace(tzinfo=UTC).timestamp())
        return range(seconds // BUCKET_SECONDS, -(-last // BUCKET_SECONDS))

    def claims(self) -> set[tuple[str, int, int, int]]:
        parties = (("D", self.doctor_id), ("P", self.patient_id))
        return {
            (kind, party, bucket, self.id) for kind, party in parties for bucket in self.buckets()
        }


class Ledger:
    """What the appointment database holds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def booked(self, doctors: Sequence[Json]) -> list[Row]:
        query = text(
            "SELECT id, patient_id, doctor_id, starts_at, ends_at FROM appointment "
            "WHERE status = 'booked' AND doctor_id IN :doctors"
        ).bindparams(bindparam("doctors", expanding=True))
        with self._engine.connect() as connection:
            rows = connection.execute(query, {"doctors": [doctor["id"] for doctor in doctors]})
            return [Row(*row) for row in rows]

    def claims(self, kind: str, parties: Sequence[Json]) -> set[tuple[str, int, int, int]]:
        query = text(
            "SELECT kind, resource_id, bucket, appointment_id FROM claim "
            "WHERE kind = :kind AND resource_id IN :parties"
        ).bindparams(bindparam("parties", expanding=True))
        with self._engine.connect() as connection:
            ids = [party["id"] for party in parties]
            rows = connection.execute(query, {"kind": kind, "parties": ids})
            return {(row[0], row[1], row[2], row[3]) for row in rows}

    def check(self, *, doctors: Sequence[Json], patients: Sequence[Json]) -> list[Row]:
        """The booked appointments of these people, who meet nobody else; none of them overlap."""
        rows = self.booked(doctors)
        assert_no_overlap(rows, lambda row: row.doctor_id)
        assert_no_overlap(rows, lambda row: row.patient_id)
        wanted = {claim for row in rows for claim in row.claims()}
        assert self.claims("D", doctors) | self.claims("P", patients) == wanted
        return rows


def assert_no_overlap(rows: Sequence[Row], party: Callable[[Row], int]) -> None:
    ordered = sorted(rows, key=lambda row: (party(row), row.start))
    for first, second in pairwise(ordered):
        assert party(first) != party(second) or first.end <= second.start, (first, second)


def test_fifty_clients_on_one_slot_make_one_appointment(
    crowd: list[httpx.Client], ledger: Ledger
) -> None:
    doctor, patients = register_doctor(crowd[0]), [register_patient(one) for one in crowd]
    for day in (40, 41, 42):
        answers = all_at_once([
            booking(client, patient, doctor, morning(day))
            for client, patient in zip(crowd, patients, strict=True)
        ])
        winner = assert_one_winner(answers, "slot_taken")
        assert winner["date"].startswith(f"{morning(day):%Y-%m-%d}")
    assert len(ledger.check(doctors=[doctor], patients=patients)) == 3


def test_one_patient_with_ten_doctors_at_one_time_gets_one(
    crowd: list[httpx.Client], ledger: Ledger
) -> None:
    patient = register_patient(crowd[0])
    doctors = [register_doctor(crowd[0]) for _ in range(10)]
    answers = all_at_once([
        booking(client, patient, doctor, morning())
        for client, doctor in zip(crowd, doctors, strict=False)
    ])
    winner = assert_one_winner(answers, "patient_busy")
    rows = ledger.check(doctors=doctors, patients=[patient])
    assert [row.id for row in rows] == [winner["id"]]


def test_random_overlapping_bookings_and_cancellations_leave_no_overlap(
    crowd: list[httpx.Client], ledger: Ledger
) -> None:
    people = [register_patient(crowd[0]) for _ in range(8)]
    doctors = [register_doctor(crowd[0]) for _ in range(3)]
    plans = [random.Random(f"overlap {number}") for number in range(16)]

    def visits(client: httpx.Client, chance: random.Random) -> Callable[[], "History"]:
        return lambda: some_visits(client, chance, people=people, doctors=doctors)

    histories = all_at_once([
        visits(client, chance) for client, chance in zip(crowd, plans, strict=False)
    ])
    rows = ledger.check(doctors=doctors, patients=people)
    acknowledged = [number for history in histories for number in history.booked]
    assert len(acknowledged) > 30
    assert sum(history.refused for history in histories) > 30
    assert sorted(row.id for row in rows) == sorted(acknowledged)


@dataclass
class History:
    """What one client was told: its appointments that stand, and how often it was refused."""

    booked: list[int]
    refused: int = 0


def some_visits(
    client: httpx.Client, chance: random.Random, *, people: Sequence[Json], doctors: Sequence[Json]
) -> History:
    told = History([])
    for _ in range(15):
        start = morning(50) + timedelta(minutes=chance.randrange(0, 24 * 60, 5))
        patient, doctor = chance.choice(people), chance.choice(doctors)
        minutes = chance.choice([5, 15, 30, 45, 90])
        answer = booking(client, patient, doctor, start, minutes)()
        assert answer.status_code in (201, 409), answer.text
        if answer.status_code == 409:
            assert answer.json()["code"] in ("slot_taken", "patient_busy")
            told.refused += 1
        elif chance.random() < 0.2:
            assert client.delete(f"/appointments/{answer.json()['id']}").status_code == 204
        else:
            told.booked.append(answer.json()["id"])
    return told


def test_a_slot_that_is_cancelled_while_others_want_it_never_has_two_owners(
    crowd: list[httpx.Client], ledger: Ledger
) -> None:
    doctor, start = register_doctor(crowd[0]), morning(60)
    patients = [register_patient(crowd[0]) for _ in range(7)]
    holder = stored(book(crowd[0], patients[0], doctor, start))
    handed_over = 0
    for _ in range(25):
        cancelled, again, *answers = all_at_once([
            cancelling(crowd[0], holder),
            cancelling(crowd[1], holder),
            *(booking(crowd[n], patients[n], doctor, start) for n in range(2, 7)),
        ])
        assert (cancelled.status_code, again.status_code) == (204, 204)
        owners = [answer.json() for answer in answers if answer.status_code == 201]
        for answer in answers:
            if answer.status_code != 201:
                problem(answer, 409, "slot_taken")
        rows = ledger.check(doctors=[doctor], patients=patients)
        assert [row.id for row in rows] == [owner["id"] for owner in owners]
        assert len(owners) <= 1
        handed_over += len(owners)
        holder = owners[0] if owners else stored(book(crowd[0], patients[0], doctor, start))
    assert handed_over > 0


def cancelling(client: httpx.Client, appointment: Json) -> Callable[[], httpx.Response]:
    return lambda: client.delete(f"/appointments/{appointment['id']}")
