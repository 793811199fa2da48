"""Builds the system that is drilled, and takes it down again."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url

from config.environments import environment_of, kept_values
from config.keys import fresh
from config.programs import GATEWAY, catalogue
from config.servers import Server, servers_started
from config.servers.process import free_ports
from config.settings import KEYS
from tests.drill.broker import Broker
from tests.drill.stage import NO_FAULT, READY_SECONDS, WITNESS, Say, Stage, command_line
from tests.drill.supervisor import Instance, Supervisor
from tests.drill.witness import WitnessBase
from tests.systems import SIGN_IN, plain_environ

DATABASE = "drill"
SETTINGS = {
    "CALL_SECONDS": "5",
    # Longer, all together, than any server is away, and no longer: the drill waits for the last.
    "EVENT_RETRY_SECONDS": "1,5,15,30",
    "RATE_LIMIT_PER_MINUTE": "1000000",
    "REMINDER_MINUTES": "",
    "LOG_FORMAT": "json",
}


@contextmanager
def stage(
    folder: Path,
    *,
    say: Say,
    instances: int = 2,
    gateways: int = 1,
    programs: list[str] | None = None,
    **settings: str,
) -> Iterator[Stage]:
    """Everything up and ready; nothing of it is left afterwards.

    :param programs: only these, of services.yml's and the witness; all unless told.
    """
    with servers_started(
        folder=folder / "servers", environ=plain_environ(), say=say
    ) as servers, on_servers(
        folder, servers, say=say, instances=instances, gateways=gateways, programs=programs,
        **settings,
    ) as built:
        yield built


@contextmanager
def on_servers(
    folder: Path,
    servers: Mapping[str, Server],
    *,
    say: Say,
    instances: int = 2,
    gateways: int = 1,
    programs: list[str] | None = None,
    **settings: str,
) -> Iterator[Stage]:
    """As ``stage``, on servers that are there already."""
    environ = _administrators(folder, servers, settings)
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    built = Stage(
        folder, environ, servers, Supervisor(),
        Broker(environ["AMQP_ADMIN_URL"], environ["AMQP_URI"]), [], say,
    )
    say("Migrating, making users, declaring the topology ...")
    own = _prepare(built)
    try:
        for name in [*catalogue().names, WITNESS]:
            if programs is None or name in programs:
                count = gateways if name == GATEWAY else instances
                for number in range(1, count + 1):
                    env = environment_of(name, everything=environ, own=own[name]) if own.get(
                        name) else environ
                    _add(built, name, number, env)
        if not built.wait(built.ready, seconds=READY_SECONDS, every=0.3):
            raise RuntimeError(f"The system did not come up; its logs are in {folder / 'logs'}.")
        yield built
    finally:
        killed = built.supervisor.end()
        if killed:
            say(f"Had to be killed in the end: {', '.join(killed)}")


def _administrators(
    folder: Path, servers: Mapping[str, Server], settings: Mapping[str, str]
) -> dict[str, str]:
    addresses: dict[str, str] = {}
    for server in servers.values():
        addresses |= server.addresses
    url = make_url(addresses["DATABASE_URL"]).set(database=DATABASE)
    addresses["DATABASE_URL"] = url.render_as_string(hide_password=False)
    return plain_environ(
        **{**addresses, **fresh(KEYS), **SIGN_IN, **SETTINGS, **settings},
        DATA_DIR=str(folder / "data"),
    )


def _prepare(built: Stage) -> dict[str, dict[str, str]]:
    """By program, the addresses of a user with no more rights than it needs."""
    into = built.folder / "programs"
    for arguments in (["migrate"], ["setup", "--into", str(into)], ["topology"]):
        ended = built.command(*arguments)
        if ended.returncode != 0 and "No such command" not in ended.stderr:
            raise RuntimeError(f"clinic {arguments[0]}: {ended.stderr}")
    _make_tables_of_witness(built)
    return {file.stem: kept_values(file) for file in into.glob("[!.]*.env")}


def _make_tables_of_witness(built: Stage) -> None:
    engine = built.database("")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE IF NOT EXISTS {DATABASE}_{WITNESS}"))
    engine.dispose()
    engine = built.database(WITNESS)
    WitnessBase.metadata.create_all(engine)
    engine.dispose()


def _add(built: Stage, name: str, number: int, environ: Mapping[str, str]) -> None:
    port, operations = free_ports(2)
    env = {**environ, "OPERATIONS_PORT": str(operations), "PORT": str(port)}
    if name == GATEWAY:
        built.urls.append(f"http://127.0.0.1:{port}")
    log = built.folder / "logs" / f"{name}-{number}.log"
    built.supervisor.add(Instance(name, number, command_line(name, NO_FAULT), env, log))
