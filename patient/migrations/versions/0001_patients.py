"""The patients, their events on the way out, and the answers kept for idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

RECORD_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    op.create_table(
        "patient",
        sa.Column("id", RECORD_ID, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("email_key", sa.String(508), unique=True),
        sa.Column("phone", sa.String(16), nullable=False),
        sa.Column("dob", sa.Date(), nullable=False),
        sa.Column("address", sa.String(500), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sequence", RECORD_ID, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_table(
        "outbox",
        sa.Column("position", RECORD_ID, primary_key=True),
        sa.Column("id", sa.CHAR(36), nullable=False, unique=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("sequence", RECORD_ID, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("published_at", INSTANT),
        sa.UniqueConstraint("subject", "sequence", name="uq_outbox_subject"),
        **MYSQL,
    )
    op.create_index("ix_outbox_unpublished", "outbox", ["published_at", "position"])
    op.create_table(
        "answer",
        sa.Column("key", sa.CHAR(64), primary_key=True),
        sa.Column("fingerprint", sa.CHAR(64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_index("ix_answer_answered_at", "answer", ["answered_at"])


def downgrade() -> None:
    for table in ("answer", "outbox", "patient"):
        op.drop_table(table)
