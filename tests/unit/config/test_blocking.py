"""Work that keeps the processor busy does not keep greenlets waiting."""

import subprocess
import sys
import threading

import pytest

from config.blocking import off_loop

# A greenlet counts while the work holds a real thread, released only when it has counted on.
PROGRAM = """
import sys
{patch}
import threading, time
from config.blocking import off_loop

counted, real_sleep = 0, {real_sleep}

def count():
    global counted
    while True:
        counted += 1
        time.sleep(0.001)

def work(limit):
    until = time.monotonic() + 60
    while counted < limit and time.monotonic() < until:
        real_sleep(0.001)
    return counted >= limit

threading.Thread(target=count, daemon=True).start()
time.sleep(0)
print(off_loop(work, 50))
try:
    off_loop(int, "no number")
except ValueError as raised:
    print(type(raised).__name__)
"""
GEVENT = (
    "from gevent import monkey; monkey.patch_all()", 'monkey.get_original("time", "sleep")'
)
EVENTLET = (
    "import warnings; warnings.simplefilter('ignore')\nimport eventlet; eventlet.monkey_patch()",
    'eventlet.patcher.original("time").sleep',
)


def printed(patch, real_sleep):
    program = PROGRAM.format(patch=patch, real_sleep=real_sleep)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("patch", [GEVENT, EVENTLET], ids=["gevent", "eventlet"])
def test_other_greenlets_go_on_while_it_works(patch):
    outcome = printed(*patch)
    assert outcome.stdout.split() == ["True", "ValueError"], outcome.stderr


@pytest.mark.parametrize("patch", [GEVENT, EVENTLET], ids=["gevent", "eventlet"])
def test_a_failure_is_raised_and_printed_nowhere(patch):
    assert "no number" not in printed(*patch).stderr


def test_without_patching_it_runs_right_here():
    assert off_loop(threading.get_ident) == threading.get_ident()
    assert off_loop(divmod, 7, 2) == (3, 1)


def test_without_patching_a_failure_is_raised():
    with pytest.raises(ZeroDivisionError):
        off_loop(divmod, 7, 0)


def test_neither_library_is_loaded_for_it():
    program = (
        "import sys; from config.blocking import off_loop; off_loop(int);"
        "print([name for name in ('gevent', 'eventlet') if name in sys.modules])"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert outcome.stdout.strip() == "[]"
