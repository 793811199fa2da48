"""The writing end of the audit trail: an answer may leave when ``record`` has returned.

One thread in each process writes (a greenlet, where gevent or eventlet have patched threads).
It takes all that waits and commits it at once: the more waits, the fewer commits for each.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from config.audit.chain import Entry, Head
from config.audit.ledger import Ledger
from config.database import error_number
from config.keys import KeyRing

_log = logging.getLogger("audit")

# Entries that are written at once; those of one answer are never apart.
BATCH = 500
# So many wait for a database that is down; what is more is refused at once.
MOST_WAITING = 10_000
# The second comes at once: the first may have met a connection that died unnoticed.
TRIES = 2
BACK_OFF_SECONDS = 0.5
HEAD_SECONDS = 60.0
CLOSE_SECONDS = 8.0


class NotRecorded(Exception):
    """The entry is not known to be in the trail, so what it tells of may not be answered."""

    def __str__(self) -> str:
        return "The audit trail could not be written."


@dataclass(slots=True, eq=False)
class _Waiting:
    """``committed`` is None while nobody knows. A future would take longer to make than its line
    takes to write."""

    entries: Sequence[Entry]
    committed: bool | None = None
    _told: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._told.acquire()

    def wait(self, seconds: float) -> bool:
        """Whether it is committed, as far as it is told within ``seconds``."""
        return self._told.acquire(timeout=max(0.0, seconds)) and bool(self.committed)

    def tell(self, committed: bool) -> None:
        """Once: what was refused stays so for who has waited."""
        if self.committed is None:
            self.committed = committed
            self._told.release()


class Trail:
    """Records on the audit database at ``url``, in a chain sealed with the newest key of ``ring``.

    Nothing happens until the first entry comes.
    """

    def __init__(self, url: str, ring: KeyRing) -> None:
        if not ring:
            raise ValueError("the audit trail needs a key")
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._writer: threading.Thread | None = None
        self._closing = False
        self._ledger = Ledger(url, ring)
        self._logged: Head | None = None
        self._log_at = 0.0

    def record(self, *entries: Entry, seconds: float) -> None:
        """Returns when all ``entries`` are committed.

        What was not recorded in time may still be recorded later, when the database is back: then
        the trail tells of something that was not answered.

        :raises NotRecorded: when the database does not take them, or not within ``seconds``.
        """
        if not entries:
            return
        ticket = _Waiting(entries)
        with self._changed:
            if self._closing or len(self._waiting) >= MOST_WAITING:
                raise NotRecorded()
            self._waiting.append(ticket)
            self._start_writer()
            self._changed.notify_all()
        if not ticket.wait(seconds):
            raise NotRecorded()

    def close(self) -> None:
        """Write what waits, log the head, and let go of the database."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            writer = self._writer
        if writer:
            writer.join(CLOSE_SECONDS)

    def _start_writer(self) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="audit", daemon=True)
            self._writer.start()

    def _write(self) -> None:
        try:
            while batch := self._next_batch():
                self._commit(batch)
                self._log_head(now=time.monotonic())
        except Exception as failure:
            # Nobody is there to raise it to. Another writer goes on with what waits.
            _log.error("writer failed", extra={"error": type(failure).__name__}, exc_info=True)
            self._ledger.disconnect()
        else:
            self._log_head(now=self._log_at)
            self._ledger.close()
        finally:
            with self._changed:
                self._writer = None
                if self._waiting:
                    self._start_writer()

    def _next_batch(self) -> list[_Waiting]:
        """What waits, in the order it came; when nothing does, wait. Empty when all is done."""
        with self._changed:
            while not self._waiting and not self._closing:
                unlogged = self._ledger.head != self._logged
                pause = max(0.0, self._log_at - time.monotonic()) if unlogged else None
                if not self._changed.wait(pause):
                    self._log_head(now=time.monotonic())
            batch, entries = [], 0
            while self._waiting and entries < BATCH:
                batch.append(self._waiting.popleft())
                entries += len(batch[-1].entries)
            return batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        """Commit it, however long it takes: while its outcome is open, nothing can follow it."""
        tries = 0
        while not self._committed(batch, tries=tries):
            tries += 1
            if tries < TRIES:
                continue
            self._refuse(batch)
            if self._closing:
                self._give_up(batch)
                return
            with self._changed:
                self._changed.wait_for(lambda: self._closing, BACK_OFF_SECONDS)

    def _committed(self, batch: Sequence[_Waiting], *, tries: int) -> bool:
        try:
            self._ledger.append([entry for each in batch for entry in each.entries])
        except SQLAlchemyError as failure:
            self._ledger.disconnect()
            if tries == TRIES - 1:
                reason = {"error": type(failure).__name__, "number": error_number(failure)}
                _log.error("trail cannot be written", extra=reason)
            return False
        if tries >= TRIES:
            _log.info("trail is written again")
        for each in batch:
            each.tell(True)
        return True

    def _refuse(self, batch: Sequence[_Waiting]) -> None:
        """All who wait now need not wait any longer. Their entries stay, to be recorded later."""
        with self._changed:
            waiting = [*batch, *self._waiting]
        for each in waiting:
            each.tell(False)

    def _give_up(self, batch: Sequence[_Waiting]) -> None:
        """The process ends while the database is down. Nobody got an answer to any of these."""
        with self._changed:
            lost = [*batch, *self._waiting]
            self._waiting.clear()
        _log.error("entries lost", extra={"entries": sum(len(each.entries) for each in lost)})

    def _log_head(self, *, now: float) -> None:
        """Off this machine with the logs: whoever cuts the end of the chain cannot reach them."""
        head = self._ledger.head
        if head is None or head == self._logged or now < self._log_at:
            return
        _log.info("head", extra={"chain": head.chain, "number": head.number, "mac": head.mac})
        self._logged, self._log_at = head, time.monotonic() + HEAD_SECONDS
