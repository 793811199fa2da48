"""What one line of the audit trail says, and how each line is sealed to the one before.

Every writing process has a chain of its own, so that no process waits for another. Its rows are
numbered from 1, and the seal (MAC) of each covers all it says and the seal of the row before. The
first row of a chain is sealed to the newest row of the whole table instead, its witness: so the
end of one chain cannot be taken away either, once another one has begun.
"""

import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from config.clock import utc_now
from config.keys import KeyRing

PURPOSE = "audit"
LONGEST = {
    "actor_role": 32,
    "action": 128,
    "resource": 64,
    "subject": 64,
    "outcome": 64,
    "correlation_id": 64,
}
LARGEST_ID = 2**63 - 1
SEALED = (
    "chain", "number", "at", "actor_role", "actor_account", "action", "resource", "subject",
    "outcome", "correlation_id", "key_id",
)

# Technical words only. What people typed has no place here, and could not stop a whole batch.
_TEXT = re.compile(r"[ -~]+")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One read, change or refusal.

    :param actor_account: the id of who signed in, if anybody did.
    :param action: such as ``GET /things/<thing_id>`` or ``thing.get``; the route, never the path.
    :param resource: what it was done to, such as ``thing/5``.
    :param subject: whose personal data it was, such as ``person/12``.
    :param outcome: an HTTP status, or an error's code.
    :raises ValueError: for a text that is no short printable ASCII.
    """

    actor_role: str
    action: str
    outcome: str
    correlation_id: str
    actor_account: int | None = None
    resource: str | None = None
    subject: str | None = None
    at: datetime = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        for name, longest in LONGEST.items():
            text = getattr(self, name)
            if text is not None and not (len(text) <= longest and _TEXT.fullmatch(text)):
                raise ValueError(f"{name} must be 1 to {longest} printable ASCII characters")
        if self.actor_account is not None and not 0 <= self.actor_account <= LARGEST_ID:
            raise ValueError("actor_account must be a 64-bit id")


@dataclass(frozen=True)
class Head:
    """The newest row of a chain. Before the first row, ``mac`` is the witness."""

    chain: str
    number: int
    mac: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Head":
        return cls(row["chain"], row["number"], row["mac"])


def new_head(witness: str) -> Head:
    """A chain without rows yet.

    :param witness: the seal of the newest row of the table, or nothing when it is empty.
    """
    return Head(secrets.token_hex(16), 0, witness)


def links(head: Head, entries: Iterable[Entry], *, ring: KeyRing) -> list[dict[str, Any]]:
    """The rows that continue the chain after ``head``; the same ones each time."""
    key_id, rows = ring.current, []
    for entry in entries:
        row = {
            "chain": head.chain,
            "number": head.number + 1,
            **vars(entry),
            "key_id": key_id,
            "witness": None if head.number else head.mac,
        }
        row["mac"] = mac_of(row, previous=head.mac, ring=ring)
        head = Head.of(row)
        rows.append(row)
    return rows


def mac_of(row: Mapping[str, Any], *, previous: str, ring: KeyRing) -> str:
    """The seal of ``row`` after the row that was sealed with ``previous``.

    :raises UnknownKey: when the ring lacks the key that the row names.
    """
    key = ring.derive(PURPOSE, row["key_id"])
    return hmac.digest(key, canonical(row, previous=previous), "sha256").hex()


def canonical(row: Mapping[str, Any], *, previous: str) -> bytes:
    """Two rows never give the same bytes: a JSON list shows where each value begins and ends."""
    at = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    values = [at if name == "at" else row[name] for name in SEALED]
    return json.dumps([*values, previous]).encode()
