"""What the stock services keep: plain text, and nothing that forbids anything."""

from datetime import date, datetime

from sqlalchemy import Index, String, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PATIENTS = 5_000


class StockBase(DeclarativeBase):
    pass


class Patient(StockBase):
    __tablename__ = "patient"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    phone: Mapped[str] = mapped_column(String(16))
    dob: Mapped[date]
    address: Mapped[str] = mapped_column(String(300))


class Appointment(StockBase):
    __tablename__ = "appointment"
    __table_args__ = (
        Index("ix_doctor", "doctor_id", "starts_at"),
        Index("ix_patient", "patient_id", "starts_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int]
    doctor_id: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    description: Mapped[str] = mapped_column(String(2000))


def make(url: URL) -> None:
    """:param url: of a database that is not there yet."""
    server = create_engine(url.set(database=""))
    with server.begin() as connection:
        connection.execute(text(f"CREATE DATABASE {url.database}"))
    server.dispose()
    engine = create_engine(url)
    StockBase.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(text(
            "INSERT INTO patient (name, email, phone, dob, address) "
            "SELECT 'Ada Byron', CONCAT('ada.', seq, '@example.org'), '+442079460958', "
            f"'1985-12-10', '12 St James Square, London' FROM seq_1_to_{PATIENTS}"
        ))
    engine.dispose()
