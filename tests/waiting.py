"""Waiting for what will happen, with a bound."""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Engine, text

Found = TypeVar("Found")

# What waits for something that comes gives up only then: it costs nothing while all is well, and
# on a machine that others use everything may stand still for seconds.
PATIENCE = 60.0


def wait_for(condition: Callable[[], Found], *, seconds: float = PATIENCE) -> Found:
    """What ``condition`` tells in the end, which is something."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
    return found


def wait_for_a_lock(engine: Engine, *, seconds: float = PATIENCE) -> None:
    """Until some transaction in this database waits for another."""
    waiting = text(
        "SELECT COUNT(*) FROM information_schema.innodb_trx AS trx"
        " JOIN information_schema.processlist AS client ON client.id = trx.trx_mysql_thread_id"
        " WHERE trx.trx_state = 'LOCK WAIT' AND client.db = DATABASE()"
    )
    until = time.monotonic() + seconds
    while True:
        with engine.connect() as connection:
            if connection.scalar(waiting):
                return
        assert time.monotonic() < until, "nobody waits"
        # The server answers from memory to who asks again within a tenth of a second.
        time.sleep(0.15)
