"""Requests over HTTP by wrk, which takes less of the machine than any client in Python."""

import os
import random
import shutil
import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from config.servers import ServerFailed
from tests.bench.figures import Figures, of_output
from tests.bench.machine import processor_seconds

SCRIPT = Path(__file__).with_name("load.lua")
# So many ask at once, wherever it is not said otherwise.
CALLERS = 16
# From one connection after the other, so that their requests come as from many people.
MANY_CALLERS = 64


def check_wrk() -> None:
    """:raises ServerFailed: when there is none."""
    if shutil.which("wrk") is None:
        raise ServerFailed("`wrk` is missing. On Debian: apt-get install wrk")


def wrk(
    url: str, *way: object, token: str | None, seconds: float, callers: int, pause: int
) -> Figures:
    """:param way: as tests/bench/load.lua says.
    :param pause: in ms, how long a caller rests on average before it asks again.
    """
    signed_in = ["--header", f"Authorization: Bearer {token}"] if token else []
    argv = [
        "wrk", "--threads", "1", "--connections", str(callers), "--duration", f"{seconds:.0f}s",
        "--timeout", "10s", "--script", str(SCRIPT), *signed_in, url,
        "--", str(pause), *map(str, way),
    ]
    begun = processor_seconds(*_asked())
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=True)
    figures, taken = of_output(ended.stdout), processor_seconds(*_asked()) - begun
    return replace(figures, processor=taken * 1000 / max(1, figures.requests))


def _asked() -> list[int]:
    """All of ours, and the processes of the peer if PEER_PIDS names them."""
    return [os.getpid(), *map(int, os.environ.get("PEER_PIDS", "").split())]


class Reads:
    """Of the patients ``ids`` at ``url``, one after the other, and on where it was left."""

    def __init__(self, url: str, ids: range, *, token: str | None = None) -> None:
        self._url, self._ids, self._token = url, ids, token
        self._at = 0

    def __call__(
        self, seconds: float, *, callers: int = CALLERS, pause: int = 0
    ) -> Figures:
        figures = wrk(
            self._url, "read", self._ids.start, len(self._ids), self._at,
            token=self._token, seconds=seconds, callers=callers, pause=pause,
        )
        self._at += figures.requests + callers
        return figures


class Bookings:
    """Each of them of another time or doctor, from ``begin`` on; so none should be refused."""

    def __init__(
        self, url: str, *, doctors: range, patients: range, begin: datetime, token: str | None
    ) -> None:
        self._url, self._token = url, token
        self._doctors, self._patients, self._begin = doctors, patients, begin
        self._at = 0

    def __call__(
        self, seconds: float, *, callers: int = CALLERS, pause: int = 0
    ) -> Figures:
        figures = wrk(
            self._url, "book",
            self._doctors.start, len(self._doctors), self._patients.start, len(self._patients),
            int(self._begin.timestamp()), self._at,
            token=self._token, seconds=seconds, callers=callers, pause=pause,
        )
        # What was under way in the end may be stored, too.
        self._at += figures.requests + callers
        return figures

    def skip(self, most: int) -> None:
        """For a server that may have been asked before: begin some way from the beginning."""
        self._at = random.randrange(most)
