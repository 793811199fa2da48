"""Memory, file handles and threads of every process, and what the broker holds, over time."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.drill.history import now
from tests.drill.stage import Stage
from tests.drill.supervisor import children

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """Of one process at one time; ``rss`` in bytes."""

    at: float
    name: str
    pid: int
    rss: int
    handles: int
    threads: int


@dataclass(frozen=True)
class BrokerSample:
    at: float
    connections: int
    queues: int
    replies: int


class Samples:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.processes: list[Sample] = []
        self.broker: list[BrokerSample] = []

    def take(self) -> None:
        at = now()
        for name, pid in self._pids():
            with suppress(OSError):  # it has just ended
                self.processes.append(_sample(at, name, pid))
        with suppress(httpx.HTTPError):  # the broker is down just now
            self.broker.append(BrokerSample(at, **self._stage.broker.counts()))

    def _pids(self) -> list[tuple[str, int]]:
        found = [(server.title, server.process.pid) for server in self._stage.servers.values()]
        for each in self._stage.supervisor.instances:
            if each.pid:
                found.append((each.name, each.pid))
                found += [(f"{each.name} worker", pid) for pid in children(each.pid)]
        return found


def _sample(at: float, name: str, pid: int) -> Sample:
    folder = Path(f"/proc/{pid}")
    pages, threads = (folder / "statm").read_text().split()[1], len(os.listdir(folder / "task"))
    return Sample(at, name, pid, int(pages) * PAGE, len(os.listdir(folder / "fd")), threads)
