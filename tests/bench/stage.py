"""Everything that is measured against each other, on the same servers: the system, the same
gunicorn around nothing, and stock Nameko."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pymysql
import yaml
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from config.database import connect
from config.encryption import Vault
from config.keys import parse_ring
from config.servers import ServerFailed, started
from tests.bench import stock_tables
from tests.systems import System, asked, free_port, plain_environ, real_system, running

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0
# Nobody measured here is to be held back.
SETTINGS = {"RATE_LIMIT_PER_MINUTE": "100000000"}
GUNICORN = ("-m", "gunicorn", "--config", "config/gunicorn.conf.py")
NAMEKO = str(Path(sys.executable).with_name("nameko"))
EMPTY = "tests.bench.empty:application"
ECHOES = {
    "echo": ("-m", "tests.bench.echo"),
    "raw": ("-m", "tests.bench.raw_amqp", "serve"),
}

Say = Callable[[str], None]


@contextmanager
def system_of_our_own(folder: Path, say: Say) -> Iterator[System]:
    """Whatever servers the environment names: they are not looked at."""
    with started(folder=folder / "servers", environ=plain_environ(), say=say) as addresses:
        say("Starting the programs ...")
        with real_system(folder / "stack", addresses, **SETTINGS) as system:
            yield system


@dataclass(frozen=True)
class Beside:
    """Where the candidates listen that are not ours."""

    empty: str
    stock: str


@contextmanager
def beside(system: System, folder: Path, say: Say) -> Iterator[Beside]:
    """Started beside ``system``, with the settings that it has where they mean anything."""
    say("Starting what it is compared with ...")
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    with ExitStack() as programs:
        programs.enter_context(_empty(system, folder, urls[0]))
        programs.enter_context(_stock(system, folder, urls[1]))
        for name, words in ECHOES.items():
            programs.enter_context(_echo(system, folder / f"{name}.log", words))
        yield Beside(*urls)


@contextmanager
def floor_connection(system: System) -> "Iterator[pymysql.Connection]":
    """To a table with nothing but its rows, on the same server."""
    url = make_url(system.environ["DATABASE_URL"])
    connection = pymysql.connect(
        host=url.host, port=url.port or 3306, user=url.username, password=url.password or "",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE floor")
        cursor.execute("CREATE TABLE floor.row (id BIGINT AUTO_INCREMENT PRIMARY KEY, at BIGINT)")
        yield connection


@contextmanager
def opened(system: System, database: str) -> Iterator[tuple[Engine, Vault]]:
    """A service's database, and what seals its rows, for who writes as the service would."""
    rings = (parse_ring(system.environ[name]) for name in ("DATA_KEYS", "INDEX_KEYS"))
    url = make_url(system.environ["DATABASE_URL"])
    url = url.set(database=f"{url.database}_{database}")
    engine = connect(url.render_as_string(hide_password=False), pool_size=1)
    try:
        yield engine, Vault(*rings, database)
    finally:
        engine.dispose()


@contextmanager
def _empty(system: System, folder: Path, url: str) -> Iterator[None]:
    environ = {**system.environ, "PORT": str(httpx.URL(url).port)}
    log = folder / "empty.log"
    with _program((*GUNICORN, EMPTY), environ, log) as process:
        _wait(lambda: _answers(url, 204), process, log)
        yield


@contextmanager
def _echo(system: System, log: Path, words: Sequence[str]) -> Iterator[None]:
    with _program(words, system.environ, log) as process:
        _wait(lambda: "started" in log.read_text(), process, log)
        yield


@contextmanager
def _stock(system: System, folder: Path, url: str) -> Iterator[None]:
    database = make_url(system.environ["DATABASE_URL"]).set(database="stock")
    stock_tables.make(database)
    settings = {
        "AMQP_URI": system.environ["AMQP_URI"],
        "WEB_SERVER_ADDRESS": url.removeprefix("http://"),
        "DB_URIS": {"records:StockBase": database.render_as_string(hide_password=False)},
    }
    file = folder / "stock.yml"
    file.write_text(yaml.safe_dump(settings))
    run = (NAMEKO, "run", "--config", str(file))
    with ExitStack() as programs:
        for service in ("Records", "Web"):
            log = folder / f"stock {service}.log"
            argv = (*run, f"tests.bench.stock:{service}")
            process = programs.enter_context(_program(argv, plain_environ(), log))
        _wait(lambda: _answers(f"{url}/patients/1", 200), process, log)
        yield


def _program(
    words: Sequence[str], environ: Mapping[str, str], log: Path
) -> "AbstractContextManager[subprocess.Popen[str]]":
    return running([sys.executable, *words], environ=environ, log=log, folder=ROOT)


def _answers(url: str, status: int) -> bool:
    try:
        return asked(url).status_code == status
    except httpx.TransportError:
        return False


def _wait(done: Callable[[], bool], process: "subprocess.Popen[str]", log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while not done():
        if process.poll() is not None or time.monotonic() > until:
            raise ServerFailed(f"It did not come up; the end of {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
