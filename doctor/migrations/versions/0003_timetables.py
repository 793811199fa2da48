"""Doctors have schedules and time off, and are found by speciality."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from schemas.people import speciality_key

revision = "0003"
down_revision = "0002"

RECORD_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    with op.batch_alter_table("doctor") as doctor:
        # With defaults: a program of the version before this one knows nothing of them.
        doctor.add_column(
            sa.Column("speciality_key", sa.String(300), nullable=False, server_default="")
        )
        doctor.add_column(
            sa.Column("schedule_version", RECORD_ID, nullable=False, server_default="0")
        )
    op.create_index("ix_doctor_speciality", "doctor", ["speciality_key", "id"])
    op.create_table(
        "schedule",
        sa.Column("doctor_id", RECORD_ID, primary_key=True, autoincrement=False),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_table(
        "time_off",
        sa.Column("id", RECORD_ID, primary_key=True),
        sa.Column("doctor_id", RECORD_ID, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("reason_sealed", sa.LargeBinary(2046)),
        sa.Column("created_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_index("ix_time_off_doctor", "time_off", ["doctor_id", "ends_at"])
    _fill_speciality_keys()


def downgrade() -> None:
    for table in ("time_off", "schedule"):
        op.drop_table(table)
    op.drop_index("ix_doctor_speciality", "doctor")
    with op.batch_alter_table("doctor") as doctor:
        for column in ("schedule_version", "speciality_key"):
            doctor.drop_column(column)


def _fill_speciality_keys() -> None:
    doctor = sa.table(
        "doctor", sa.column("speciality", sa.String), sa.column("speciality_key", sa.String)
    )
    connection = op.get_bind()
    for speciality in connection.scalars(sa.select(doctor.c.speciality).distinct()).all():
        same = sa.update(doctor).where(doctor.c.speciality == speciality)
        connection.execute(same.values(speciality_key=speciality_key(speciality)))
