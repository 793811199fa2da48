"""Every question that is asked of the audit trail."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from config.audit.chain import Head
from config.audit.models import Record

BATCH = 5_000


def find(
    session: Session,
    *,
    subject: str | None = None,
    account: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int,
) -> list[Record]:
    """What is recorded, newest first.

    :param since: and ``until``: a half-open period.
    :param before: the position of the last record of the page before this one.
    """
    wanted: list[Any] = []
    if subject is not None:
        wanted.append(Record.subject == subject)
    if account is not None:
        wanted.append(Record.actor_account == account)
    if since is not None:
        wanted.append(Record.at >= since)
    if until is not None:
        wanted.append(Record.at < until)
    if before is not None:
        wanted.append(Record.position < before)
    newest_first = select(Record).where(*wanted).order_by(Record.position.desc())
    return list(session.scalars(newest_first.limit(limit)))


def trail_answers(session: Session) -> str:
    """``ok``, when the table can be read."""
    session.execute(select(Record.position).limit(1))
    return "ok"


def heads(connection: Connection) -> list[Head]:
    """The newest row of each chain, the chains in the order of those rows."""
    newest = select(Record.chain, func.max(Record.number).label("number"))
    ends = newest.group_by(Record.chain).subquery()
    rows = connection.execute(
        select(Record.chain, Record.number, Record.mac)
        .join(ends, (Record.chain == ends.c.chain) & (Record.number == ends.c.number))
        .order_by(Record.position)
    )
    return [Head(*row) for row in rows]


def newest_position(connection: Connection) -> int:
    return connection.scalar(select(func.max(Record.position))) or 0


def witnesses(connection: Connection, end: int) -> set[str]:
    """What the first rows of all chains are sealed to, up to the position ``end``."""
    # By way of the chains: the index gives these without a look at every row.
    chains = select(Record.chain).distinct().subquery()
    first = select(Record.witness).join(chains, Record.chain == chains.c.chain)
    found = connection.scalars(first.where(Record.number == 1, Record.position <= end))
    return {witness for witness in found if witness}


def batches(engine: Engine, end: int) -> Iterator[list[dict[str, Any]]]:
    """All rows up to the position ``end``, in order, as the driver gives them: what somebody put
    there need not be of its column's type.

    Each batch is a transaction of its own: on SQLite nobody could write during a longer one.
    """
    position = 0
    columns = [type_coerce(each, NullType()).label(each.name) for each in Record.__table__.columns]
    while position < end:
        page = select(*columns).where(Record.position > position, Record.position <= end)
        with engine.connect() as connection:
            found = connection.execute(page.order_by(Record.position).limit(BATCH))
            rows = [row._asdict() for row in found]
        if not rows:
            return
        yield rows
        position = rows[-1]["position"]
