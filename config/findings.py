"""What a check of stored data is, and what it finds."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

Rows = Select[*tuple[Any, ...]]
Find = Callable[[Connection], Iterator["Finding"]]


class Finding(NamedTuple):
    """``text`` names what is wrong by ids only; what is not ``wrong`` is told and no more."""

    text: str
    wrong: bool = True


class Check(NamedTuple):
    """``counted`` selects how many of ``what`` there are, ``find`` looks at them all."""

    title: str
    what: str
    counted: Select[int]
    find: Find


def finds(wanted: Rows, text: str) -> Find:
    """Each row of ``wanted`` is a finding: its columns fill ``text``."""

    def find(connection: Connection) -> Iterator[Finding]:
        for row in connection.execute(wanted).mappings():
            yield Finding(text.format(**row))

    return find


def counting(table: Any, *conditions: Any) -> Select[int]:
    return select(func.count()).select_from(table).where(*conditions)
