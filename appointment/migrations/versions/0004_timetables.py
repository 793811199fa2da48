"""Appointments know the timetable they fit into, their reminders, and their history."""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from config.clock import utc_now
from config.database import UtcDateTime

revision = "0004"
down_revision = "0003"

RECORD_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
# Those that the settings have without being set.
REMINDERS = (timedelta(hours=24), timedelta(hours=2))
INDEXES = {
    "ix_appointment_start": ["starts_at"],
    "ix_appointment_status": ["status", "starts_at"],
    "ix_appointment_uncovered": ["uncovered", "starts_at"],
    "ix_appointment_reminder": ["remind_at"],
}


def upgrade() -> None:
    with op.batch_alter_table("appointment") as appointment:
        appointment.add_column(
            sa.Column("schedule_version", RECORD_ID, nullable=False, server_default="0")
        )
        appointment.add_column(sa.Column("remind_at", INSTANT))
    for name, columns in INDEXES.items():
        op.create_index(name, "appointment", columns)
    op.create_table(
        "history",
        sa.Column("id", RECORD_ID, primary_key=True),
        sa.Column("appointment_id", RECORD_ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("actor_role", sa.String(16), nullable=False),
        sa.Column("actor_account", RECORD_ID),
        sa.Column("doctor_id", RECORD_ID, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        **MYSQL,
    )
    op.create_index("ix_history_appointment", "history", ["appointment_id", "id"])
    op.create_table(
        "checked_timetable",
        sa.Column("doctor_id", RECORD_ID, primary_key=True, autoincrement=False),
        sa.Column("schedule_version", RECORD_ID, nullable=False),
        **MYSQL,
    )
    _plan_reminders()


def downgrade() -> None:
    for table in ("checked_timetable", "history"):
        op.drop_table(table)
    for name in INDEXES:
        op.drop_index(name, "appointment")
    with op.batch_alter_table("appointment") as appointment:
        for column in ("remind_at", "schedule_version"):
            appointment.drop_column(column)


def _plan_reminders() -> None:
    """Those that are still to come; one whose time has passed is not caught up on."""
    appointment = sa.table(
        "appointment",
        sa.column("starts_at", UtcDateTime),
        sa.column("status", sa.String),
        sa.column("remind_at", UtcDateTime),
        sa.column("id", RECORD_ID),
    )
    connection, now = op.get_bind(), utc_now()
    upcoming = sa.select(appointment.c.id, appointment.c.starts_at).where(
        appointment.c.status == "booked", appointment.c.starts_at > now
    )
    for row in connection.execute(upcoming).all():
        due = [row.starts_at - before for before in REMINDERS if row.starts_at - before > now]
        if due:
            planned = sa.update(appointment).where(appointment.c.id == row.id)
            connection.execute(planned.values(remind_at=due[0]))
