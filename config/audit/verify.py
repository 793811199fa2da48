"""The audit trail, read from its beginning: is everything there, and as it was written?"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from config.audit import reader
from config.audit.chain import Head, mac_of
from config.keys import KeyRing, UnknownKey

EDITED, MISSING, REORDERED = "edited", "missing number", "reordered"
NO_WITNESS = "first row's witness missing"


@dataclass(frozen=True)
class Finding:
    """The first thing that is wrong with a chain.

    :param position: of the row where it shows; of nothing for rows at the end that are gone.
    """

    chain: str
    number: int
    position: int | None
    what: str

    def __str__(self) -> str:
        where = "-" if self.position is None else self.position
        return f"position {where}, chain {self.chain}, number {self.number}: {self.what}"


@dataclass
class _Chain:
    """Followed so far: its last row, its highest number, and what is wrong with it."""

    last: Head
    highest: int = 0
    finding: Finding | None = None


class Examination:
    """Is shown every row in the order of positions, and then knows the findings.

    :param witnesses: the seals that first rows name; each must belong to a row before.
    :param heads: rows that are known, from outside the database, to have been there.
    """

    def __init__(
        self, ring: KeyRing, *, witnesses: Collection[str] = (), heads: Iterable[Head] = ()
    ) -> None:
        self.rows = 0
        self._ring = ring
        self._awaited_witnesses = set(witnesses)
        # A chain that found the table empty.
        self._seen_witnesses = {""}
        self._missing_heads = set(heads)
        self._chains: dict[str, _Chain] = {}

    @property
    def chains(self) -> int:
        return len(self._chains)

    def see(self, raw: Mapping[str, Any]) -> None:
        self.rows += 1
        try:
            row = _typed(raw)
        except (TypeError, ValueError, AttributeError):
            self._see_nonsense(raw)
            return
        head, position = Head.of(row), row["position"]
        chain = self._chains.setdefault(head.chain, _Chain(Head(head.chain, 0, "")))
        if chain.finding is None:
            chain.finding = self._finding(chain.last, row)
        elif (chain.finding.what, chain.finding.number) == (MISSING, head.number):
            # It comes after all, behind its successor.
            chain.finding = Finding(head.chain, head.number, position, REORDERED)
        chain.last, chain.highest = head, max(chain.highest, head.number)
        self._missing_heads.discard(head)
        if head.mac in self._awaited_witnesses:
            self._seen_witnesses.add(head.mac)

    def _see_nonsense(self, raw: Mapping[str, Any]) -> None:
        """A row that holds what no program of ours can have written."""
        name = str(raw["chain"])
        chain = self._chains.setdefault(name, _Chain(Head(name, 0, "")))
        if chain.finding is None:
            chain.finding = Finding(name, chain.last.number + 1, raw["position"], EDITED)

    def _finding(self, last: Head, row: Mapping[str, Any]) -> Finding | None:
        expected = last.number + 1
        if row["number"] > expected:
            return Finding(last.chain, expected, row["position"], MISSING)
        what = self._fault(last, row)
        return Finding(last.chain, row["number"], row["position"], what) if what else None

    def _fault(self, last: Head, row: Mapping[str, Any]) -> str | None:
        """What is wrong with a row that has the right number."""
        first, witness = last.number == 0, row["witness"]
        if first != (witness is not None):
            return EDITED
        try:
            expected = mac_of(row, previous=witness if first else last.mac, ring=self._ring)
        except UnknownKey:
            return f"AUDIT_KEYS lacks the key {row['key_id']!r} that sealed it"
        if row["mac"] != expected:
            return EDITED
        return NO_WITNESS if first and witness not in self._seen_witnesses else None

    def findings(self) -> list[Finding]:
        """At most one of a row and one of a lost end for each chain."""
        found = [chain.finding for chain in self._chains.values() if chain.finding]
        return [*found, *self._lost()]

    def _lost(self) -> Iterator[Finding]:
        """What heads prove that is no longer there."""
        for name in sorted({head.chain for head in self._missing_heads}):
            newest = max(head.number for head in self._missing_heads if head.chain == name)
            chain = self._chains.get(name)
            if chain is None:
                yield Finding(name, 1, None, f"chain removed; it had at least {newest} rows")
            elif newest > chain.highest:
                first = chain.highest + 1
                yield Finding(name, first, None, f"tail cut; it went on to at least {newest}")
            elif chain.finding is None:
                yield Finding(name, newest, None, "not the row whose head was kept")


def _typed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """:raises TypeError, ValueError, AttributeError: when a value is not of its column's type."""
    at = raw["at"]
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return {**raw, "number": raw["number"] + 0, "at": at.replace(tzinfo=UTC)}


def examine(
    engine: Engine, ring: KeyRing, *, heads: Iterable[Head] = (), tell: Callable[[int], None]
) -> Examination:
    """The whole trail up to now; others go on writing meanwhile.

    :param tell: hears after each batch how many rows have been read.
    """
    kept = list(heads)
    with engine.connect() as connection:
        # Nothing above it is looked at: rows become visible in another order than they are
        # numbered, but a chain's own rows only one after the other.
        end = reader.newest_position(connection)
        examination = Examination(ring, witnesses=reader.witnesses(connection, end), heads=kept)
    for batch in reader.batches(engine, end):
        for row in batch:
            examination.see(row)
        tell(examination.rows)
    return examination
