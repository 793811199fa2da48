"""For migrations: sealing what a database held in plain text, and opening it again.

MySQL and MariaDB commit each change of a table by itself, so a power cut can leave a migration
half done. Each step here leaves alone what was done already: the migration can run again.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from alembic import context, op

from config.answers import rekeyed
from config.database import RecordId
from config.encryption import Vault

BATCH = 500
# Plain answers, being JSON objects, begin so; sealed ones never do.
PLAIN = b"{"

Row = Mapping[Any, Any]
More = Callable[[Row], Row]
Columns = Sequence[sa.Column[Any]]


def vault() -> Vault:
    """What ``upgrade`` or ``downgrade`` was given."""
    given = context.config.attributes["vault"]
    if not isinstance(given, Vault):
        raise LookupError("This history seals personal data, which needs DATA_KEYS and INDEX_KEYS.")
    return given


def seal_columns(table: str, plain: Columns, *, also: More = lambda row: {}) -> None:
    """Replace each column of ``plain`` by a sealed one, ``name`` by ``name_sealed``.

    :param also: more values for a row, made from the plain one; may write to other tables.
    """
    sealed = _sealed(plain)
    _add_missing(table, sealed)
    stored = _reflected(table)
    for row in _unfilled(stored, sealed):
        values = {f"{each.name}_sealed": _seal(table, each.name, row) for each in plain}
        _update(stored, row, {**values, **also(row)})
    _replace(table, plain, by=sealed)


def open_columns(table: str, plain: Columns, *, also: More = lambda row: {}) -> None:
    """The way back of ``seal_columns``; ``also`` gets the opened row."""
    _add_missing(table, plain)
    stored = _reflected(table)
    for row in _unfilled(stored, plain):
        values = {each.name: _open(table, each, row) for each in plain}
        _update(stored, row, {**values, **also({**row, **values})})
    _replace(table, _sealed(plain), by=plain)


def seal_answers(*, subject: str) -> None:
    """Seal the kept answers, and note whose data each one holds: the ``subject`` of its result."""
    _add_missing("answer", [sa.Column("subject", RecordId)])
    if not any(index.name == "ix_answer_subject" for index in _reflected("answer").indexes):
        op.create_index("ix_answer_subject", "answer", ["subject"])
    with op.batch_alter_table("answer") as change:
        change.alter_column(
            "answer", existing_type=sa.Text(), type_=sa.LargeBinary(), existing_nullable=False
        )
    stored = _reflected("answer")
    plain = sa.select(stored).where(sa.func.substr(stored.c.answer, 1, 1) == PLAIN).limit(BATCH)
    while rows := op.get_bind().execute(plain).mappings().all():
        for row in rows:
            _seal_answer(stored, row, subject=subject)
    _rebuild("answer")


def drop_answers() -> None:
    """The way back of ``seal_answers``: what their keys were made of is not known any more."""
    op.execute("DELETE FROM answer")
    op.drop_index("ix_answer_subject", "answer")
    with op.batch_alter_table("answer") as change:
        change.drop_column("subject")
        change.alter_column(
            "answer", existing_type=sa.LargeBinary(), type_=sa.Text(), existing_nullable=False
        )


def _seal_answer(stored: sa.Table, row: Row, *, subject: str) -> None:
    text = row["answer"].decode()
    result = json.loads(text).get("result")
    key = rekeyed("key", row["key"], vault())
    values = {
        "key": key,
        "fingerprint": rekeyed("fingerprint", row["fingerprint"], vault()),
        "answer": vault().seal(text, table="answer", column="answer", row=key),
        "subject": result.get(subject) if isinstance(result, dict) else None,
    }
    op.get_bind().execute(sa.update(stored).where(stored.c.key == row["key"]).values(**values))


def _sealed(plain: Columns) -> list[sa.Column[Any]]:
    return [
        sa.Column(f"{each.name}_sealed", sa.LargeBinary(), nullable=each.nullable) for each in plain
    ]


def _seal(table: str, column: str, row: Row) -> bytes | None:
    value = row[column]
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, date) else value
    return vault().seal(text, table=table, column=f"{column}_sealed", row=row["id"])


def _open(table: str, column: sa.Column[Any], row: Row) -> Any:
    sealed = row[f"{column.name}_sealed"]
    if sealed is None:
        return None
    text = vault().open(sealed, table=table, column=f"{column.name}_sealed", row=row["id"])
    return date.fromisoformat(text) if isinstance(column.type, sa.Date) else text


def _add_missing(table: str, columns: Columns) -> None:
    """Add them without values; which ones must have some is said once they have."""
    there = _reflected(table).c
    with op.batch_alter_table(table) as change:
        for column in columns:
            if column.name not in there:
                change.add_column(sa.Column(column.name, column.type))


def _replace(table: str, old: Columns, *, by: Columns) -> None:
    there = _reflected(table).c
    with op.batch_alter_table(table) as change:
        for column in by:
            change.alter_column(
                column.name, existing_type=column.type, nullable=bool(column.nullable)
            )
        for column in old:
            if column.name in there:
                change.drop_column(column.name)
    _rebuild(table)


def _rebuild(table: str) -> None:
    """Write the table anew: MySQL drops a column by no longer reading it."""
    if op.get_bind().dialect.name == "mysql":
        op.execute(f"ALTER TABLE {table} FORCE")


def _reflected(table: str) -> sa.Table:
    return sa.Table(table, sa.MetaData(), autoload_with=op.get_bind())


def _unfilled(stored: sa.Table, columns: Columns) -> Iterator[Row]:
    """The rows that have no values in ``columns`` yet, by id."""
    required = next(each.name for each in columns if not each.nullable)
    last = 0
    while True:
        waiting = sa.select(stored).where(stored.c.id > last, stored.c[required].is_(None))
        batch = op.get_bind().execute(waiting.order_by(stored.c.id).limit(BATCH)).mappings().all()
        yield from batch
        if len(batch) < BATCH:
            return
        last = batch[-1]["id"]


def _update(stored: sa.Table, row: Row, values: Row) -> None:
    op.get_bind().execute(sa.update(stored).where(stored.c.id == row["id"]).values(**values))
