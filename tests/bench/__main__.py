"""`make bench`: what 100,000 stored appointments cost, against 1,000, on servers of its own."""

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pymysql
from sqlalchemy.engine import URL, make_url

from config.clock import utc_now
from config.database import connect
from config.encryption import Vault
from config.keys import parse_ring
from config.servers import ServerFailed, started
from tests.bench.filling import Visit, store
from tests.bench.timing import Act, medians
from tests.bench.world import FEW, MANY, World
from tests.systems import System, clinic, plain_environ, real_system, succeed

MOST = 2.0
ROUNDS, WARM_UP = 100, 25
TOLD_EACH = 20_000
# Nobody measured here is to be held back.
SETTINGS = {"RATE_LIMIT_PER_MINUTE": "1000000"}
EMPTY_ANSWER, RAW_INSERT = "floor: an empty HTTP answer", "floor: a raw insert, with fsync"
FLOORS = (EMPTY_ANSWER, RAW_INSERT)


def main() -> int:
    try:
        with tempfile.TemporaryDirectory() as folder, system_of_our_own(Path(folder)) as system:
            few, many = measured(system)
    except ServerFailed as failed:
        say(str(failed))
        return 1
    return report(few, many)


@contextmanager
def system_of_our_own(folder: Path) -> Iterator[System]:
    """Whatever servers the environment names: they are not looked at."""
    with started(folder=folder / "servers", environ=plain_environ(), say=say) as addresses:
        say("Starting the programs ...")
        with real_system(folder / "stack", addresses, **SETTINGS) as system:
            yield system


def measured(system: System) -> tuple[dict[str, float], dict[str, float]]:
    with system.client() as client, floor_connection(system) as floor:
        world = World(client, today=utc_now().date())
        acts = {**floors(client, floor), **world.acts()}
        fill(system, world.few(), FEW)
        few = medians(acts, rounds=ROUNDS, warm_up=WARM_UP, tell=say)
        world.cancel_what_was_booked()
        fill(system, world.others(), MANY)
        many = medians(acts, rounds=ROUNDS, warm_up=WARM_UP, tell=say)
        check(system)
    return few, many


def fill(system: System, visits: Iterable[Visit], total: int) -> None:
    say(f"Filling up to {total:,} appointments ...")
    begun, environ = time.monotonic(), system.environ
    rings = (parse_ring(environ[name]) for name in ("DATA_KEYS", "INDEX_KEYS"))
    url = _database(system).render_as_string(hide_password=False)
    engine = connect(url, pool_size=1)

    def tell(stored: int) -> None:
        if stored % TOLD_EACH == 0:
            say(f"{stored:,} stored")

    store(engine, Vault(*rings, "appointment"), visits, tell=tell)
    engine.dispose()
    say(f"... in {time.monotonic() - begun:.1f} s")


def check(system: System) -> None:
    """What was filled in is as if it had been booked, or nothing here means anything."""
    begun = time.monotonic()
    said = succeed(clinic("check"), environ=system.environ)
    say(f"clinic check took {time.monotonic() - begun:.1f} s: {said.splitlines()[-1]}")


@contextmanager
def floor_connection(system: System) -> "Iterator[pymysql.Connection]":
    """To a table with nothing but its rows, on the same server."""
    url = _database(system)
    connection = pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, password=url.password or "",
        database=url.database,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE floor")
        cursor.execute("CREATE TABLE floor.row (id BIGINT AUTO_INCREMENT PRIMARY KEY, at BIGINT)")
        yield connection


def floors(client: httpx.Client, connection: "pymysql.Connection") -> dict[str, Act]:
    def empty_answer() -> None:
        assert client.get("/livez").status_code == 200

    def raw_insert() -> None:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO floor.row (at) VALUES (1)")
        connection.commit()

    return {EMPTY_ANSWER: empty_answer, RAW_INSERT: raw_insert}


def report(few: Mapping[str, float], many: Mapping[str, float]) -> int:
    """Prints the table; the exit code."""
    failed = 0
    print(f"\n{'median, ms':36}{FEW:>10,}{MANY:>10,}{'ratio':>8}")
    for name in few:
        ratio = many[name] / few[name]
        passed = name in FLOORS or ratio <= MOST
        failed += not passed
        verdict = "" if name in FLOORS else "PASS" if passed else "FAIL"
        print(f"{name:36}{few[name]:10.2f}{many[name]:10.2f}{ratio:8.2f}  {verdict}")
    print(f"\n{'FAIL' if failed else 'PASS'}: at most {MOST} times what it takes with {FEW:,}.")
    return int(failed > 0)


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def _database(system: System) -> URL:
    url = make_url(system.environ["DATABASE_URL"])
    return url.set(database=f"{url.database}_appointment")


if __name__ == "__main__":
    sys.exit(main())
