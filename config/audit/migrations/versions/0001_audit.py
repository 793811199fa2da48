"""The audit trail: rows that are inserted and read, never changed."""

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
        "audit",
        sa.Column("position", RECORD_ID, primary_key=True),
        sa.Column("chain", sa.CHAR(32), nullable=False),
        sa.Column("number", RECORD_ID, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor_role", sa.String(32), nullable=False),
        sa.Column("actor_account", RECORD_ID),
        sa.Column("action", sa.String(128), nullable=False),
        sa.Column("resource", sa.String(64)),
        sa.Column("subject", sa.String(64)),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("correlation_id", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("witness", sa.CHAR(64)),
        sa.Column("mac", sa.CHAR(64), nullable=False),
        sa.UniqueConstraint("chain", "number", name="uq_audit_chain"),
        **MYSQL,
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "position"])
    op.create_index("ix_audit_actor_account", "audit", ["actor_account", "position"])
    op.create_index("ix_audit_at", "audit", ["at"])


def downgrade() -> None:
    op.drop_table("audit")
