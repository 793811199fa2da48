"""Tables of the gateway: who may sign in, and who has."""

from datetime import datetime

from sqlalchemy import CHAR, ForeignKey, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from config.answers import AnswerColumns
from config.database import MYSQL_TABLE, RecordId, UtcDateTime
from config.encryption import Sealed, sealed_column
from config.messaging.inbox import InboxColumns


class GatewayBase(DeclarativeBase):
    pass


class Account(GatewayBase):
    """A login. ``subject_id`` is the patient or doctor that it belongs to; the front desk and
    administrators have none, and so has a patient whose registration is not finished yet.

    ``registration_key`` is the idempotency key of the registration that made the account.
    """

    __tablename__ = "account"
    __table_args__ = (Index("ix_account_subject", "role", "subject_id"), MYSQL_TABLE)

    id: Mapped[int] = mapped_column(RecordId, primary_key=True)
    email_sealed: Mapped[bytes] = sealed_column(254)
    email_key: Mapped[str] = mapped_column(CHAR(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[int | None] = mapped_column(RecordId)
    registration_key: Mapped[str | None] = mapped_column(CHAR(64))
    disabled: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    email = Sealed[str]()


class Session(GatewayBase):
    """A sign-in, until it is ended or has run out.

    ``refreshes`` counts the refresh tokens given out; only the newest is good, but for the very
    request that got it, whose key is ``refreshed_by``.
    """

    __tablename__ = "session"
    __table_args__ = (MYSQL_TABLE,)

    id: Mapped[str] = mapped_column(CHAR(32), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    refreshes: Mapped[int]
    refreshed_by: Mapped[str | None] = mapped_column(CHAR(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)

    account: Mapped[Account] = relationship()


class FamiliarAddress(GatewayBase):
    """A network address, hashed, from which an account has signed in before: its owner still
    can while strangers try passwords elsewhere."""

    __tablename__ = "familiar_address"
    __table_args__ = (MYSQL_TABLE,)

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    address_key: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Answer(AnswerColumns, GatewayBase):
    __tablename__ = "answer"
    __table_args__ = (MYSQL_TABLE,)


class Inbox(InboxColumns, GatewayBase):
    __tablename__ = "inbox"
    __table_args__ = (MYSQL_TABLE,)
