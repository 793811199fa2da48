"""Tables of the doctor service."""

from datetime import datetime

from sqlalchemy import CHAR, Index, String, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from config.answers import AnswerColumns
from config.database import MYSQL_TABLE, RecordId, UtcDateTime
from config.encryption import Sealed, sealed_column
from config.messaging.outbox_tables import OutboxColumns, TurnColumns, outbox_rules


class DoctorBase(DeclarativeBase):
    pass


class Doctor(DoctorBase):
    """``version`` counts changes of the record, ``sequence`` the events told about it, and
    ``schedule_version`` the changes of all that says when the doctor can be booked.

    ``email_key`` is the blind index of the address as it is compared, without case.
    """

    __tablename__ = "doctor"
    __table_args__ = (Index("ix_doctor_speciality", "speciality_key", "id"), MYSQL_TABLE)

    id: Mapped[int] = mapped_column(RecordId, primary_key=True)
    name_sealed: Mapped[bytes] = sealed_column(200)
    email_sealed: Mapped[bytes | None] = sealed_column(254, optional=True)
    email_key: Mapped[str | None] = mapped_column(CHAR(64), unique=True)
    phone_sealed: Mapped[bytes] = sealed_column(16)
    speciality: Mapped[str] = mapped_column(String(100))
    # As it is compared; casefolding makes some letters two or three. Alembic takes "" for none.
    speciality_key: Mapped[str] = mapped_column(String(300), server_default=text("''"))
    timezone: Mapped[str] = mapped_column(String(64))
    schedule_version: Mapped[int] = mapped_column(RecordId, default=0, server_default="0")
    version: Mapped[int]
    sequence: Mapped[int] = mapped_column(RecordId)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    name = Sealed[str]()
    email = Sealed[str | None]()
    phone = Sealed[str]()


class DoctorWord(DoctorBase):
    """The blind index of a word of a doctor's name."""

    __tablename__ = "doctor_word"
    __table_args__ = (MYSQL_TABLE,)

    word: Mapped[str] = mapped_column(CHAR(64), primary_key=True)
    doctor_id: Mapped[int] = mapped_column(
        RecordId, primary_key=True, autoincrement=False, index=True
    )


class Schedule(DoctorBase):
    """The hours of a doctor; in the time zone that their record says.

    ``hours`` is the rest of the contract's schedule as JSON: it is read and replaced whole. It is
    ``null`` where none was set and the time zone has changed, which counts as a version too.
    """

    __tablename__ = "schedule"
    __table_args__ = (MYSQL_TABLE,)

    doctor_id: Mapped[int] = mapped_column(RecordId, primary_key=True, autoincrement=False)
    hours: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class TimeOff(DoctorBase):
    """A period in which a doctor cannot be booked, whatever the schedule says."""

    __tablename__ = "time_off"
    __table_args__ = (Index("ix_time_off_doctor", "doctor_id", "ends_at"), MYSQL_TABLE)

    id: Mapped[int] = mapped_column(RecordId, primary_key=True)
    doctor_id: Mapped[int] = mapped_column(RecordId)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason_sealed: Mapped[bytes | None] = sealed_column(500, optional=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    reason = Sealed[str | None]()


class Outbox(OutboxColumns, DoctorBase):
    __tablename__ = "outbox"
    __table_args__ = (*outbox_rules(), MYSQL_TABLE)


class RelayTurn(TurnColumns, DoctorBase):
    __tablename__ = "relay_turn"
    __table_args__ = (MYSQL_TABLE,)


class Answer(AnswerColumns, DoctorBase):
    __tablename__ = "answer"
    __table_args__ = (MYSQL_TABLE,)
