"""Running systems to test against: the embedded one, and the real stack, each in own processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx

from config.die_with_parent import tied
from config.environments import environment_of, kept_values
from config.keys import fresh
from config.programs import catalogue
from config.servers.process import free_ports
from config.settings import KEYS
from tests.waiting import PATIENCE

READY_SECONDS = 120
END_SECONDS = 30
# So long that who makes use of it stands out.
LONG_GRACE = 30.0
# Which of the processes that share the tests, as pytest-xdist calls them, this one is.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
MOST_WORKERS = 16
# What `pytest` adds to the environment of each program, and those who measure do not.
BESIDE: dict[str, str] = {}
QUICK = {
    "PYTHONPATH": str(Path(__file__).parent / "quick"),
    # Every name here is an address; making a resolver of its own takes a program 0.2 s each time.
    "EVENTLET_NO_GREENDNS": "yes",
}
# One address signs many people in here, and no test outlives a token.
SIGN_IN = {
    "ADMIN_EMAIL": "admin@clinic.example",
    "ADMIN_PASSWORD": "velvet otter marches at 7",
    "ACCESS_MINUTES": "120",
    "RATE_LIMIT_PER_MINUTE": "1000000",
    "AUTH_RATE_LIMIT_PER_MINUTE": "100000",
    # Whoever names servers for the tests may have left them as they came.
    "TRUST_LOCAL_SERVERS": "true",
}


@dataclass(frozen=True)
class System:
    """``logs`` holds what each of its processes printed; ``process`` is set if it is one."""

    url: str
    environ: Mapping[str, str]
    logs: Path
    process: "subprocess.Popen[str] | None" = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Without a turn of the processor."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
            # What it has to catch up with, such as closing what was idle for long, is done then.
            wait_until_ready(self.url, self.process, logs=self.logs)

    def client(self) -> httpx.Client:
        """The administrator's."""
        return self.caller(self.admin_token)

    def caller(self, token: str | None = None) -> httpx.Client:
        """Whoever has ``token``; nobody in particular without one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # Without a store of certificates, which takes longest to make.
        return httpx.Client(
            base_url=self.url, headers=headers, timeout=PATIENCE, verify=False, trust_env=False
        )

    @cached_property
    def admin_token(self) -> str:
        """Of the first administrator, who is made in the background after the start."""
        until = time.monotonic() + READY_SECONDS
        login = {"email": self.environ["ADMIN_EMAIL"], "password": self.environ["ADMIN_PASSWORD"]}
        with self.caller() as nobody:
            while (answer := nobody.post("/auth/login", json=login)).status_code != 200:
                assert time.monotonic() < until, answer.text
                time.sleep(0.1)
        token: str = answer.json()["accessToken"]
        return token

    def log_text(self) -> str:
        return "".join(file.read_text() for file in sorted(self.logs.glob("*.log")))


def clinic(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "config.command", *arguments]


def for_this_worker(ports: range) -> range:
    """The share of them that no other worker takes."""
    first = int(WORKER.removeprefix("gw")) % MOST_WORKERS
    return ports[first::MOST_WORKERS]


def free_port() -> int:
    """A port that is free now, below those of private servers and of outgoing connections."""
    [port] = free_ports(1, among=for_this_worker(range(10000, 20000)))
    return port


def plain_environ(**settings: str) -> dict[str, str]:
    """An environment that holds these settings and nothing else of ours."""
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return given | BESIDE | settings


@contextmanager
def running(
    argv: list[str], *, environ: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[subprocess.Popen]:
    """A process that is ended by its own id, gently first; it does not outlive this one."""
    with log.open("w") as output:
        process = subprocess.Popen(
            tied(argv),
            env=dict(environ), cwd=folder, stdout=output, stderr=subprocess.STDOUT, text=True,
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


def asked(url: str) -> httpx.Response:
    """For asking again and again: a store of certificates costs a fifth of the processor then."""
    return httpx.get(url, timeout=5, verify=False, trust_env=False)


def wait_until_ready(url: str, *processes: subprocess.Popen, logs: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if any(process.poll() is not None for process in processes):
            break
        try:
            if asked(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    printed = "\n".join(file.read_text()[-2000:] for file in sorted(logs.glob("*.log")))
    raise RuntimeError(f"the system did not come up:\n{printed}")


@contextmanager
def embedded_system(
    folder: Path, *, port: int | None = None, **settings: str
) -> Iterator[System]:
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    environ = plain_environ(
        **{**SIGN_IN, **settings}, PORT=str(port), DATA_DIR=str(folder / "data")
    )
    url = f"http://127.0.0.1:{port}"
    with running(clinic("run"), environ=environ, log=folder / "embedded.log") as process:
        wait_until_ready(url, process, logs=folder)
        yield System(url, environ, folder, process)


@contextmanager
def real_system(
    folder: Path,
    addresses: Mapping[str, str],
    *,
    programs: Collection[str] | None = None,
    **settings: str,
) -> Iterator[System]:
    """Every program as a process of its own, on migrated databases, ready to be used.

    :param programs: only these of services.yml's; all unless told.

    On servers of our own (``addresses`` then has ``AMQP_ADMIN_URL``) each one is a user with no
    more rights than it needs; ``environ`` is the administrator's.
    """
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environ = plain_environ(
        **{**addresses, **fresh(KEYS), **SIGN_IN, **settings},
        PORT=str(port),
        DATA_DIR=str(folder / "data"),
    )
    succeed(clinic("migrate"), environ=environ)
    environments = dict.fromkeys(catalogue().names, environ)
    if "AMQP_ADMIN_URL" in addresses:
        environments = least_rights(folder / "programs", environ)
    else:
        succeed(clinic("topology"), environ=environ)
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as ending:
        processes = [
            ending.enter_context(
                running(clinic("serve", name), environ=each, log=folder / f"{name}.log")
            )
            for name, each in environments.items()
            if programs is None or name in programs
        ]
        wait_until_ready(url, *processes, logs=folder)
        try:
            yield System(url, environ, folder)
        finally:
            # All at once: each takes a while to drain, and then is waited for by itself.
            for process in processes:
                process.send_signal(signal.SIGTERM)


def least_rights(folder: Path, environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """By program, the environment with the addresses of a user made for it."""
    succeed(clinic("setup", "--into", str(folder)), environ=environ)
    return {
        name: environment_of(name, everything=environ, own=kept_values(folder / f"{name}.env"))
        for name in catalogue().names
    }


def succeed(argv: list[str], *, environ: Mapping[str, str]) -> str:
    """What the command printed."""
    ended = subprocess.run(argv, env=dict(environ), capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@contextmanager
def raising(
    amqp_uri: str, *, log: Path, operations_port: int = 0, grace: float = LONG_GRACE
) -> Iterator[subprocess.Popen]:
    """The service of tests/contract/raising_service.py, consuming.

    :param grace: how many seconds it gives its work when it is told to end.
    """
    program = Path(__file__).parent / "contract" / "raising_service.py"
    argv = [sys.executable, str(program), amqp_uri, str(operations_port), str(grace)]
    with running(argv, environ=plain_environ(), log=log) as process:
        until = time.monotonic() + READY_SECONDS
        while "started" not in log.read_text():
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield process
