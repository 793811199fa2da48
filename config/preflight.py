"""What can be known before a start to be in its way, as sentences that say what to do."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_PORTS = {"AMQP_URI": 5672, "DATABASE_URL": 3306, "REDIS_URL": 6379}
REACH_SECONDS = 3.0


class StartRefused(Exception):
    """Why the system cannot start here, as a sentence that says what to do."""


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process alone: two would write its keys and start servers on its
    files."""
    try:
        # What is made in it from now on is for us alone: databases, keys, logins.
        os.umask(0o077)
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as refused:
        raise StartRefused(
            f"The data folder {folder} cannot be written ({refused.strerror}). "
            "Set DATA_DIR to a folder that can."
        ) from refused
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise StartRefused(
                f"The data folder {folder} is in use by another run. "
                "End that one, or set DATA_DIR to another folder."
            ) from held
        yield


@contextmanager
def listener(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there."""
    with open_listener(host, port) as opened:
        yield opened


def open_listener(host: str, port: int, *, setting: str = "PORT") -> socket.socket:
    """:raises StartRefused: advising to set ``setting``."""
    try:
        return socket.create_server((host, port), backlog=128)
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            why = "is in use by another program"
        else:
            why = f"cannot be opened on {host} ({refused.strerror})"
        raise StartRefused(f"Port {port} {why}. Set {setting} to another one.") from refused


def check_reachable(name: str, address: str) -> None:
    """:raises StartRefused: when nothing listens at the server that the setting ``name`` names."""
    url = urlsplit(address)
    where = (url.hostname or "localhost", url.port or DEFAULT_PORTS[name])
    try:
        socket.create_connection(where, timeout=REACH_SECONDS).close()
    except OSError as refused:
        raise StartRefused(
            f"{name} names a server at {where[0]}:{where[1]}, and nothing answers there "
            f"({refused.strerror or refused}). Start it, or leave {name} out to have one started."
        ) from refused
