"""What can be known before a start to be in its way, as sentences that say what to do."""

import errno
import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StartRefused(Exception):
    """Why the system cannot start here, as a sentence that says what to do."""


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process alone: two relays on one outbox would publish twice."""
    try:
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
    try:
        opened = socket.create_server((host, port), backlog=128)
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            why = "is in use by another program"
        else:
            why = f"cannot be opened on {host} ({refused.strerror})"
        raise StartRefused(f"Port {port} {why}. Set PORT to another one.") from refused
    with opened:
        yield opened
