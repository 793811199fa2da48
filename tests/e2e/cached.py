"""A real system on servers of its own, whose programs and Redis can be hurt one by one."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nameko.standalone.rpc import ServiceRpcProxy
from redis import Redis
from redis.exceptions import RedisError

from config.keys import fresh
from config.servers import Server, servers_started
from config.settings import KEYS
from tests.e2e.desk import eventually
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
from tests.waiting import PATIENCE

# Nobody here waits for reminders.
PROGRAMS = (
    "patient", "doctor", "appointment", "patient-background", "doctor-background",
    "gateway-background", "gateway",
)
WORKERS, CALL_SECONDS = 3, 5.0


@dataclass(frozen=True)
class House:
    system: System
    server: Server
    programs: "dict[str, subprocess.Popen[str]]"

    def redis(self) -> Redis:
        return Redis.from_url(self.server.url)

    def call(self, service: str, method: str, *args: Any) -> Any:
        """As ``nameko shell`` does, past the gateway."""
        config = {"AMQP_URI": self.system.environ["AMQP_URI"]}
        with ServiceRpcProxy(service, config, timeout=PATIENCE) as proxy:
            return getattr(proxy, method)(*args)

    @contextmanager
    def stopped(self, program: str) -> Iterator[None]:
        """It does not answer; it goes on afterwards where it was."""
        self.programs[program].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.programs[program].send_signal(signal.SIGCONT)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Of Redis."""
        self.server.daemon.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.daemon.signal(signal.SIGCONT)

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Of Redis, too."""
        self.server.daemon.kill()
        try:
            yield
        finally:
            self.server.daemon.start_again()
            eventually(self._answers, what="Redis")

    def _answers(self) -> bool:
        try:
            with self.redis() as redis:
                return bool(redis.ping())
        except (OSError, RedisError):
            return False


@contextmanager
def cached_house(folder: Path) -> Iterator[House]:
    with ExitStack() as ending:
        servers = ending.enter_context(
            servers_started(folder=folder / "servers", environ=plain_environ(), say=quiet)
        )
        addresses: dict[str, str] = {}
        for server in servers.values():
            addresses |= server.addresses
        environ = plain_environ(
            **addresses, **fresh(KEYS), **SIGN_IN, PORT=str(free_port()),
            DATA_DIR=str(folder / "data"), GATEWAY_WORKERS=str(WORKERS),
            CALL_SECONDS=str(CALL_SECONDS),
        )
        for command in ("migrate", "topology"):
            succeed(clinic(command), environ=environ)
        programs = {
            name: ending.enter_context(
                running(clinic("serve", name), environ=environ, log=folder / f"{name}.log")
            )
            for name in PROGRAMS
        }
        system = System(f"http://127.0.0.1:{environ['PORT']}", environ, folder)
        wait_until_ready(system.url, *programs.values(), logs=folder)
        yield House(system, servers["REDIS_URL"], programs)
        for process in programs.values():
            process.terminate()  # all at once: each takes its time


def quiet(line: str) -> None:
    """Nobody listens to the progress."""


def until(seconds: float) -> Iterator[None]:
    """Again and again, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
