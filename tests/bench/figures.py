"""What came of some seconds of load."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True)
class Figures:
    """``median`` and ``p99`` in milliseconds, of all requests; ``failed`` are some of them.

    ``processor`` is how many milliseconds each took of a processor, in all processes together.
    """

    requests: int
    seconds: float
    failed: int
    median: float
    p99: float
    processor: float = 0.0

    @property
    def rate(self) -> float:
        """What was done in a second."""
        return (self.requests - self.failed) / self.seconds

    def line(self) -> str:
        return json.dumps(asdict(self))


def of_times(times: Sequence[float], *, seconds: float) -> Figures:
    """:param times: in seconds, one for each request."""
    late = sorted(times)[int(0.99 * (len(times) - 1))]
    return Figures(len(times), seconds, 0, median(times) * 1000, late * 1000)


def of_output(printed: str) -> Figures:
    """From the last line that a program of the benchmark printed."""
    return Figures(**json.loads(printed.splitlines()[-1]))
