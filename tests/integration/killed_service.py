"""The doctor service under a name of its own, which kills itself at one step of a call; a program.

Run with the name, and the step or nothing; with the environment of the other programs.
"""

import eventlet

eventlet.monkey_patch()

import os  # noqa: E402 (after the patching)
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import amqp  # noqa: E402

from config import process  # noqa: E402
from config.idempotency import Store  # noqa: E402
from config.programs import Program  # noqa: E402
from config.settings import SERVICE_KEYS, real_settings  # noqa: E402
from doctor.service import DoctorService  # noqa: E402

CHANGED: list[bool] = []


class Killed(DoctorService):
    name = sys.argv[1]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: type, name: str, *, when: Callable[[], object] = lambda: True) -> None:
    """Die when ``owner.name`` is called."""
    original = getattr(owner, name)

    def dying(*args: Any, **options: Any) -> Any:
        if when():
            die()
        return original(*args, **options)

    setattr(owner, name, dying)


def after(owner: type, name: str, then: Callable[[], object]) -> None:
    original = getattr(owner, name)

    def followed(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        then()
        return result

    setattr(owner, name, followed)


def changed() -> bool:
    return bool(CHANGED)


def before_the_transaction() -> None:
    before(Store, "change")


def before_the_commit() -> None:
    after(Store, "_once", die)


def after_the_commit() -> None:
    after(Store, "change", die)


def before_the_reply() -> None:
    after(Store, "change", lambda: CHANGED.append(True))
    before(amqp.Channel, "_basic_publish", when=changed)
    amqp.Channel.basic_publish = amqp.Channel._basic_publish


def before_the_ack() -> None:
    after(Store, "change", lambda: CHANGED.append(True))
    before(amqp.Channel, "basic_ack", when=changed)


STEPS = {
    step.__name__: step
    for step in (
        before_the_transaction, before_the_commit, after_the_commit, before_the_reply,
        before_the_ack,
    )
}

if __name__ == "__main__":
    for step in sys.argv[2:]:
        STEPS[step]()
    program = Program(Killed.name, "__main__:Killed", "doctor")
    runner = process.start(real_settings(keys=SERVICE_KEYS), (program,))
    print("started", flush=True)
    ended = process.on_signal()
    ended.wait()
    process.stop(runner, seconds=5)
