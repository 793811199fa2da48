"""Tables of the patient service."""

from datetime import date, datetime

from sqlalchemy import Date, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from config.database import MYSQL_TABLE, RecordId, UtcDateTime
from config.idempotency import AnswerColumns
from config.messaging.outbox import OutboxColumns, outbox_rules


class PatientBase(DeclarativeBase):
    pass


class Patient(PatientBase):
    """``version`` counts changes of the record, ``sequence`` the events told about it."""

    __tablename__ = "patient"
    __table_args__ = (MYSQL_TABLE,)

    id: Mapped[int] = mapped_column(RecordId, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(254))
    # Addresses are compared without case; lower case may be longer than upper case.
    email_key: Mapped[str | None] = mapped_column(String(508), unique=True)
    phone: Mapped[str] = mapped_column(String(16))
    dob: Mapped[date] = mapped_column(Date)
    address: Mapped[str] = mapped_column(String(500))
    version: Mapped[int]
    sequence: Mapped[int] = mapped_column(RecordId)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Outbox(OutboxColumns, PatientBase):
    __tablename__ = "outbox"
    __table_args__ = (*outbox_rules(), MYSQL_TABLE)


class Answer(AnswerColumns, PatientBase):
    __tablename__ = "answer"
    __table_args__ = (MYSQL_TABLE,)
