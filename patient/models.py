"""Tables of the patient service."""

from datetime import date, datetime

from sqlalchemy import CHAR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from config.answers import AnswerColumns
from config.database import MYSQL_TABLE, RecordId, UtcDateTime
from config.encryption import Sealed, sealed_column
from config.messaging.outbox_tables import OutboxColumns, TurnColumns, outbox_rules
from patient.domain import LONGEST_REASON


class PatientBase(DeclarativeBase):
    pass


class Patient(PatientBase):
    """``version`` counts changes of the record, ``sequence`` the events told about it.

    ``email_key`` is the blind index of the address as it is compared, without case. An erased
    patient keeps the number and what counts; the sealed columns are empty, and do not open.
    """

    __tablename__ = "patient"
    __table_args__ = (MYSQL_TABLE,)

    id: Mapped[int] = mapped_column(RecordId, primary_key=True)
    name_sealed: Mapped[bytes] = sealed_column(200)
    email_sealed: Mapped[bytes | None] = sealed_column(254, optional=True)
    email_key: Mapped[str | None] = mapped_column(CHAR(64), unique=True)
    phone_sealed: Mapped[bytes] = sealed_column(16)
    dob_sealed: Mapped[bytes] = sealed_column(10)
    address_sealed: Mapped[bytes] = sealed_column(500)
    hold_reason_sealed: Mapped[bytes | None] = sealed_column(LONGEST_REASON, optional=True)
    held_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int]
    sequence: Mapped[int] = mapped_column(RecordId)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    name = Sealed[str]()
    email = Sealed[str | None]()
    phone = Sealed[str]()
    dob = Sealed[date](write=date.isoformat, read=date.fromisoformat)
    address = Sealed[str]()
    hold_reason = Sealed[str | None]()


class PatientWord(PatientBase):
    """The blind index of a word of a patient's name."""

    __tablename__ = "patient_word"
    __table_args__ = (MYSQL_TABLE,)

    word: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    patient_id: Mapped[int] = mapped_column(
        RecordId, primary_key=True, autoincrement=False, index=True
    )


class Outbox(OutboxColumns, PatientBase):
    __tablename__ = "outbox"
    __table_args__ = (*outbox_rules(), MYSQL_TABLE)


class RelayTurn(TurnColumns, PatientBase):
    __tablename__ = "relay_turn"
    __table_args__ = (MYSQL_TABLE,)


class Answer(AnswerColumns, PatientBase):
    __tablename__ = "answer"
    __table_args__ = (MYSQL_TABLE,)
