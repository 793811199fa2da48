"""Personal columns are sealed; patients are found by blind indexes of their address and name."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from config import sealing
from schemas.people import email_key, name_words

revision = "0002"
down_revision = "0001"

RECORD_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MYSQL = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
PERSONAL = [
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("email", sa.String(254), nullable=True),
    sa.Column("phone", sa.String(16), nullable=False),
    sa.Column("dob", sa.Date(), nullable=False),
    sa.Column("address", sa.String(500), nullable=False),
]


def upgrade() -> None:
    _create_words()
    sealing.seal_columns("patient", PERSONAL, also=_index)
    with op.batch_alter_table("patient") as patient:
        patient.alter_column("email_key", existing_type=sa.String(508), type_=sa.CHAR(64))
    sealing.seal_answers(subject="id")


def downgrade() -> None:
    sealing.drop_answers()
    with op.batch_alter_table("patient") as patient:
        patient.alter_column("email_key", existing_type=sa.CHAR(64), type_=sa.String(508))
    sealing.open_columns(
        "patient", PERSONAL, also=lambda row: {"email_key": email_key(row["email"])}
    )
    op.drop_table("patient_word")


def _create_words() -> None:
    if sa.inspect(op.get_bind()).has_table("patient_word"):
        return
    op.create_table(
        "patient_word",
        sa.Column("word", sa.CHAR(64), primary_key=True),
        sa.Column("patient_id", RECORD_ID, primary_key=True, autoincrement=False),
        **MYSQL,
    )
    op.create_index("ix_patient_word_patient_id", "patient_word", ["patient_id"])


def _index(row: Mapping[str, Any]) -> dict[str, Any]:
    vault, address = sealing.vault(), email_key(row["email"])
    words = sa.table("patient_word", sa.column("word"), sa.column("patient_id"))
    for word in name_words(row["name"]):
        values = {"word": vault.index("name", word), "patient_id": row["id"]}
        op.get_bind().execute(sa.insert(words).values(**values))
    return {"email_key": None if address is None else vault.index("email", address)}
