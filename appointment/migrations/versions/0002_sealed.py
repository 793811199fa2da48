"""What people wrote about an appointment is sealed."""

import sqlalchemy as sa

from config import sealing

revision = "0002"
down_revision = "0001"

PERSONAL = [
    sa.Column("description", sa.Text(), nullable=False),
    sa.Column("cancel_reason", sa.String(500), nullable=True),
]


def upgrade() -> None:
    sealing.seal_columns("appointment", PERSONAL)
    sealing.seal_answers(subject="patientId")


def downgrade() -> None:
    sealing.drop_answers()
    sealing.open_columns("appointment", PERSONAL)
