"""The stack over real, tiny programs, in a process of its own as `make stack` has it.

Signals are what can go wrong here, and a test must not send them to pytest.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
LIMIT = PATIENCE / 2

RUN_STACK = """
import json, sys
from pathlib import Path
from config.stack import Program, run
env = {"PATH": "/usr/bin:/bin"}
programs = [Program(name, argv, env) for name, argv in json.loads(sys.argv[1]).items()]
sys.exit(run(programs=programs, grace=0, after_start=Path(sys.argv[2]).touch))
"""
COUNTS_SIGTERMS = """
import os, signal, time
heard = []
signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
print("up", os.getpid())
while not heard:
    time.sleep(0.02)
time.sleep(0.5)
print("SIGTERMs heard:", len(heard))
"""
TELLS_ITS_CHILD = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-u", "-c", sys.argv[1]])
signal.signal(signal.SIGTERM, lambda *_: child.terminate())
child.wait()
"""
IGNORES_SIGTERM = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", os.getpid())
time.sleep(60)
"""


def python(*words: str) -> list[str]:
    return [sys.executable, "-u", "-c", *words]


Stack = subprocess.Popen[str]
StartStack = Callable[..., Stack]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[StartStack]:
    begun: list[Stack] = []

    def start(**programs: list[str]) -> Stack:
        argv = [sys.executable, "-c", RUN_STACK, json.dumps(programs), str(tmp_path / "flag")]
        env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
        begun.append(subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate(timeout=LIMIT)


def wait_for_line(stack: Stack, part: str) -> str:
    assert stack.stdout is not None
    for line in stack.stdout:
        if part in line:
            return line
    raise AssertionError(f"never said: {part}")


def pid_of_the_program(stack: Stack) -> int:
    return int(wait_for_line(stack, "| up ").split()[-1])


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_when_one_ends_all_are_ended_and_it_is_named(stack: StartStack) -> None:
    running = stack(short=["sh", "-c", "echo hello; exit 7"], long=["sleep", "60"])
    shown, _ = running.communicate(timeout=LIMIT)
    assert running.returncode == 7
    assert "short  | hello" in shown
    assert "short ended by itself (code 7): ending all" in shown
    assert "long stopped (rc=-15)" in shown


def test_a_program_that_does_not_exist_ends_the_stack(stack: StartStack) -> None:
    running = stack(absent=["no-such-program"], long=["sleep", "60"])
    shown, _ = running.communicate(timeout=LIMIT)
    assert running.returncode == 127
    assert "no-such-program: No such file or directory" in shown


def test_the_hook_runs_beside_the_programs(stack: StartStack, tmp_path: Path) -> None:
    wait = f"while [ ! -e '{tmp_path / 'flag'}' ]; do sleep 0.05; done; exit 5"
    assert stack(waits=["sh", "-c", wait]).wait(timeout=LIMIT) == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(python(COUNTS_SIGTERMS), id="alone"),
        pytest.param(python(TELLS_ITS_CHILD, COUNTS_SIGTERMS), id="told by its own parent too"),
    ],
)
def test_a_stop_tells_each_program_once_however_often_it_is_asked(
    stack: StartStack, number: signal.Signals, program: list[str]
) -> None:
    running = stack(one=program)
    pid_of_the_program(running)
    running.send_signal(number)
    time.sleep(0.1)  # so that the kernel does not merge the two
    running.send_signal(number)
    shown, _ = running.communicate(timeout=LIMIT)
    assert "SIGTERMs heard: 1" in shown
    assert running.returncode == 0


def test_a_program_that_does_not_listen_is_killed_in_the_end(stack: StartStack) -> None:
    running = stack(deaf=python(IGNORES_SIGTERM))
    pid_of_the_program(running)
    running.terminate()
    shown, _ = running.communicate(timeout=LIMIT)
    assert "sending SIGKILL to deaf" in shown
    assert running.returncode == 1


def test_a_stop_while_the_programs_are_coming_up_is_not_lost(stack: StartStack) -> None:
    running = stack(one=["sleep", "60"], two=["sleep", "60"])
    wait_for_line(running, "started")
    running.terminate()
    assert running.wait(timeout=LIMIT) == 0


def test_a_killed_stack_takes_its_programs_with_it(stack: StartStack) -> None:
    running = stack(one=python(COUNTS_SIGTERMS))
    pid = pid_of_the_program(running)
    running.kill()
    deadline = time.monotonic() + LIMIT
    while is_alive(pid):
        assert time.monotonic() < deadline, "the program outlived its stack"
        time.sleep(0.05)
