"""How much the system does in a second, against floors and others on the same servers."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from statistics import median
from typing import Any

import httpx

from config.cache import KEPT_SECONDS
from config.clock import utc_now
from config.servers import ServerFailed
from tests.bench import names, scaling
from tests.bench.figures import Figures, of_output
from tests.bench.machine import memory, rest
from tests.bench.people import store_patients, tell_of
from tests.bench.rounds import Load, in_turns
from tests.bench.soak import soaked
from tests.bench.stage import ROOT, Beside, Say, opened
from tests.bench.stock_tables import PATIENTS as STOCK_PATIENTS
from tests.bench.unpublished import Counted, outbox_of_appointments
from tests.bench.wrk import CALLERS, MANY_CALLERS, Bookings, Reads
from tests.e2e.desk import register_doctor, schedule_body
from tests.systems import System

# More than are asked for while copies are kept; who asks looks that it is so.
PATIENTS = range(1, 30_001)
# Of these there are copies all the time; those who book; and those who are seldom asked for.
KNOWN, BOOKERS, OTHERS = PATIENTS[:50], PATIENTS[50:1_050], PATIENTS[1_050:]
DOCTORS = 100
# As many as there are in the peer's peer.sql.
PEER_PATIENTS, PEER_DOCTORS = range(1, 5_001), range(1, 101)
PEER_BEGIN, PEER_SLOTS = datetime(2030, 1, 1, tzinfo=UTC), 2_000_000
HALF_ROUNDS, HALF_SECONDS = 3, 5.0


def prepare(system: System, say: Say) -> range:
    """Patients, and doctors who work day and night; these by id."""
    say(f"Storing {len(PATIENTS):,} patients, and registering {DOCTORS} doctors ...")
    with opened(system, "patient") as (engine, vault):
        store_patients(engine, vault, PATIENTS)
    with opened(system, "appointment") as (engine, _):
        tell_of(BOOKERS, engine)
    with system.client() as client:
        ids = [_doctor(client) for _ in range(DOCTORS)]
    return range(ids[0], ids[-1] + 1)


def _doctor(client: httpx.Client) -> int:
    number: int = register_doctor(client)["id"]
    path = f"/doctors/{number}/schedule"
    kept = client.put(path, json=schedule_body(), headers={"If-None-Match": "*"})
    assert kept.status_code == 200, kept.text
    return number


def candidates(system: System, others: Beside, doctors: range) -> dict[str, Any]:
    """By name, what loads it; those of names.HALF_LOADED take ``callers`` and ``pause``, too."""
    token = system.admin_token
    booked = partial(Bookings, doctors=doctors, patients=BOOKERS, begin=_begin())
    return {
        names.EMPTY: Reads(others.empty, KNOWN),
        names.CACHED: Reads(system.url, KNOWN, token=token),
        names.UNCACHED: Reads(system.url, OTHERS, token=token, apart=KEPT_SECONDS),
        names.STOCK_READ: Reads(others.stock, range(1, STOCK_PATIENTS + 1)),
        names.RAW_CALL: _program(system, "raw_amqp", "ask"),
        names.CALL: _program(system, "callers", "echo"),
        names.QUERY_CALL: _program(system, "callers", "exists"),
        names.STOCK_CALL: _program(system, "callers", "stock"),
        names.INSERT: _program(system, "callers", "inserts"),
        names.BOOKING: booked(system.url, token=token),
        names.STOCK_BOOKING: booked(others.stock, token=None),
        **_peer(),
    }


def _begin() -> datetime:
    """A midnight that is far enough for every notice."""
    return datetime.combine(utc_now().date() + timedelta(days=3), time(), UTC)


def _peer() -> dict[str, Load]:
    """Whatever answers the same requests at PEER_URL, as who has PEER_TOKEN; nobody if unset."""
    url, token = os.environ.get("PEER_URL"), os.environ.get("PEER_TOKEN")
    if not url:
        return {}
    bookings = Bookings(
        url, doctors=PEER_DOCTORS, patients=PEER_PATIENTS, begin=PEER_BEGIN, token=token
    )
    # It may have been asked in an earlier run.
    bookings.skip(PEER_SLOTS)
    return {
        names.PEER_READ: Reads(url, PEER_PATIENTS, token=token),
        names.PEER_BOOKING: bookings,
    }


def _program(system: System, module: str, way: str) -> Load:
    """One that asks as many at once as wrk does, and prints its figures."""
    def load(seconds: float) -> Figures:
        ended = subprocess.run(
            [sys.executable, "-m", f"tests.bench.{module}", way, f"{seconds}", f"{CALLERS}"],
            env=dict(system.environ), cwd=ROOT, timeout=seconds + 60,
            capture_output=True, text=True,
        )
        if ended.returncode:
            raise ServerFailed(f"tests.bench.{module} {way} failed:\n{ended.stderr[-2000:]}")
        return of_output(ended.stdout)

    return load


def measured(
    system: System, others: Beside, *, rounds: int, seconds: float, soak_minutes: float, say: Say
) -> dict[str, Any]:
    """As docs/benchmarks.json keeps it: ``peak`` and ``half`` by name, each a list of rounds,
    ``unpublished`` as many numbers of events, and ``memory`` in MB by program, before and after;
    ``scaling`` and ``soak`` as the modules of these names have them."""
    idle, loads = memory(), candidates(system, others, prepare(system, say))
    rest()
    peak, left = _peak(system, loads, rounds=rounds, seconds=seconds, say=say)
    half = {
        name: _half_loaded(name, loads[name], peak[name], say) for name in names.HALF_LOADED
    }
    found = {
        "peak": peak, "half": half, "memory": {"idle": idle, "after": memory()},
        "unpublished": left, "rounds": rounds, "seconds": seconds,
        "scaling": scaling.measured(system, loads, say),
    }
    if soak_minutes:
        found["soak"] = _soaked(loads, peak, minutes=soak_minutes, say=say)
    return found


def _peak(
    system: System, loads: Mapping[str, Load], *, rounds: int, seconds: float, say: Say
) -> tuple[dict[str, list[Figures]], list[int]]:
    """And how many events were still to be published when each round's bookings ended."""
    with outbox_of_appointments(system) as rows:
        booking = Counted(loads[names.BOOKING], rows)
        counted = {**loads, names.BOOKING: booking}
        peak = in_turns(counted, rounds=rounds, seconds=seconds, tell=say)
    # The first time is before the first round.
    return peak, booking.left[1:]


def _half_loaded(
    name: str, load: Callable[..., Figures], peak: Sequence[Figures], say: Say
) -> list[Figures]:
    """The figures of ``load`` while it is asked half of what it did at its ``peak``."""
    pause = _pause(peak, share=0.5)
    say(f"{name}, half as often as it can answer ...")
    found = []
    for _ in range(HALF_ROUNDS):
        found.append(load(HALF_SECONDS, callers=MANY_CALLERS, pause=pause))
        rest()
    return found


def _pause(peak: Sequence[Figures], *, share: float) -> int:
    """In ms, so that many callers ask for this share of the ``peak``. What the answers themselves
    take is the smaller part of a turn, and not looked at."""
    return round(MANY_CALLERS / (median(each.rate for each in peak) * share) * 1000)


def _soaked(
    loads: Mapping[str, Any], peak: Mapping[str, Sequence[Figures]], *, minutes: float, say: Say
) -> dict[str, Any]:
    """A quarter of what it can read, and a quarter of what it can book, at once."""
    mixed = [
        partial(loads[name], callers=MANY_CALLERS, pause=_pause(peak[name], share=0.25))
        for name in (names.CACHED, names.BOOKING)
    ]
    return soaked(mixed, minutes=minutes, say=say)
