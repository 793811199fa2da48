"""A real system on servers of its own, which can be hurt; and crowds that ask all at once."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
from sqlalchemy import select
from sqlalchemy.engine import make_url

from appointment.models import Appointment
from config.database import connect
from config.keys import fresh
from config.servers import Server, servers_started
from config.settings import KEYS
from tests.e2e.desk import Json, eventually, stored
from tests.systems import (
    SIGN_IN,
    System,
    clinic,
    free_port,
    plain_environ,
    running,
    succeed,
    wait_until_ready,
)
from tests.vhosts import own_vhost

PROGRAMS = ("patient", "doctor", "appointment", "gateway")
CALL_SECONDS, PEER_SECONDS = 2.0, 1.0
LATE = CALL_SECONDS + 1.0
# So long a busy machine may let everything stand still.
STALL_SECONDS = 5.0
WORKERS = 4

Ask = Callable[[httpx.Client], httpx.Response]


@dataclass(frozen=True)
class House:
    system: System
    database: Server
    processes: Sequence["subprocess.Popen[str]"]
    ending: ExitStack

    @cached_property
    def client(self) -> httpx.Client:
        return self.ending.enter_context(self.system.client())

    def address(self, name: str) -> str:
        url = make_url(self.system.environ["DATABASE_URL"])
        own = url.set(database=f"{url.database}_{name}")
        return own.render_as_string(hide_password=False)

    def booked(self, patient: Json) -> int:
        engine = connect(self.address("appointment"))
        with engine.connect() as connection:
            theirs = select(Appointment.id).where(Appointment.patient_id == patient["id"])
            found = len(connection.scalars(theirs).all())
        engine.dispose()
        return found

    def wait_until_ready(self) -> None:
        eventually(lambda: self.readiness() == 200, what="readiness")

    def readiness(self) -> int:
        return self.client.get("/readyz").status_code

    def wait_until_well(self, ask: Ask) -> Json:
        """What ``ask`` is told in the end, by the processes that were there before."""
        self.wait_until_ready()
        # The breaker of a service that did not answer stays open for some seconds.
        told = eventually(
            lambda: answer if (answer := ask(self.client)).is_success else None,
            what="an answer",
        )
        assert [process.poll() for process in self.processes] == [None] * len(self.processes)
        return stored(told)


@contextmanager
def hurtable_house(folder: Path, addresses: Mapping[str, str]) -> Iterator[House]:
    with ExitStack() as ending:
        broker = ending.enter_context(own_vhost(addresses))
        given = plain_environ(AMQP_URI=broker)
        servers = ending.enter_context(
            servers_started(folder=folder / "servers", environ=given, say=quiet)
        )
        environ = environment(servers, str(folder / "data"), AMQP_URI=broker)
        for command in ("migrate", "topology"):
            succeed(clinic(command), environ=environ)
        processes = [
            ending.enter_context(
                running(clinic("serve", name), environ=environ, log=folder / f"{name}.log")
            )
            for name in PROGRAMS
        ]
        system = System(f"http://127.0.0.1:{environ['PORT']}", environ, folder)
        wait_until_ready(system.url, *processes, logs=folder)
        yield House(system, servers["DATABASE_URL"], processes, ending)
        for process in processes:
            process.terminate()  # all at once: each takes its time


def environment(
    servers: Mapping[str, Server], folder: str, **addresses: str
) -> dict[str, str]:
    for server in servers.values():
        addresses |= server.addresses
    return plain_environ(
        **addresses, **fresh(KEYS), **SIGN_IN,
        PORT=str(free_port()), DATA_DIR=folder, SERVICE_WORKERS=str(WORKERS),
        CALL_SECONDS=str(CALL_SECONDS), PEER_SECONDS=str(PEER_SECONDS),
    )


def quiet(line: str) -> None:
    """Nobody listens to the progress."""


@dataclass(frozen=True)
class Told:
    answer: httpx.Response
    seconds: float


def all_at_once(house: House, asks: Sequence[Ask]) -> list[Told]:
    """Each by a client of its own, as they come back."""

    def told(client: httpx.Client, ask: Ask) -> Told:
        began = time.monotonic()
        answer = ask(client)
        return Told(answer, time.monotonic() - began)

    with ExitStack() as ending, ThreadPoolExecutor(len(asks)) as crowd:
        clients = [ending.enter_context(house.system.client()) for _ in asks]
        return list(crowd.map(told, clients, asks))


def slowest(told: Sequence[Told]) -> float:
    return max(each.seconds for each in told)


def assert_refused_in_time(house: House, asks: Sequence[Ask]) -> None:
    """All are refused, and none of them later than the deadline and what this machine adds to it:
    that much, at the same time, those take that need nothing but the gateway."""
    controls: list[Ask] = [lambda client: client.get("/livez")] * len(asks)
    told = all_at_once(house, [*asks, *controls])
    refused, alive = told[:len(asks)], told[len(asks):]
    assert {each.answer.status_code for each in refused} == {503}
    assert all(int(each.answer.headers["Retry-After"]) >= 1 for each in refused)
    pace = slowest(alive)
    # The loops that serve all turn on; stopped by each wait, they would be later than that by far.
    assert len(asks) * CALL_SECONDS > 2 * (LATE + STALL_SECONDS)
    assert pace < LATE + STALL_SECONDS
    late = LATE + 3 * pace + STALL_SECONDS
    assert slowest(refused) < late, f"{slowest(refused):.2f} s, at {pace:.2f} s"


@contextmanager
def frozen(house: House) -> Iterator[None]:
    house.database.daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        house.database.daemon.signal(signal.SIGCONT)


@contextmanager
def killed(house: House) -> Iterator[None]:
    house.database.daemon.kill()
    try:
        yield
    finally:
        house.database.daemon.start_again()
