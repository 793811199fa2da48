"""Who does it: what the faults in tests/drill/faults need to hurt the system, and to let go."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.drill.junk import Junk
from tests.drill.stage import Stage


@dataclass
class Nemesis:
    """:param scale: how long faults last, as a part of how long they do in a long drill."""

    stage: Stage
    chance: random.Random
    scale: float = 1.0
    mark: str = "junk"
    junk: list[Junk] = field(default_factory=list)
    copies: int = 0

    def last(self, seconds: float, *, least: float = 0.0) -> None:
        self.stage.rest(max(least, seconds * self.scale))

    @contextmanager
    def frozen(self, setting: str) -> Iterator[None]:
        """A server is stopped, and goes on as if nothing had happened."""
        daemon = self.stage.servers[setting].daemon
        daemon.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            daemon.signal(signal.SIGCONT)


def tell(pid: int, number: int) -> None:
    """Send a signal to somebody who may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
