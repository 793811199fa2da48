"""Publishes an outbox: each subject's events in order, none passed over, marked when taken.

Rows are taken while `published_at IS NULL`, never above a high-water mark: transactions commit
in another order than they number their rows, and a mark would pass over the late ones.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from config.messaging.awaited import AwaitedQueues
from config.messaging.connection import BROKEN
from config.messaging.held import HeldSubjects, Reason
from config.messaging.outbox_rows import OutboxRows
from config.messaging.publisher import SLICE_SECONDS, Fate, Publisher
from config.messaging.turn import Turn
from config.metrics import OUTBOX_UNROUTABLE, OUTBOX_WAITING

_log = logging.getLogger("outbox")

# No more than this is published and not marked yet: what a relay that is killed leaves to be
# published twice.
BATCH = 100
POLL_SECONDS = 1.0
FIRST_BACK_OFF, LONGEST_BACK_OFF = 1.0, 5.0
MEASURE_SECONDS = 1.0


class Relay:
    """At least once: killed between publishing and marking, it publishes those events again, and
    consumers tell duplicates by the event's id.

    :param awaited: the events that this system itself reacts to, and the queues that each has to
        reach; without one of them it is kept back. Others are published all the same: nobody has
        asked for them.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        outbox: Any,
        turn: Any,
        source: str,
        awaited: Mapping[str, Collection[str]],
        connect: Callable[[], Publisher],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._rows = OutboxRows(engine, outbox)
        self._turn = Turn(engine, turn)
        self._source = source
        self._awaited = AwaitedQueues(awaited)
        self._connect = connect
        self._poll_seconds = poll_seconds
        self._held = HeldSubjects()
        self._publisher: Publisher | None = None
        self._failures = 0
        self._measured = 0.0
        self.stopping = False

    def run(self) -> None:
        """Until ``stopping`` is set, which is seen soon."""
        while not self.stopping:
            try:
                self._work()
            except (*BROKEN, SQLAlchemyError) as failure:
                # Nothing is lost: the rows wait in the table until broker and database are back.
                self._wait_after(failure)

    def close(self) -> None:
        """Leave what there is to the other relays."""
        self._drop_publisher()
        self._turn.give_back()

    def _work(self) -> None:
        # Before the turn: who cannot publish leaves it to those who can.
        publisher = self._publisher or self._new_publisher()
        if self._turn.take():
            self._publish_all(publisher)
        else:
            self._held.clear()
        self._measure()
        if self._failures:
            self._failures = 0
            _log.info("relay goes on", extra={"source": self._source})
        publisher.rest(self._poll_seconds, until=lambda: self.stopping)

    def _new_publisher(self) -> Publisher:
        self._publisher = self._connect()
        self._awaited.doubt()
        return self._publisher

    def _publish_all(self, publisher: Publisher) -> None:
        rows = self._next_rows(publisher)
        while rows and not self.stopping:
            # Until these rows are done with, however soon one could be tried again: those behind
            # it are among them.
            waiting: set[str] = set()
            for wave in waves(rows):
                # Renewed when half of it is gone, so that a long batch does not outlast it.
                if not self._turn.take():
                    return
                self._publish(publisher, wave, waiting)
            rows = self._next_rows(publisher) if len(rows) == BATCH else ()

    def _next_rows(self, publisher: Publisher) -> Sequence[Any]:
        if self._awaited.look(publisher):
            self._held.clear()
        return self._rows.unpublished(but=self._held.waiting, limit=BATCH)

    def _publish(self, publisher: Publisher, wave: Iterable[Any], waiting: set[str]) -> None:
        """Publish and mark what may be published now; ``wave`` has one event of each subject, and
        what is not published has its subject added to ``waiting``."""
        sent = []
        for row in wave:
            if row.subject in waiting or not self._may_go(row):
                waiting.add(row.subject)
                continue
            publisher.send(row)
            sent.append(row)
        fates = publisher.settle()
        taken = [row for row in sent if self._taken(row, fates[row.id])]
        waiting |= {row.subject for row in sent} - {row.subject for row in taken}
        if taken:
            self._rows.mark([row.position for row in taken])

    def _may_go(self, row: Any) -> bool:
        # Stopped by somebody for longer than the turn lasts, we are not to go on.
        if not self._turn.mine:
            return False
        lacking = self._awaited.lack_one_for(row.name)
        if lacking:
            self._hold(row, unroutable=True)
        return not lacking

    def _taken(self, row: Any, fate: Fate) -> bool:
        """Whether it is published; if not, its subject waits for a while."""
        unroutable = fate is Fate.UNROUTABLE
        if fate is Fate.TAKEN or (unroutable and not self._awaited.await_event(row.name)):
            self._held.release(row.subject)
            return True
        if unroutable:
            self._awaited.doubt()
        self._hold(row, unroutable=unroutable)
        return False

    def _hold(self, row: Any, *, unroutable: bool) -> None:
        reason = Reason(row.name, unroutable=unroutable)
        if self._held.hold(row.subject, reason):
            self._tell(reason)

    def _tell(self, reason: Reason) -> None:
        extra = {"source": self._source, "event": reason.event}
        if reason.unroutable:
            _log.error("events wait: a queue is missing; run `clinic topology`", extra=extra)
        else:
            _log.warning("events wait: a queue is full", extra=extra)

    def _measure(self) -> None:
        OUTBOX_UNROUTABLE.labels(self._source).set(self._held.unroutable)
        if time.monotonic() < self._measured + MEASURE_SECONDS:
            return
        OUTBOX_WAITING.labels(self._source).set(self._rows.count_unpublished())
        self._measured = time.monotonic()

    def _wait_after(self, failure: Exception) -> None:
        if not self._failures:
            extra = {"source": self._source, "error": type(failure).__name__}
            _log.warning("relay waits", extra=extra)
        if isinstance(failure, BROKEN):
            self._drop_publisher()
        pause = min(FIRST_BACK_OFF * 2**self._failures, LONGEST_BACK_OFF)
        self._failures = min(self._failures + 1, 10)
        ends = time.monotonic() + pause * random.uniform(0.5, 1)  # nosec B311 # not a secret
        while not self.stopping and (left := ends - time.monotonic()) > 0:
            time.sleep(min(left, SLICE_SECONDS))

    def _drop_publisher(self) -> None:
        if self._publisher:
            self._publisher.close()
            self._publisher = None


def waves(rows: Iterable[Any]) -> list[list[Any]]:
    """``rows`` in groups that have each subject once, its earlier events in earlier groups.

    Those of a group may be under way together; the next of a subject must not be, while the broker
    may still refuse the one before.
    """
    groups: list[list[Any]] = []
    seen: Counter[str] = Counter()
    for row in rows:
        if seen[row.subject] == len(groups):
            groups.append([])
        groups[seen[row.subject]].append(row)
        seen[row.subject] += 1
    return groups
