"""The table of events that were handled: what comes twice has its effect once."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from config.database import UtcDateTime

LONGEST_EVENT_ID = 64


class InboxColumns:
    """Columns of a service's inbox; a row commits with the effect of the event on ``handler``."""

    event_id: Mapped[str] = mapped_column(String(LONGEST_EVENT_ID), primary_key=True)
    handler: Mapped[str] = mapped_column(String(64), primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
