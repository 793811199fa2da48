"""The system that is drilled: servers that can be hurt, and two processes of each program."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from config.database import connect
from config.servers import Server
from config.servers.site import REFUSALS
from tests.drill.broker import Broker
from tests.drill.supervisor import Instance, Supervisor
from tests.systems import System, asked, clinic

TICK_SECONDS = 0.05
READY_SECONDS = 90.0
WITNESS = "witness"
NO_FAULT = "none"
Say = Callable[[str], None]


@dataclass
class Stage:
    """``environ`` is the administrator's; ``each_tick`` is done again and again while time passes.
    """

    folder: Path
    environ: Mapping[str, str]
    servers: Mapping[str, Server]
    supervisor: Supervisor
    broker: Broker
    urls: list[str]
    say: Say
    each_tick: list[Callable[[], None]] = field(default_factory=list)

    @property
    def logs(self) -> list[Path]:
        return sorted(self.folder.glob("logs/*.log"))

    @property
    def system(self) -> System:
        return System(self.urls[0], self.environ, self.folder / "logs")

    def rest(self, seconds: float) -> None:
        """Let time pass, and keep everything going meanwhile."""
        self.wait(lambda: False, seconds=seconds)

    def wait(self, done: Callable[[], bool], *, seconds: float, every: float = 0.0) -> bool:
        """Whether it was done in time; looked at ``every`` so many seconds."""
        until = time.monotonic() + seconds
        look = 0.0
        while True:
            if time.monotonic() >= look:
                if done():
                    return True
                look = time.monotonic() + every
            if time.monotonic() > until:
                return False
            self._tick()

    def _tick(self) -> None:
        self.supervisor.tick()
        for each in self.each_tick:
            each()
        time.sleep(TICK_SECONDS)

    def done(self, process: "subprocess.Popen[bytes]", *, seconds: float = 60.0) -> bool:
        """Whether a command ended well; time passes for the others."""
        self.wait(lambda: process.poll() is not None, seconds=seconds)
        return process.poll() == 0

    def start_again(self, setting: str) -> None:
        """A server that was killed; on return it answers."""
        server = self.servers[setting]
        server.daemon.start_again()
        assert self.wait(lambda: answers(server), seconds=READY_SECONDS), f"no {server.title}"

    def database(self, name: str) -> Engine:
        """The administrator's way to a service's database."""
        url = make_url(self.environ["DATABASE_URL"])
        own = url.set(database=f"{url.database}_{name}" if name else "")
        return connect(
            own.render_as_string(hide_password=False), pool_size=2, statement_seconds=60
        )

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            clinic(*arguments), env=dict(self.environ), capture_output=True, text=True, timeout=180
        )

    def swap(self, program: str, fault: str = NO_FAULT) -> None:
        """Have a program run with a fault of tests/drill/broken.py; on return it consumes."""
        for each in self.supervisor.of(program):
            each.argv = command_line(program, fault)
            each.kill()
            if each.process:
                each.process.wait()
            each.died_at = 0.0
            each.start()
            assert self.wait(lambda: is_ready(each), seconds=READY_SECONDS, every=0.2), each.name

    def ready(self) -> bool:
        """Everything that should run does, and can do its work."""
        return all(is_ready(each) for each in self.supervisor.instances) and all(
            _answers_200(f"{url}/readyz") for url in self.urls
        )


def is_ready(instance: Instance) -> bool:
    """As it tells its operators."""
    port = instance.env["OPERATIONS_PORT"]
    return bool(instance.pid) and _answers_200(f"http://127.0.0.1:{port}/readyz")


def answers(server: Server) -> bool:
    try:
        server.probe()
    except REFUSALS:
        return False
    return True


def _answers_200(url: str) -> bool:
    try:
        return asked(url).status_code == 200
    except httpx.TransportError:
        return False


def command_line(program: str, fault: str) -> list[str]:
    if fault == NO_FAULT and program != WITNESS:
        return clinic("serve", program)
    return [sys.executable, "-m", "tests.drill.broken", fault, program]


def versions(built: Stage) -> dict[str, str]:
    """Of the servers."""
    engine = built.database("")
    with engine.connect() as connection:
        database = str(connection.scalar(text("SELECT VERSION()")))
    engine.dispose()
    with redis.Redis.from_url(built.environ["REDIS_URL"]) as client:
        cache = str(client.info("server")["redis_version"])
    return {"RabbitMQ": built.broker.version(), "MariaDB": database.split("-")[0], "Redis": cache}
