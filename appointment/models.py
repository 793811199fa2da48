"""Tables of the appointment service."""

from datetime import datetime

from sqlalchemy import CHAR, Index, String, Text
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from config.answers import AnswerColumns
from config.database import MYSQL_TABLE, RecordId, UtcDateTime
from config.encryption import Sealed, sealed_column
from config.messaging.inbox import InboxColumns
from config.messaging.outbox_tables import OutboxColumns, TurnColumns, outbox_rules


class AppointmentBase(DeclarativeBase):
    pass


class Appointment(AppointmentBase):
    """``version`` counts changes of the record, ``sequence`` the events told about it.

    ``schedule_version`` is that of the timetable it was last found to fit into; ``remind_at`` is
    when the next reminder is due, if one is. Since ``erased_at`` nothing is left of what was
    written about it.
    """

    __tablename__ = "appointment"
    __table_args__ = (
        Index("ix_appointment_doctor", "doctor_id", "starts_at"),
        Index("ix_appointment_patient", "patient_id", "starts_at"),
        Index("ix_appointment_start", "starts_at"),
        Index("ix_appointment_status", "status", "starts_at"),
        Index("ix_appointment_uncovered", "uncovered", "starts_at"),
        Index("ix_appointment_reminder", "remind_at"),
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
    schedule_version: Mapped[int] = mapped_column(RecordId, default=0, server_default="0")
    remind_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
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


class Change(AppointmentBase):
    """A line of an appointment's history: what it was from then on, and who made it so."""

    __tablename__ = "history"
    __table_args__ = (Index("ix_history_appointment", "appointment_id", "id"), MYSQL_TABLE)

    id: Mapped[int] = mapped_column(RecordId, primary_key=True)
    appointment_id: Mapped[int] = mapped_column(RecordId)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    what: Mapped[str] = mapped_column(String(16))
    actor_role: Mapped[str] = mapped_column(String(16))
    actor_account: Mapped[int | None] = mapped_column(RecordId)
    doctor_id: Mapped[int] = mapped_column(RecordId)
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    status: Mapped[str] = mapped_column(String(16))
    version: Mapped[int]


class CheckedTimetable(AppointmentBase):
    """Up to which change of a doctor's timetable their appointments were checked against it.

    Bookings hold its row while they are made, so that a check either sees them or comes first.
    """

    __tablename__ = "checked_timetable"
    __table_args__ = (MYSQL_TABLE,)

    doctor_id: Mapped[int] = mapped_column(RecordId, primary_key=True, autoincrement=False)
    schedule_version: Mapped[int] = mapped_column(RecordId)


class KnownPatient(AppointmentBase):
    """A patient who can be booked for, as their own service told at ``known_at``, or later."""

    __tablename__ = "known_patient"
    __table_args__ = (MYSQL_TABLE,)

    patient_id: Mapped[int] = mapped_column(RecordId, primary_key=True, autoincrement=False)
    known_at: Mapped[datetime] = mapped_column(UtcDateTime)


class KeptTimetable(AppointmentBase):
    """What the doctor service told at ``told_at``, or later, of when the doctor can be booked: the
    JSON of ``AvailabilitySchema``, which may be longer than a plain TEXT of MySQL's."""

    __tablename__ = "kept_timetable"
    __table_args__ = (MYSQL_TABLE,)

    doctor_id: Mapped[int] = mapped_column(RecordId, primary_key=True, autoincrement=False)
    schedule_version: Mapped[int] = mapped_column(RecordId)
    timetable: Mapped[str] = mapped_column(Text().with_variant(MEDIUMTEXT(), "mysql"))
    told_at: Mapped[datetime] = mapped_column(UtcDateTime)


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


class RelayTurn(TurnColumns, AppointmentBase):
    __tablename__ = "relay_turn"
    __table_args__ = (MYSQL_TABLE,)


class Answer(AnswerColumns, AppointmentBase):
    __tablename__ = "answer"
    __table_args__ = (MYSQL_TABLE,)


class Inbox(InboxColumns, AppointmentBase):
    __tablename__ = "inbox"
    __table_args__ = (MYSQL_TABLE,)
