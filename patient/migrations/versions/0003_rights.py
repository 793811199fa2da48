"""A record can be erased, and kept from it by a legal hold."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")


def upgrade() -> None:
    with op.batch_alter_table("patient") as patient:
        patient.add_column(sa.Column("hold_reason_sealed", sa.LargeBinary(2046)))
        patient.add_column(sa.Column("held_since", INSTANT))
        patient.add_column(sa.Column("erased_at", INSTANT))


def downgrade() -> None:
    with op.batch_alter_table("patient") as patient:
        for column in ("erased_at", "held_since", "hold_reason_sealed"):
            patient.drop_column(column)
