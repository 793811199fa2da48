"""What happens to programs: they are killed, frozen, ended and started again."""

import signal

from config.programs import GATEWAY
from tests.drill.nemesis import Nemesis, tell
from tests.drill.stage import WITNESS, is_ready
from tests.drill.supervisor import Instance, children

SERVICES = ("patient", "doctor", "appointment")
BACKGROUND = (
    "patient-background", "doctor-background", "appointment-background", "gateway-background",
)


def kill_service(by: Nemesis) -> str:
    """kill -9 of one of the two, every two seconds."""
    killed = []
    for _ in range(max(2, round(6 * by.scale))):
        killed.append(_kill(by.chance.choice(by.stage.supervisor.of(*SERVICES))))
        by.stage.rest(2)
    return ", ".join(killed)


def kill_both(by: Nemesis) -> str:
    """kill -9 of both processes of a service at once."""
    program = by.chance.choice(SERVICES)
    for each in by.stage.supervisor.of(program):
        _kill(each)
    by.last(8, least=4)
    return program


def kill_background(by: Nemesis) -> str:
    """kill -9 of background programs and of the witness."""
    killed = []
    for _ in range(max(2, round(4 * by.scale))):
        victims = by.stage.supervisor.of(*BACKGROUND, WITNESS)
        killed.append(_kill(by.chance.choice(victims)))
        by.stage.rest(2)
    return ", ".join(killed)


def kill_gateway_worker(by: Nemesis) -> str:
    """kill -9 of a gateway's worker; its master makes another."""
    [*workers] = [
        pid
        for each in by.stage.supervisor.of(GATEWAY)
        for pid in children(each.pid or 0)
    ]
    tell(by.chance.choice(workers), signal.SIGKILL)
    by.last(6, least=3)
    return "1 worker"


def rolling_restart(by: Nemesis) -> str:
    """SIGTERM of each service process, one by one, each once the last one is back."""
    chosen = by.stage.supervisor.of(*SERVICES)
    for each in chosen:
        starts = each.starts
        each.send(signal.SIGTERM)
        by.stage.wait(lambda: _is_back(each, starts), seconds=60, every=0.2)
    return f"{len(chosen)} processes"


def freeze_service(by: Nemesis) -> str:
    """SIGSTOP of a service process for 10 s; its twin goes on."""
    chosen = by.chance.choice(by.stage.supervisor.of(*SERVICES))
    pid = chosen.pid
    if pid:
        tell(pid, signal.SIGSTOP)
        try:
            by.last(10, least=6)
        finally:
            tell(pid, signal.SIGCONT)
    return chosen.name


def _kill(instance: Instance) -> str:
    instance.kill()
    return instance.name


def _is_back(instance: Instance, starts: int) -> bool:
    return instance.starts > starts and is_ready(instance)
