"""The accounts, their sessions, the addresses they signed in from, and the kept answers."""

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
        "account",
        sa.Column("id", RECORD_ID, primary_key=True),
        sa.Column("email_sealed", sa.LargeBinary(2048), nullable=False),
        sa.Column("email_key", sa.CHAR(64), nullable=False, unique=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("subject_id", RECORD_ID),
        sa.Column("registration_key", sa.CHAR(64)),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_index("ix_account_subject", "account", ["role", "subject_id"])
    op.create_table(
        "session",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("account_id", RECORD_ID, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("refreshes", sa.Integer(), nullable=False),
        sa.Column("refreshed_by", sa.CHAR(64)),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        **MYSQL,
    )
    op.create_index("ix_session_account_id", "session", ["account_id"])
    op.create_index("ix_session_expires_at", "session", ["expires_at"])
    op.create_index("ix_session_ended_at", "session", ["ended_at"])
    op.create_table(
        "familiar_address",
        sa.Column("account_id", RECORD_ID, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("address_key", sa.CHAR(64), primary_key=True),
        sa.Column("seen_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_index("ix_familiar_address_seen_at", "familiar_address", ["seen_at"])
    op.create_table(
        "answer",
        sa.Column("key", sa.CHAR(64), primary_key=True),
        sa.Column("fingerprint", sa.CHAR(64), nullable=False),
        sa.Column("answer", sa.LargeBinary(64046), nullable=False),
        sa.Column("subject", RECORD_ID),
        sa.Column("answered_at", INSTANT, nullable=False),
        **MYSQL,
    )
    op.create_index("ix_answer_subject", "answer", ["subject"])
    op.create_index("ix_answer_answered_at", "answer", ["answered_at"])


def downgrade() -> None:
    for table in ("answer", "familiar_address", "session", "account"):
        op.drop_table(table)
