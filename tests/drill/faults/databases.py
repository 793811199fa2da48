"""What happens to MariaDB, and to those who are connected to it."""

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from appointment.models import CheckedTimetable
from config.database import error_number
from tests.drill.nemesis import Nemesis

DATABASE = "DATABASE_URL"
NO_SUCH_THREAD = 1094


def kill_database(by: Nemesis) -> str:
    """kill -9 of MariaDB, and its start on the same data some seconds later."""
    by.stage.servers[DATABASE].daemon.kill()
    by.last(10, least=2)
    by.stage.start_again(DATABASE)
    return ""


def freeze_database(by: Nemesis) -> str:
    """SIGSTOP of MariaDB for 10 s."""
    with by.frozen(DATABASE):
        by.last(10, least=6)
    return ""


def kill_threads(by: Nemesis) -> str:
    """KILL of all connections to MariaDB, every two seconds."""
    engine, killed = by.stage.database(""), 0
    with engine.connect() as connection:
        for _ in range(max(2, round(5 * by.scale))):
            listed = connection.execute(text("SHOW PROCESSLIST")).all()
            mine = connection.scalar(text("SELECT CONNECTION_ID()"))
            for row in listed:
                if row[0] != mine and row[1] != "system user":
                    killed += _kill_thread(connection, row[0])
            connection.rollback()
            by.stage.rest(2)
    engine.dispose()
    return f"{killed} connections"


def hold_lock(by: Nemesis) -> str:
    """A lock on a doctor's row, which every booking of theirs needs, for 20 s."""
    engine = by.stage.database("appointment")
    with engine.connect() as connection:
        doctor = connection.scalar(select(CheckedTimetable.doctor_id).limit(1))
        held = select(CheckedTimetable).where(CheckedTimetable.doctor_id == doctor)
        connection.execute(held.with_for_update())
        by.last(20, least=8)
        connection.rollback()
    engine.dispose()
    return f"doctor {doctor}"


def _kill_thread(connection: Connection, number: int) -> bool:
    try:
        connection.execute(text(f"KILL {number}"))
    except DBAPIError as gone:
        if error_number(gone) != NO_SUCH_THREAD:
            raise
        return False
    return True
