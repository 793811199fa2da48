"""The table of the audit trail. It is only ever inserted into and read."""

from datetime import datetime

from sqlalchemy import CHAR, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from config.audit.chain import LONGEST
from config.database import MYSQL_TABLE, RecordId, UtcDateTime


class AuditBase(DeclarativeBase):
    pass


class Record(AuditBase):
    """``witness`` is what the first row of a chain is sealed to; the others have none.

    ``position`` is the database's and not sealed: within a chain the numbers say the order.
    """

    __tablename__ = "audit"
    __table_args__ = (
        UniqueConstraint("chain", "number", name="uq_audit_chain"),
        # Newest first is what these are read for.
        Index("ix_audit_subject", "subject", "position"),
        Index("ix_audit_actor_account", "actor_account", "position"),
        Index("ix_audit_at", "at"),
        MYSQL_TABLE,
    )

    position: Mapped[int] = mapped_column(RecordId, primary_key=True)
    chain: Mapped[str] = mapped_column(CHAR(32))
    number: Mapped[int] = mapped_column(RecordId)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor_role: Mapped[str] = mapped_column(String(LONGEST["actor_role"]))
    actor_account: Mapped[int | None] = mapped_column(RecordId)
    action: Mapped[str] = mapped_column(String(LONGEST["action"]))
    resource: Mapped[str | None] = mapped_column(String(LONGEST["resource"]))
    subject: Mapped[str | None] = mapped_column(String(LONGEST["subject"]))
    outcome: Mapped[str] = mapped_column(String(LONGEST["outcome"]))
    correlation_id: Mapped[str] = mapped_column(String(LONGEST["correlation_id"]))
    key_id: Mapped[str] = mapped_column(String(16))
    witness: Mapped[str | None] = mapped_column(CHAR(64))
    mac: Mapped[str] = mapped_column(CHAR(64))
