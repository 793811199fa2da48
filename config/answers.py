"""The table of kept answers. They hold what was asked about people, so they are sealed."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from nameko.exceptions import serialize
from sqlalchemy import CHAR, Insert, Update, bindparam, delete, insert, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from config.database import RecordId, UtcDateTime
from config.encryption import Vault, sealed_column, vault_of

KEPT_FOR = timedelta(hours=24)
BATCH = 1000
LONGEST_ANSWER = 16000


class AnswerColumns:
    """Columns of a service's table of kept answers.

    ``key`` and ``fingerprint`` are blind indexes of the call's key and of what it asked for;
    ``subject`` is the id of whose data the answer holds.
    """

    key: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(CHAR(64))
    answer: Mapped[bytes] = sealed_column(LONGEST_ANSWER)
    subject: Mapped[int | None] = mapped_column(RecordId, index=True)
    answered_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


def key_of(call: Sequence[str], vault: Vault) -> str:
    return rekeyed("key", _digest(call), vault)


def fingerprint_of(request: Sequence[Any], vault: Vault) -> str:
    return rekeyed("fingerprint", _digest(request), vault)


def rekeyed(purpose: str, digest: str, vault: Vault) -> str:
    """``digest``, which could be guessed back to what it is of, as what cannot."""
    return vault.index(purpose, digest)


def enter(session: Session, answers: Any, key: str, *, fingerprint: str, now: datetime) -> None:
    """:raises IntegrityError: when the key is there; whoever has it is waited for."""
    row = {"key": key, "fingerprint": fingerprint, "answer": b"", "answered_at": now}
    session.execute(_entering(answers), row)


def settle(
    session: Session, answers: Any, key: str, *, answer: bytes, subject: int | None
) -> None:
    row = {"of_key": key, "answer": answer, "subject": subject}
    session.execute(_settling(answers), row)


def seal_answer(vault: Vault, answers: Any, key: str, outcome: dict[str, Any]) -> bytes:
    """The outcome, ``{"result": ...}`` or ``{"refused": ...}``, for the row with this key."""
    return vault.seal(json.dumps(outcome), table=answers.__tablename__, column="answer", row=key)


def open_answer(vault: Vault, row: Any) -> dict[str, Any]:
    text = vault.open(row.answer, table=row.__tablename__, column="answer", row=row.key)
    return dict(json.loads(text))


def forget_some_answers(session: Session, answers: Any, *, now: datetime) -> int:
    """Delete up to ``BATCH`` answers that no client may ask for any more; how many they were."""
    old = select(answers.key).where(answers.answered_at < now - KEPT_FOR).limit(BATCH)
    keys = session.scalars(old).all()
    session.execute(delete(answers).where(answers.key.in_(keys)))
    return len(keys)


def forget_answers_about(
    session: Session, answers: Any, subject: int, *, instead: Exception
) -> None:
    """Refuse with ``instead`` whoever asks again for an answer about ``subject``.

    The keys stay: without them a call that is delivered again would act again.
    """
    about = select(answers).where(answers.subject == subject).order_by(answers.key)
    for row in session.scalars(about.with_for_update()):
        refused = {"refused": serialize(instead)}
        row.answer = seal_answer(vault_of(session), answers, row.key, refused)
        row.subject = None


# Statements of the table itself, made once: the unit of work takes longer than the database.
@cache
def _entering(answers: Any) -> Insert:
    return insert(answers.__table__)


@cache
def _settling(answers: Any) -> Update:
    table = answers.__table__
    return update(table).where(table.c.key == bindparam("of_key"))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
