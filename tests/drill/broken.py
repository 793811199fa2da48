"""Runs a program of this system with a fault patched in, so that the drill can be seen to find it.

    python -m tests.drill.broken FAULT PROGRAM
"""

# First of all, as `clinic serve` does it for the programs it runs.
import eventlet  # isort: skip

eventlet.monkey_patch()

import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

Patch = Callable[[], None]


def nothing() -> None:
    """A program as it is."""


def no_claims() -> None:
    """What forbids double booking is not written; the check before it still is made."""
    from appointment.claims import Claims

    Claims.take = lambda self, appointment: None


def ack_first() -> None:
    """An event is acknowledged before anything was done about it."""
    from config.messaging.events import EventHandler

    handle = EventHandler.handle_message

    def acknowledged(self: Any, body: Any, message: Any) -> None:
        message.ack()
        message.ack = message.reject = message.requeue = lambda *_, **__: None
        handle(self, body, message)

    EventHandler.handle_message = acknowledged


def high_water() -> None:
    """The relay remembers how far it has come, and looks no further back."""
    from config.messaging.outbox_rows import OutboxRows

    look, mark = OutboxRows.unpublished, [0]

    def above_mark(self: Any, **wanted: Any) -> Any:
        rows = [row for row in look(self, **wanted) if row.position > mark[0]]
        mark[0] = max([mark[0], *(row.position for row in rows)])
        return rows

    OutboxRows.unpublished = above_mark


def no_deadline() -> None:
    """Work is done however long ago its caller has left."""
    import time

    from config.messaging import rpc
    from config.messaging.call import DEADLINE

    receive = rpc.receive

    def late(*args: Any, **options: Any) -> Any:
        context = receive(*args, **options)
        context[DEADLINE] = time.time() + 60
        return context

    rpc.receive = late


def no_inbox() -> None:
    """What comes twice is done twice."""
    from config.idempotency import Store

    Store.once = lambda self, work: self.transact(work)


def slow_commits() -> None:
    """No fault: transactions commit in another order than they number their rows."""
    import random

    from sqlalchemy import Engine, event

    # Of the connection: when a session commits, the rows that it numbers may not be written yet.
    @event.listens_for(Engine, "commit")
    def wait(connection: Any) -> None:
        eventlet.sleep(random.uniform(0, 0.5))


FAULTS: dict[str, Patch] = {
    "none": nothing,
    "no-claims": no_claims,
    "ack-first": ack_first,
    "high-water": high_water,
    "no-deadline": no_deadline,
    "no-inbox": no_inbox,
    "slow-commits": slow_commits,
}


def run(fault: str, name: str) -> None:
    FAULTS[fault]()
    from tests.drill.witness import PROGRAM

    if name == PROGRAM.name:
        _run_witness()
    else:
        from config.command import main

        main(["serve", name])


def _run_witness() -> None:
    from config import logs, process
    from config.settings import STORE_KEYS, real_settings
    from tests.drill.witness import PROGRAM

    settings = real_settings(keys=STORE_KEYS)
    logs.configure(level=settings.log_level, readable=settings.readable_logs)
    runner = process.start(settings, (PROGRAM,))
    process.run(runner, process.on_signal())


if __name__ == "__main__":
    run(*sys.argv[1:3])
