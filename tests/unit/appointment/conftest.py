"""A diary to write in: the appointment tables in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from appointment.models import Appointment, AppointmentBase
from schemas.statuses import BOOKED

# A Monday morning, an hour before work begins. In March, Berlin is an hour ahead of UTC.
NOW = datetime(2027, 3, 1, 7, tzinfo=UTC)


@dataclass
class Book:
    """``statements`` counts those that were sent."""

    session: Session
    statements: int = 0

    def write(
        self,
        start: datetime,
        minutes: int = 30,
        *,
        doctor: int = 1,
        patient: int = 1,
        status: str = BOOKED,
        remind_at: datetime | None = None,
    ) -> Appointment:
        written = Appointment(
            doctor_id=doctor,
            patient_id=patient,
            starts_at=start,
            ends_at=start + timedelta(minutes=minutes),
            duration_minutes=minutes,
            description_sealed=b"",
            status=status,
            remind_at=remind_at,
            version=1,
            sequence=1,
            created_at=NOW,
            updated_at=NOW,
        )
        self.session.add(written)
        self.session.flush()
        return written

    def count(self, *ignored: object) -> None:
        self.statements += 1


@pytest.fixture
def book() -> Iterator[Book]:
    engine = create_engine("sqlite://")
    AppointmentBase.metadata.create_all(engine)
    with Session(engine) as session:
        made = Book(session)
        event.listen(engine, "before_cursor_execute", made.count)
        yield made
    engine.dispose()
