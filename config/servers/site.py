"""The folder one private server lives in, and the life of its processes there."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from amqp.exceptions import AMQPError
from pymysql.err import MySQLError
from redis.exceptions import RedisError

from config.servers.packages import PACKAGES, find_program, search_path
from config.servers.process import ServerFailed, end, has_ended, launch, tail

_START_LIMIT = 90.0
_STEP_LIMIT = 60.0
_LOG = "server.log"
HOST = "127.0.0.1"
USER = "clinic"
# What the three clients raise while a server is not up to answering yet.
REFUSALS = (OSError, AMQPError, MySQLError, RedisError)


class Daemon:
    """A server's process, and another in its place: on the same port, with the same files.

    :param launch: starts one; told whether it was started before.
    """

    def __init__(self, launch: "Callable[[bool], subprocess.Popen[bytes]]") -> None:
        self._launch = launch
        self.process = launch(False)

    def kill(self) -> None:
        """As if the power had failed: nothing of it has time for anything."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: int) -> None:
        """To all of its processes, such as SIGSTOP and SIGCONT."""
        os.killpg(self.process.pid, number)

    def start_again(self) -> None:
        """Once it is gone."""
        self.process = self._launch(True)


@dataclass(frozen=True)
class Server:
    """A server that was launched; `probe` raises until it answers in its own protocol.

    ``control`` runs the server's own command for its operators, where it has one.
    """

    setting: str
    url: str
    daemon: Daemon
    probe: Callable[[], None]
    also: Mapping[str, str] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)
    control: "Callable[..., subprocess.Popen[bytes]] | None" = None

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        return self.daemon.process

    @property
    def title(self) -> str:
        return PACKAGES[self.setting].title

    @property
    def addresses(self) -> dict[str, str]:
        """By setting; ``also`` holds those beside the server's own."""
        return {self.setting: self.url, **self.also}


@dataclass(frozen=True)
class Certificates:
    """PEM files: who signs, the server's own certificate, and its key."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True)
class Site:
    """Whatever is launched here is ended when `ending` unwinds, the last one first."""

    setting: str
    folder: Path
    environ: Mapping[str, str]
    lock: int
    ending: ExitStack
    say: Callable[[str], None]
    certificates: Certificates | None = None

    @property
    def title(self) -> str:
        return PACKAGES[self.setting].title

    @property
    def ca_file(self) -> str | None:
        """What a client has to trust."""
        return str(self.certificates.ca) if self.certificates else None

    def launch(
        self, program: str, *options: str, log: str, **env: str
    ) -> "subprocess.Popen[bytes]":
        return self._launch([program, *options], log=log, env=env)

    def launch_server(self, program: str, *options: str, port: int, **env: str) -> Daemon:
        self.say(f"{self.title}: starting on port {port} ...")
        argv = [program, *options]
        daemon = Daemon(lambda again: self._launch(argv, log=_LOG, env=env, again=again))
        self.ending.callback(self._stop, daemon)
        return daemon

    def _launch(
        self, argv: list[str], *, log: str, env: Mapping[str, str], again: bool = False
    ) -> "subprocess.Popen[bytes]":
        program, *options = argv
        process = launch(
            [find_program(program, environ=self.environ) or program, *options],
            log=self.folder / log,
            env={"PATH": search_path(self.environ), "HOME": str(self.folder), **env},
            lock=self.lock,
            again=again,
        )
        self.ending.callback(end, process)
        return process

    def _stop(self, daemon: Daemon) -> None:
        begun = time.monotonic()
        end(daemon.process)
        self.say(f"{self.title}: stopped after {time.monotonic() - begun:.1f} s")

    def wait_until(self, done: Callable[[], bool], *, doing: str, log: str) -> None:
        """For the small steps before the server itself."""
        deadline = time.monotonic() + _STEP_LIMIT
        while not done():
            if time.monotonic() > deadline:
                raise self.failed(f"{doing} took over {_STEP_LIMIT:.0f} s", log=log)
            time.sleep(0.02)

    def failed(self, why: str, *, log: str = _LOG) -> ServerFailed:
        path = self.folder / log
        return ServerFailed(
            f"{self.title} did not start: {why}.\nThe end of {path}:\n{tail(path)}\n"
            f"Remove {self.folder} to begin with empty data, or set {self.setting} "
            f"to a {self.title} of your own."
        )

    def is_ready(self, server: Server) -> bool:
        if has_ended(server.process):
            raise self.failed(f"its process ended with code {server.process.wait()}")
        try:
            server.probe()
        except REFUSALS as refusal:
            if time.monotonic() - server.begun > _START_LIMIT:
                raise self.failed(
                    f"no answer within {_START_LIMIT:.0f} s (the last one: {refusal})"
                ) from refusal
            return False
        return True
