"""What every background service does: forget the answers that nobody may ask for any more."""

from datetime import timedelta
from typing import Any

from nameko.timer import timer

from config.answers import forget_some_answers
from config.messaging.current_call import CurrentCall
from config.service_clock import Clock

HOURLY = timedelta(hours=1).seconds


class Housekeeping:
    """A base for background services; each adds its ``name`` and ``store``, and a ``relay`` if it
    has an outbox."""

    store: Any
    clock = Clock()
    call = CurrentCall()

    # At the start too: a process that never lives for an hour would never clean up.
    @timer(interval=HOURLY, eager=True)
    def forget_old_answers(self) -> None:
        """A batch at a time, each in a transaction of its own, so that no booking waits for it."""
        now = self.clock()
        while self.store.transact(
            lambda session: forget_some_answers(session, self.store.answers, now=now)
        ):
            pass
