"""Tables of the appointment service."""

from datetime import datetime

from sqlalchemy import CHAR, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from config.answers import AnswerColumns
from config.database import MYSQL_TABLE, RecordId, UtcDateTime
from config.encryption import Sealed, sealed_column
from config.messaging.outbox import OutboxColumns, outbox_rules


class AppointmentBase(DeclarativeBase):
    pass


class Appointment(AppointmentBase):
    """``version`` counts changes of the record, ``sequence`` the events told about it.

    Since ``erased_at`` nothing is left of what was written about it.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        Index("ix_appointment_doctor", "doctor_id", "starts_at"),
        Index("ix_appointment_patient", "patient_id", "starts_at"),
        MYSQL_TABLE,
    )

    id: Mapped[int] = mapped_column(RecordId, primary_key=True)
    patient_id: Mapped[int] = mapped_column(RecordId)
    doctor_id: Mapped[int] = mapped_column(RecordId)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    duration_minutes: Mapped[int]
    description_sealed: Mapped[bytes] = sealed_column(2000)
    status: Mapped[str] = mapped_column(String(16))
    cancel_reason_sealed: Mapped[bytes | None] = sealed_column(500, optional=True)
    uncovered: Mapped[bool] = mapped_column(default=False)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int]
    sequence: Mapped[int] = mapped_column(RecordId)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)

    description = Sealed[str]()
    cancel_reason = Sealed[str | None]()


class Claim(AppointmentBase):
    """One 5-minute bucket of a doctor (kind D) or patient (P): who holds the row has the time.

    The primary key is what forbids double booking; checks before it only make better messages.
    """

    __tablename__ = "claim"
    __table_args__ = (MYSQL_TABLE,)

    kind: Mapped[str] = mapped_column(CHAR(1), primary_key=True)
    resource_id: Mapped[int] = mapped_column(RecordId, primary_key=True, autoincrement=False)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    appointment_id: Mapped[int] = mapped_column(RecordId, index=True)


class Erasure(AppointmentBase):
    """A patient who was erased: nobody can be booked for under this number any more.

    ``erased_at`` is when this service was told; ``settled_at`` when it looked a last time.
    """

    __tablename__ = "erasure"
    __table_args__ = (Index("ix_erasure_unsettled", "settled_at", "erased_at"), MYSQL_TABLE)

    patient_id: Mapped[int] = mapped_column(RecordId, primary_key=True, autoincrement=False)
    erased_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Outbox(OutboxColumns, AppointmentBase):
    __tablename__ = "outbox"
    __table_args__ = (*outbox_rules(), MYSQL_TABLE)


class Answer(AnswerColumns, AppointmentBase):
    __tablename__ = "answer"
    __table_args__ = (MYSQL_TABLE,)
