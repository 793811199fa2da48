"""What the clients asked and were told, kept as lines of JSON and read back as figures."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

# Answers that settle what was asked: all else is unknown, and asked again.
UNSETTLED = (0, 429, 500, 502, 503, 504)
IN_FLIGHT = "request_in_flight"


@dataclass(frozen=True)
class Line:
    """One request and its answer; ``status`` is 0, and ``code`` the error's class, without one.

    ``at`` is when it was sent, in seconds since the epoch. ``told`` is what the answer said, as far
    as the checker needs it, and ``asked`` what was wanted: ids and times, nothing personal.
    """

    at: float
    client: int
    op: str
    key: str
    status: int
    code: str
    ms: float
    asked: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        return self.status not in UNSETTLED and self.code != IN_FLIGHT

    @property
    def failed(self) -> bool:
        """As a client sees it: no answer, or one of the 5xx."""
        return self.status == 0 or self.status >= 500


class History:
    """Written by many threads; the last seconds of it are at hand for the progress."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[Line] = []
        self._file = path.open("w", buffering=1)
        self._lock = threading.Lock()

    def add(self, line: Line) -> None:
        with self._lock:
            self.lines.append(line)
            if self._file.closed:  # the drill was broken off, and clients still hear of it
                return
            self._file.write(json.dumps(asdict(line)) + "\n")

    def since(self, at: float) -> list[Line]:
        """Those that were answered since then."""
        with self._lock:
            recent = self.lines[-5000:]
        return [line for line in recent if line.at + line.ms / 1000 >= at]

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True)
class Figures:
    """Of a span of time; milliseconds."""

    requests: int
    errors: int
    median: float
    p99: float
    longest: float

    @classmethod
    def of(cls, lines: Iterable[Line]) -> "Figures":
        found = list(lines)
        times = sorted(line.ms for line in found) or [0.0]
        return cls(
            requests=len(found),
            errors=sum(line.failed for line in found),
            median=median(times),
            p99=times[int(0.99 * (len(times) - 1))],
            longest=times[-1],
        )


def within(lines: Iterable[Line], begin: float, end: float) -> Iterator[Line]:
    """Those whose answer came in ``[begin, end)``."""
    return (line for line in lines if begin <= line.at + line.ms / 1000 < end)


def now() -> float:
    return time.time()
