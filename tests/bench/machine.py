"""What the machine does, and what the programs of the system take of it."""

import os
import platform
import time
from contextlib import suppress
from pathlib import Path

PAGE, TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
SERVE, GATEWAY = "serve", "gateway.wsgi:application"
SERVERS = {"beam.smp": "RabbitMQ", "mariadbd": "MariaDB", "redis-server": "Redis"}
BUSY, REST_SECONDS, LOOK_SECONDS = 0.35, 3.0, 0.2


def rest() -> None:
    """Until the processors are idle, for some seconds at most: what one candidate leaves to be
    done, such as events to be published, is not to slow the next."""
    until, (busy, whole) = time.monotonic() + REST_SECONDS, _processor_time()
    while time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
        busy_before, whole_before = busy, whole
        busy, whole = _processor_time()
        if busy - busy_before < BUSY * (whole - whole_before):
            return


def _processor_time() -> tuple[int, int]:
    """Of all processors, in ticks: busy, and busy or not."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0]
    ticks = [int(each) for each in first.split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def processor_seconds(*roots: int) -> float:
    """Of the processes ``roots`` with all that they started, up to now."""
    return sum(_ticks(*roots).values()) / TICKS


def processor_by_program() -> dict[str, float]:
    """Seconds up to now, of each program of the system that this process has started, whatever
    number of processes it has, and of each server."""
    seconds: dict[str, float] = {}
    for pid, ticks in _ticks(os.getpid()).items():
        if name := _program(pid) or _server(pid):
            seconds[name] = seconds.get(name, 0.0) + ticks / TICKS
    return seconds


def _ticks(*roots: int) -> dict[int, int]:
    """By id, of ``roots`` and all that they started."""
    parents, ticks = {}, {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        if fields := _read(pid, "stat").rpartition(")")[2].split():
            parents[pid] = int(fields[1])
            # What has ended is counted by who started it.
            ticks[pid] = sum(map(int, fields[11:15]))
    family, found = set(roots), 0
    while len(family) > found:
        found = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    return {pid: ticks[pid] for pid in family if pid in ticks}


def memory() -> dict[str, float]:
    """By program of the system that this process has started, the MB that are resident."""
    found = {}
    for pid in _children(os.getpid()):
        name = _program(pid)
        if name:
            found[name] = _resident(pid)
        if name == "gateway":
            workers = enumerate(_children(pid), 1)
            found |= {f"gateway worker {number}": _resident(each) for number, each in workers}
    return found


def _program(pid: int) -> str | None:
    words = _read(pid, "cmdline").split("\0")
    if GATEWAY in words:
        return "gateway"
    return words[words.index(SERVE) + 1] if SERVE in words else None


def _server(pid: int) -> str | None:
    return SERVERS.get(Path(_read(pid, "cmdline").split("\0")[0].split(" ")[0]).name)


def _children(pid: int) -> list[int]:
    return [int(each) for each in _read(pid, f"task/{pid}/children").split()]


def _resident(pid: int) -> float:
    pages = _read(pid, "statm").split()
    return int(pages[1]) * PAGE / 1e6 if pages else 0.0


def _read(pid: int, name: str) -> str:
    with suppress(OSError):  # it has just ended
        return Path(f"/proc/{pid}/{name}").read_text()
    return ""


def described() -> str:
    """The machine, in a line."""
    gigabytes = os.sysconf("SC_PHYS_PAGES") * PAGE / 1e9
    return (
        f"{os.cpu_count()} processors, {gigabytes:.0f} GB of memory, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )
