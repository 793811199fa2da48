"""Running systems to test against: the embedded one, and the real stack, each in own processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from config.programs import catalogue

READY_SECONDS = 60
END_SECONDS = 20


@dataclass(frozen=True)
class System:
    """``logs`` holds what each of its processes printed."""

    url: str
    environ: Mapping[str, str]
    logs: Path

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def log_text(self) -> str:
        return "".join(file.read_text() for file in sorted(self.logs.glob("*.log")))


def clinic(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "config.command", *arguments]


def free_port() -> int:
    """A port that is free now, below the range that outgoing connections take."""
    for port in range(20000 + os.getpid() % 5000, 32768):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port below 32768")


def plain_environ(**settings: str) -> dict[str, str]:
    """An environment that holds these settings and nothing else of ours."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}


@contextmanager
def running(
    argv: list[str], *, environ: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[subprocess.Popen]:
    """A process that is ended by its own id, gently first."""
    with log.open("w") as output:
        process = subprocess.Popen(
            argv, env=dict(environ), cwd=folder, stdout=output, stderr=subprocess.STDOUT, text=True
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def wait_until_ready(url: str, *processes: subprocess.Popen, logs: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if any(process.poll() is not None for process in processes):
            break
        try:
            if httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    printed = "\n".join(file.read_text()[-2000:] for file in sorted(logs.glob("*.log")))
    raise RuntimeError(f"the system did not come up:\n{printed}")


@contextmanager
def embedded_system(folder: Path, *, port: int | None = None) -> Iterator[System]:
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    environ = plain_environ(PORT=str(port), DATA_DIR=str(folder / "data"))
    url = f"http://127.0.0.1:{port}"
    with running(clinic("run"), environ=environ, log=folder / "embedded.log") as process:
        wait_until_ready(url, process, logs=folder)
        yield System(url, environ, folder)


@contextmanager
def real_system(folder: Path, addresses: Mapping[str, str]) -> Iterator[System]:
    """Every program as a process of its own, on migrated databases, ready to be used."""
    port = free_port()
    environ = plain_environ(**addresses, PORT=str(port), DATA_DIR=str(folder / "data"))
    subprocess.run(clinic("migrate"), env=environ, check=True, capture_output=True, text=True)
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as programs:
        processes = [
            programs.enter_context(
                running(clinic("serve", name), environ=environ, log=folder / f"{name}.log")
            )
            for name in catalogue().names
        ]
        wait_until_ready(url, *processes, logs=folder)
        try:
            yield System(url, environ, folder)
        finally:
            # All at once: each takes a while to drain, and then is waited for by itself.
            for process in processes:
                process.send_signal(signal.SIGTERM)


@contextmanager
def raising(amqp_uri: str, *, log: Path) -> Iterator[subprocess.Popen]:
    """The service of tests/contract/raising_service.py, consuming."""
    program = Path(__file__).parent / "contract" / "raising_service.py"
    argv = [sys.executable, str(program), amqp_uri]
    with running(argv, environ=plain_environ(), log=log) as process:
        until = time.monotonic() + READY_SECONDS
        while "started" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield process
