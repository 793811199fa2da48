"""What every background service does: forget what nobody may ask for any more."""

from datetime import timedelta
from functools import partial
from typing import Any

from nameko.dependency_providers import Config
from nameko.timer import timer

from config.answers import forget_some_answers
from config.messaging.current_call import CurrentCall
from config.messaging.inbox import forget_some_events
from config.messaging.topology import DEAD_LETTER_DAYS
from config.service_clock import Clock

HOURLY = timedelta(hours=1).seconds


class Housekeeping:
    """A base for background services; each adds its ``name`` and ``store``, and a ``relay`` if it
    has an outbox."""

    store: Any
    relay: Any = None
    clock = Clock()
    call = CurrentCall()
    config = Config()

    # At the start too: a process that never lives for an hour would never clean up.
    @timer(interval=HOURLY, eager=True)
    def forget_old_answers(self) -> None:
        """A batch at a time, each in a transaction of its own, so that no booking waits for it."""
        now = self.clock()
        while self.store.transact(
            lambda session: forget_some_answers(session, self.store.answers, now=now)
        ):
            pass

    @timer(interval=HOURLY, eager=True)
    def forget_old_events(self) -> None:
        """As above; a service without an outbox has none."""
        now, after = self.clock(), None
        while self.relay:
            after = self.store.transact(partial(self.relay, now=now, after=after))
            if after is None:
                return

    @timer(interval=HOURLY, eager=True)
    def forget_handled_events(self) -> None:
        """As above; a service that handles none has no inbox."""
        # Longer than there are dead letters: one of what was handled may be sent again.
        days = max(self.config["EVENT_DAYS"], DEAD_LETTER_DAYS + 1)
        before = self.clock() - timedelta(days=days)
        while self.store.inbox and self.store.transact(
            lambda session: forget_some_events(session, self.store.inbox, before=before)
        ):
            pass
