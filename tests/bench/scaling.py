"""A second process of each service: what it changes here, and what it would change with more
processors."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from config.programs import catalogue
from config.servers import ServerFailed
from tests.bench import names
from tests.bench.figures import Figures
from tests.bench.machine import processor_by_program, rest
from tests.bench.rounds import Load
from tests.bench.stage import Say
from tests.systems import System, clinic, running

ROUNDS, SECONDS = 3, 4.0
MEASURED = (names.UNCACHED, names.BOOKING)
READY_SECONDS = 30.0
ONE, TWO = "1", "2"


def measured(system: System, loads: Mapping[str, Load], say: Say) -> dict[str, Any]:
    """As docs/benchmarks.json keeps it: by number of processes and by name, ``rate`` and
    ``demands``, the seconds of a processor that a request takes of each program; medians.
    And the ``processors`` of this machine."""
    say("One process of each service ...")
    found: dict[str, Any] = {"processors": os.cpu_count(), ONE: _all(loads)}
    with _second_of_each(system):
        say("Two processes of each service ...")
        found[TWO] = _all(loads)
    return found


@contextmanager
def _second_of_each(system: System) -> Iterator[None]:
    with ExitStack() as programs:
        for name in (program.name for program in catalogue().programs):
            log = system.logs / f"second {name}.log"
            process = running(clinic("serve", name), environ=system.environ, log=log)
            programs.enter_context(process)
            _wait_until_started(log)
        yield


def _wait_until_started(log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while '"started"' not in (printed := log.read_text()):
        if time.monotonic() > until:
            raise ServerFailed(f"It did not start:\n{printed[-2000:]}")
        time.sleep(0.1)


def _all(loads: Mapping[str, Load]) -> dict[str, Any]:
    return {name: _medians([_round(loads[name]) for _ in range(ROUNDS)]) for name in MEASURED}


def _round(load: Load) -> tuple[Figures, dict[str, float]]:
    rest()
    before = processor_by_program()
    figures = load(SECONDS)
    taken = {name: now - before.get(name, 0.0) for name, now in processor_by_program().items()}
    return figures, {name: seconds / figures.requests for name, seconds in taken.items()}


def _medians(rounds: Sequence[tuple[Figures, Mapping[str, float]]]) -> dict[str, Any]:
    programs = rounds[0][1]
    return {
        "rate": median(figures.rate for figures, _ in rounds),
        "demands": {
            name: round(median(demands[name] for _, demands in rounds), 6) for name in programs
        },
    }
