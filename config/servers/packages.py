"""Which programs the private servers need, where they are, and how to get them."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.servers.process import ServerFailed, tail

# Debian's /usr/sbin/rabbitmq-server switches to a user of its own; the script it calls does not.
_BEFORE_PATH = "/usr/lib/rabbitmq/bin"
# Debian keeps mariadbd where the PATH of an ordinary user does not look.
_AFTER_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
_STEP_LIMIT = 900.0
_POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True)
class Package:
    title: str
    package: str
    programs: tuple[str, ...]


PACKAGES = {
    "AMQP_URI": Package("RabbitMQ", "rabbitmq-server", ("rabbitmq-server", "epmd")),
    "DATABASE_URL": Package("MariaDB", "mariadb-server", ("mariadbd", "mariadb-install-db")),
    "REDIS_URL": Package("Redis", "redis-server", ("redis-server",)),
}


def search_path(environ: Mapping[str, str]) -> str:
    return f"{environ.get('PATH', os.defpath)}:{_AFTER_PATH}"


def find_program(name: str, *, environ: Mapping[str, str]) -> str | None:
    return shutil.which(name, path=f"{_BEFORE_PATH}:{search_path(environ)}")


def missing_programs(*, settings: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """The settings, of those given, whose private server is not installed here."""
    return [
        setting
        for setting in settings
        if any(find_program(name, environ=environ) is None for name in PACKAGES[setting].programs)
    ]


def refuse_missing(*, settings: Iterable[str], environ: Mapping[str, str]) -> None:
    missing = missing_programs(settings=settings, environ=environ)
    if missing:
        raise ServerFailed(_by_hand(missing))


def _by_hand(settings: Sequence[str]) -> str:
    titles = ", ".join(PACKAGES[setting].title for setting in settings)
    packages = " ".join(PACKAGES[setting].package for setting in settings)
    return (
        f"Not installed here: {titles}. Install by hand (on Debian, as root: "
        f"apt-get install {packages}), or set {', '.join(settings)} to servers of your own."
    )


def install(
    *,
    settings: Sequence[str],
    log: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    policy: Path = _POLICY,
) -> None:
    """Install the Debian packages behind `settings`, or say what to do by hand."""
    apt = shutil.which("apt-get", path=search_path(environ))
    if apt is None or os.geteuid() != 0:
        raise ServerFailed(_by_hand(settings))
    packages = [PACKAGES[setting].package for setting in settings]
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    patient = (apt, "-o", "DPkg::Lock::Timeout=120")
    steps = _Steps(command=patient, log=log, environ=environ, say=say)
    with _nothing_started_by_dpkg(policy):
        # A failed update is no end: the lists that are there may still do.
        steps.take("update", doing="reading package lists")
        code = steps.take(
            "install",
            "-y",
            "--no-install-recommends",
            *packages,
            doing=f"installing {' '.join(packages)}",
        )
    if code != 0:
        raise ServerFailed(
            f"apt-get could not install {' '.join(packages)}. The end of {log}:\n{tail(log)}\n"
            f"{_by_hand(settings)}"
        )


@dataclass(frozen=True)
class _Steps:
    command: tuple[str, ...]
    log: Path
    environ: Mapping[str, str]
    say: Callable[[str], None]

    def take(self, *arguments: str, doing: str) -> int:
        self.say(f"apt-get: {doing} (log: {self.log}) ...")
        with open(self.log, "ab") as output:
            process = subprocess.Popen(  # nosec B603 # apt-get, with names from our own table
                [*self.command, *arguments],
                env=_for_apt(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            return self._wait(process, doing)

    def _wait(self, process: "subprocess.Popen[bytes]", doing: str) -> int:
        begun = time.monotonic()
        while (spent := time.monotonic() - begun) < _STEP_LIMIT:
            try:
                return process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.say(f"apt-get: still {doing} ({spent:.0f} s) ...")
        process.terminate()
        return process.wait() or 1


def _for_apt(environ: Mapping[str, str]) -> dict[str, str]:
    """Its way out, perhaps through a proxy, and none of our secrets."""
    proxies = {name: value for name, value in environ.items() if name.lower().endswith("_proxy")}
    return {**proxies, "PATH": search_path(environ), "DEBIAN_FRONTEND": "noninteractive"}


@contextmanager
def _nothing_started_by_dpkg(policy: Path) -> Iterator[None]:
    """Debian starts what it installs, on the public ports; we start our own, on private ones."""
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)
