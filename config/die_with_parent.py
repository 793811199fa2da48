"""Have a program end when the process that started it is gone, even by kill -9.

A script as well as a module: `python die_with_parent.py <parent> <program> <argument>...`
makes the wish known to the kernel and then becomes the program, under the same process id.
(subprocess's `preexec_fn` would save these milliseconds, but it runs Python between fork and
exec, where every library that watches for forks has its say; eventlet does.)
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Sequence


def tied(argv: Sequence[str]) -> list[str]:
    """The command for `argv` that ends with the calling process.

    The kernel ties it to the thread that starts it, not to the process. A thread may end long
    before the program should, so only what the main thread starts is tied.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return list(argv)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]


def set_death_signal(number: int) -> None:
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    set_parent_death_signal = 1
    prctl(set_parent_death_signal, number, 0, 0, 0)


def _become(*, parent: int, argv: list[str]) -> None:
    set_death_signal(signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before the wish was known
        sys.exit(1)
    # Python ignores these two from its start; the program must not inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)  # nosec B606 # no shell is what we want
    except OSError as refusal:
        print(f"{argv[0]}: {refusal.strerror}", file=sys.stderr)
        sys.exit(127)  # as a shell says it


if __name__ == "__main__":
    _become(parent=int(sys.argv[1]), argv=sys.argv[2:])
