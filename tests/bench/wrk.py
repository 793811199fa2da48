"""Requests over HTTP by wrk, which takes less of the machine than any client in Python."""

import os
import random
import shutil
import subprocess
import time
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
    """Of the patients ``ids`` at ``url``, one after the other, and on where it was left.

    :param apart: within so many seconds, nobody may be asked for twice.
    """

    def __init__(
        self, url: str, ids: range, *, token: str | None = None, apart: float = 0
    ) -> None:
        self._url, self._ids, self._token, self._apart = url, ids, token, apart
        self._at = 0
        # When each time ended, and where it had begun.
        self._times: list[tuple[float, int]] = []

    def __call__(
        self, seconds: float, *, callers: int = CALLERS, pause: int = 0
    ) -> Figures:
        begun = self._at
        figures = wrk(
            self._url, "read", self._ids.start, len(self._ids), self._at,
            token=self._token, seconds=seconds, callers=callers, pause=pause,
        )
        self._at += figures.requests + callers
        self._times.append((time.monotonic(), begun))
        self._check_apart(seconds)
        return figures

    def _check_apart(self, seconds: float) -> None:
        """:raises ServerFailed: when the ids may have come round too early in these ``seconds``."""
        since = time.monotonic() - seconds - self._apart
        asked = self._at - min(begun for ended, begun in self._times if ended > since)
        if self._apart and asked > len(self._ids):
            raise ServerFailed(
                f"{asked:,} were read of {len(self._ids):,} patients within {self._apart:g} "
                "seconds, some of them twice: measure with fewer --seconds, or store more patients"
            )


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
