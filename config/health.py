"""Signs of life of what a service stands on."""

from sqlalchemy import select
from sqlalchemy.orm import Session


def database_answers(session: Session) -> str:
    session.execute(select(1))
    return "ok"
