"""Patients who were erased are remembered, and what was written about them is not."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

RECORD_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    with op.batch_alter_table("appointment") as appointment:
        appointment.add_column(sa.Column("erased_at", INSTANT))
    op.create_table(
        "erasure",
        sa.Column("patient_id", RECORD_ID, primary_key=True, autoincrement=False),
        sa.Column("erased_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT),
        **MYSQL,
    )
    op.create_index("ix_erasure_unsettled", "erasure", ["settled_at", "erased_at"])


def downgrade() -> None:
    op.drop_table("erasure")
    with op.batch_alter_table("appointment") as appointment:
        appointment.drop_column("erased_at")
