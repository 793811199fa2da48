"""What patients' and doctors' services told is kept, so that it need not be asked for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"

RECORD_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "known_patient",
        sa.Column("patient_id", RECORD_ID, primary_key=True, autoincrement=False),
        sa.Column("known_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_table(
        "kept_timetable",
        sa.Column("doctor_id", RECORD_ID, primary_key=True, autoincrement=False),
        sa.Column("schedule_version", RECORD_ID, nullable=False),
        sa.Column("timetable", LONG_TEXT, nullable=False),
        sa.Column("told_at", INSTANT, nullable=False),
        **MYSQL,
    )


def downgrade() -> None:
    op.drop_table("kept_timetable")
    op.drop_table("known_patient")
