"""One child process of ours: started so that it cannot outlive us, ended and seen gone."""

import os
import random
import secrets
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from config.die_with_parent import tied

# From 32768 on the kernel gives ports to outgoing connections: one of those could take
# ours between the look and the start.
PORTS = range(20000, 32768)
_handed_out: deque[int] = deque(maxlen=200)
_STOP_GRACE = 20.0
_ASK_EVERY = 2.0


class ServerFailed(Exception):
    """A private server cannot run; the message says which, why, and what to do next."""


def launch(
    argv: Sequence[str], *, log: Path, env: Mapping[str, str], lock: int, again: bool = False
) -> "subprocess.Popen[bytes]":
    """Start `argv` in a session of its own: Ctrl-C is for us, who then end it in order.

    It inherits `lock`, so the folder counts as taken for as long as any server lives in it,
    whatever became of us. What it says when it is started ``again`` comes after what it said.
    """
    with open(log, "ab" if again else "wb") as output:
        return subprocess.Popen(  # nosec B603 # a server, with arguments from here
            tied(argv),
            cwd=log.parent,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )


def has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Look without reaping: until it is reaped, nobody else can get its process id."""
    if process.returncode is not None:
        return True
    seen = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return seen is not None


def end(process: "subprocess.Popen[bytes]", *, grace: float = _STOP_GRACE) -> None:
    """Ask the process, wait until it is gone, and only then kill what is left of its group.

    Asked is the process alone: Erlang's own children must not hear of the end before it does.
    Asked is again and again, which none of these servers minds (Nameko would): Erlang loses a
    signal that comes in the first moments of its start.
    """
    if process.returncode is not None:
        return
    deadline = time.monotonic() + grace
    try:
        while not _ends_when_asked(process) and time.monotonic() < deadline:
            pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _ends_when_asked(process: "subprocess.Popen[bytes]") -> bool:
    os.kill(process.pid, signal.SIGTERM)
    asked = time.monotonic()
    while not (ended := has_ended(process)) and time.monotonic() < asked + _ASK_EVERY:
        time.sleep(0.02)
    return ended


def tail(log: Path, *, lines: int = 15) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def free_ports(count: int, *, among: range | None = None) -> list[int]:
    """On which nobody listens, and not handed out lately: who has one may not listen yet."""
    ports = among or PORTS
    candidates = (
        port for port in random.sample(ports, len(ports))  # nosec B311 # ports are no secret
        if port not in _handed_out and _is_free(port)
    )
    found = list(islice(candidates, count))
    if len(found) < count:
        raise ServerFailed(
            f"Found no {count} free ports between {ports.start} and {ports.stop} on 127.0.0.1. "
            "End what listens there, then start again."
        )
    _handed_out.extend(found)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> Path:
    """Readable by the owner alone from its first moment, not only after a chmod."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


def kept_secret(path: Path) -> str:
    """Made once per folder: the data inside knows the password it was created with."""
    if not path.exists() or not path.read_text():
        write_private(path, secrets.token_hex(16))
    return path.read_text()
