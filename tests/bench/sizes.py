"""What many stored appointments cost, against a thousand."""

import subprocess
import time
from collections.abc import Iterable

import httpx
import pymysql

from config.clock import utc_now
from tests.bench.filling import Visit, store
from tests.bench.stage import Say, floor_connection, opened
from tests.bench.timing import Act, medians
from tests.bench.world import FEW, World
from tests.systems import System, clinic

ROUNDS, WARM_UP = 100, 25
TOLD_EVERY = 10.0
CHECK_SECONDS = 600
EMPTY_ANSWER, RAW_INSERT = "floor: an empty HTTP answer", "floor: a raw insert, with fsync"
FLOORS = (EMPTY_ANSWER, RAW_INSERT)


def measured(system: System, *, stored: int, say: Say) -> dict[str, dict[str, float]]:
    """Medians in ms, by what is done, with ``few`` and with ``many`` appointments stored."""
    with system.client() as client, floor_connection(system) as floor:
        world = World(client, today=utc_now().date())
        acts = {**_floors(client, floor), **world.acts()}
        _fill(system, world.few(), FEW, say)
        few = medians(acts, rounds=ROUNDS, warm_up=WARM_UP, tell=say)
        world.begin_again()
        _fill(system, world.others(stored - FEW), stored, say)
        many = medians(acts, rounds=ROUNDS, warm_up=WARM_UP, tell=say)
        _check(system, say)
    return {"few": few, "many": many}


def _fill(system: System, visits: Iterable[Visit], total: int, say: Say) -> None:
    say(f"Filling up to {total:,} appointments ...")
    begun = told = time.monotonic()

    def tell(stored: int) -> None:
        nonlocal told
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            say(f"{stored:,} stored")

    with opened(system, "appointment") as (engine, vault):
        store(engine, vault, visits, tell=tell)
    say(f"... in {time.monotonic() - begun:.1f} s")


def _check(system: System, say: Say) -> None:
    """What was filled in is as if it had been booked, or nothing here means anything."""
    begun = time.monotonic()
    ended = subprocess.run(
        clinic("check"), env=dict(system.environ), timeout=CHECK_SECONDS,
        stdout=subprocess.PIPE, text=True,
    )
    assert ended.returncode == 0, ended.stdout
    took = time.monotonic() - begun
    say(f"clinic check took {took:.1f} s: {ended.stdout.splitlines()[-1]}")


def _floors(client: httpx.Client, connection: "pymysql.Connection") -> dict[str, Act]:
    def empty_answer() -> None:
        assert client.get("/livez").status_code == 200

    def raw_insert() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO floor.row (at) VALUES (1)")
        connection.commit()

    return {EMPTY_ANSWER: empty_answer, RAW_INSERT: raw_insert}
