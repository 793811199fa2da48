"""Private RabbitMQ, MariaDB and Redis on 127.0.0.1, for one machine: `make stack`, the tests.

Whoever sets AMQP_URI, DATABASE_URL or REDIS_URL brings that server along; for those that are
not set, one is started in a folder and stopped again at the end.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.servers.mariadb import start_mariadb
from config.servers.packages import PACKAGES, install, missing_programs, refuse_missing
from config.servers.process import ServerFailed
from config.servers.rabbitmq import start_rabbitmq
from config.servers.redis_server import start_redis
from config.servers.site import Certificates, Server, Site

__all__ = [
    "Certificates", "Server", "ServerFailed", "install", "missing_programs", "needed",
    "servers_started", "started",
]

# The slowest first: it boots while the others are launched.
_STARTERS = {
    "AMQP_URI": start_rabbitmq,
    "DATABASE_URL": start_mariadb,
    "REDIS_URL": start_redis,
}
_WORD_EVERY = 10.0


def needed(environ: Mapping[str, str]) -> list[str]:
    """Which of the three are not given, so that a private server has to stand in."""
    return [setting for setting in _STARTERS if not environ.get(setting)]


@contextmanager
def started(
    *,
    folder: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    folder_patience: float = 10.0,
    certificates: Certificates | None = None,
) -> Iterator[dict[str, str]]:
    """The three addresses; what had to be started for them is stopped, and gone, afterwards.

    A RabbitMQ that was started comes with its ``AMQP_ADMIN_URL``; the users in the addresses are
    administrators. With ``certificates``, what is started speaks TLS only.
    """
    with servers_started(
        folder=folder,
        environ=environ,
        say=say,
        folder_patience=folder_patience,
        certificates=certificates,
    ) as servers:
        wanted = needed(environ)
        urls = {setting: environ[setting] for setting in _STARTERS if setting not in wanted}
        for server in servers.values():
            urls |= server.addresses
        yield urls


@contextmanager
def servers_started(
    *,
    folder: Path,
    environ: Mapping[str, str],
    say: Callable[[str], None],
    folder_patience: float = 10.0,
    certificates: Certificates | None = None,
) -> Iterator[dict[str, Server]]:
    """As ``started``: by setting, the servers that had to be, which can be killed and frozen."""
    wanted = needed(environ)
    refuse_missing(settings=wanted, environ=environ)
    with ExitStack() as ending:
        if wanted:
            home = _private(folder.resolve())
            lock = _lock(home, patience=folder_patience)
            ending.callback(os.close, lock)
            places = {name: _private(home / PACKAGES[name].title.lower()) for name in wanted}
            sites = [
                Site(name, places[name], environ, lock, ending, say, certificates)
                for name in wanted
            ]
            yield _start(sites, say=say)
        else:
            yield {}


def _private(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def _lock(folder: Path, *, patience: float) -> int:
    """Two brokers on the same files would ruin them, and nothing in RabbitMQ notices.

    The servers hold the lock with us. It comes free when the last of them is gone, so a start
    right after a crash waits for the servers of the crashed one.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    while not _locked(lock):
        if time.monotonic() > deadline:
            holder = os.pread(lock, 20, 0).decode() or "unknown"
            os.close(lock)
            raise ServerFailed(
                f"The servers in {folder} are in use by another start (process {holder}). "
                "End that one first, or choose another folder."
            )
        time.sleep(0.1)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(sites: list[Site], *, say: Callable[[str], None]) -> dict[str, Server]:
    """Launch all, then wait for all: the wait is as long as the slowest, not as the sum."""
    waiting = [(site, _STARTERS[site.setting](site)) for site in sites]
    servers = {site.setting: server for site, server in waiting}
    next_word = time.monotonic() + _WORD_EVERY
    while waiting := [(site, server) for site, server in waiting if not _ready(site, server)]:
        if time.monotonic() > next_word:
            say(f"Still waiting for {', '.join(server.title for _, server in waiting)} ...")
            next_word += _WORD_EVERY
        time.sleep(0.05)
    return servers


def _ready(site: Site, server: Server) -> bool:
    ready = site.is_ready(server)
    if ready:
        site.say(f"{server.title}: ready after {time.monotonic() - server.begun:.1f} s")
    return ready
