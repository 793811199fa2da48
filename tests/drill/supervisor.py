"""Keeps programs running: what died is started again a second later, as any orchestrator would."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.die_with_parent import tied

RESTART_SECONDS = 1.0
END_SECONDS = 25.0


@dataclass
class Instance:
    """One of the processes that run a program."""

    program: str
    number: int
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    died_at: float = 0.0
    starts: int = 0
    # How it ended by itself, each time that nobody had asked it to.
    unasked: list[int] = field(default_factory=list)
    asked: bool = False

    @property
    def name(self) -> str:
        return f"{self.program}-{self.number}"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.process.poll() is None else None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                tied(self.argv),
                env=dict(self.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the drill, which ends them in order.
                start_new_session=True,
            )
        self.starts, self.asked = self.starts + 1, False

    def send(self, number: int) -> None:
        """To the process alone; what it started hears of it from there."""
        self.asked = True
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """With all that it started."""
        self.asked = True
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Supervisor:
    """``tick`` must be called often, by the main thread: children are tied to who starts them."""

    def __init__(self) -> None:
        self.instances: list[Instance] = []
        self.ending = False

    def add(self, instance: Instance) -> None:
        self.instances.append(instance)
        instance.start()

    def of(self, *programs: str) -> list[Instance]:
        return [each for each in self.instances if each.program in programs]

    def tick(self) -> None:
        for each in self.instances:
            code = each.process.poll() if each.process else None
            if code is None or self.ending:
                continue
            if not each.died_at:
                each.died_at = time.monotonic()
                if not each.asked:
                    each.unasked.append(code)
            elif time.monotonic() - each.died_at > RESTART_SECONDS:
                each.died_at = 0.0
                each.start()

    def end(self) -> list[str]:
        """All at once; the names of those that had to be killed in the end."""
        self.ending = True
        for each in self.instances:
            # One that is stopped hears nothing else.
            for number in (signal.SIGCONT, signal.SIGTERM):
                each.send(number)
        until = time.monotonic() + END_SECONDS
        return [each.name for each in self.instances if not _gone(each, until)]


def _gone(instance: Instance, until: float) -> bool:
    assert instance.process is not None
    try:
        instance.process.wait(max(0.0, until - time.monotonic()))
        return True
    except subprocess.TimeoutExpired:
        instance.kill()
        instance.process.wait()
        return False


def children(pid: int) -> Iterator[int]:
    """Of the main thread, which is the one that forks in all programs of ours."""
    with suppress(OSError):
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        yield from (int(word) for word in listed.split())
