"""Several programs under one roof: prefixed logs, one Ctrl-C for all, none runs on alone.

Built on honcho's manager. What is changed of it here, and why (seen in honcho 2.0.0):
it acts inside the signal handler, where it fails if a program is not up yet or a line is
being printed; it counts the grace period from the first program that stops, so if none does
it waits for ever; it signals whole process groups, so a child that its own parent tells as
well hears it twice, and a second SIGTERM hangs Nameko.
"""

import os
import shlex
import signal
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from honcho.compat import ProcessManager
from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Process

from config.die_with_parent import set_death_signal, tied

GRACE = 15.0


@dataclass(frozen=True)
class Program:
    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


def run(
    *,
    programs: Sequence[Program],
    after_start: Callable[[], None] | None = None,
    grace: float = GRACE,
) -> int:
    """Run until one ends or we are told to; the exit code is 0 only for an orderly stop.

    Whoever has not ended `grace` seconds after it was asked to is killed (honcho gives 5 s in
    any case). `after_start` runs in a thread beside the programs, and dies with them.
    """
    stack = _Stack(after_start=after_start, grace=grace)
    for program in programs:
        stack.add_process(program.name, list(program.argv), env=dict(program.env))
    with _handlers_kept():
        stack.loop()
    return exit_code(
        codes=stack.codes(), ended_first=stack.ended_first, stop_asked=stack.asked is not None
    )


def command_line(argv: Sequence[str]) -> str:
    """honcho hands it to a shell; `exec` makes the program take the shell's place and signals."""
    return f"exec {shlex.join(argv)}"


def exit_code(*, codes: Mapping[str, int], ended_first: str | None, stop_asked: bool) -> int:
    if stop_asked:
        return 1 if -signal.SIGKILL in codes.values() else 0
    code = codes.get(ended_first or "", 1)
    if code < 0:
        return 128 - code  # as a shell reports a death by signal
    return code or 1


def wait_until_200(url: str, *, limit: float = 120.0) -> bool:
    """For `after_start`: True once `url` answers 200, False when the limit has passed."""
    deadline = time.monotonic() + limit
    # Past any proxy that the environment names: this is our own machine.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        with suppress(OSError), direct.open(url, timeout=2) as answer:
            if answer.status == 200:
                return True
        time.sleep(0.25)
    return False


class _Stack(Manager):
    def __init__(self, *, after_start: Callable[[], None] | None, grace: float) -> None:
        super().__init__(Printer(sys.stdout))
        self._process_ctor = _Child
        self._procmgr = _LeaderOnly()
        self._after_start = after_start
        self._grace = grace
        self._kill_at: float | None = None
        self.asked: int | None = None
        self.ended_first: str | None = None

    def codes(self) -> dict[str, int]:
        seen = self._processes.items()
        return {name: state["returncode"] for name, state in seen if "returncode" in state}

    def _start(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._remember)
        super()._start()  # forks: no thread of ours may run before it
        if self._after_start is not None:
            threading.Thread(target=self._after_start, daemon=True).start()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.asked = number

    def _any_stopped(self) -> bool:
        """honcho's loop asks this each time round, and ends them all when it is so."""
        return self.asked is not None or super()._any_stopped()

    def terminate(self) -> None:
        self._kill_at = time.monotonic() + self._grace
        self._say_why()
        super().terminate()

    def _say_why(self) -> None:
        if self.asked is not None:
            self._system_print(f"{signal.Signals(self.asked).name}: ending all\n")
            return
        self.ended_first, code = next(iter(self.codes().items()))
        self._system_print(f"{self.ended_first} ended by itself (code {code}): ending all\n")

    def kill(self) -> None:
        """honcho's own 5 s are too short for work in hand; it calls this again and again."""
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            self._kill_at = None
            super().kill()


class _LeaderOnly(ProcessManager):
    """Ask the program alone: what it started, it ends itself. Killing still takes the group."""

    def terminate(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


class _Child(Process):
    """Runs in honcho's go-between, which ignores SIGTERM and would outlive a killed stack."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        if sys.platform == "linux":
            set_death_signal(signal.SIGKILL)
        self.cmd: Any = command_line(tied(self.cmd))
        super().run(events, ignore_signals)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
