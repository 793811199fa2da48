"""``clinic audit``: the heads of the audit trail, and the proof that nothing was taken from it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

import click

from config.settings import (
    Settings,
    SettingsError,
    database_settings,
    embedded_settings,
    with_kept_keys,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from config.audit.chain import Head

DATABASE = "audit"
WORD_EVERY = 2.0

ADVICE = """
Something was changed in the trail, or taken from it, outside the application. What to do:
1. Copy the database as it is now, and the logs; change nothing in it.
2. Compare it from the positions above on with the newest backup that verifies.
3. Find out who could write to the database at that time, and treat it as a security incident.
(Where only a key is lacking: put it back at the end of AUDIT_KEYS, and verify again.)"""

embedded_option = click.option(
    "--embedded", is_flag=True, help="The trail in DATA_DIR, of `make run`."
)


@click.group()
def audit() -> None:
    """Read the audit trail's heads, and verify that nothing was changed or taken from it."""


@audit.command()
@embedded_option
def heads(embedded: bool) -> None:
    """Print the newest row of each chain, as JSON lines to be kept somewhere else."""
    from config.audit import reader

    with _trail(_settings(embedded)) as engine, engine.connect() as connection:
        for head in reader.heads(connection):
            click.echo(json.dumps(asdict(head)))


@audit.command()
@embedded_option
@click.option(
    "--heads",
    "kept_heads",
    type=click.File(),
    help="What `clinic audit heads` printed, or log lines in JSON: all of them must be there.",
)
def verify(embedded: bool, kept_heads: TextIO | None) -> None:
    """Read the whole trail; name the first bad row of each chain, and end with 1 if there is one.

    Without --heads it does not show when the newest rows of the newest chains were taken away.
    """
    from config.audit.verify import examine

    settings = _settings(embedded)
    known = _read_heads(kept_heads) if kept_heads else []
    with _trail(settings) as engine:
        examination = examine(engine, settings.keys.audit, heads=known, tell=_progress())
    findings = examination.findings()
    for finding in findings:
        click.echo(str(finding))
    read = f"{examination.rows} rows in {examination.chains} chains"
    if findings:
        click.echo(f"{read}; faults: {len(findings)}.\n{ADVICE}", err=True)
        raise SystemExit(1)
    click.echo(f"{read}, {len(known)} heads: nothing was changed or taken away.")


def _settings(embedded: bool) -> Settings:
    try:
        if not embedded:
            return database_settings(("AUDIT_KEYS",))
        settings = embedded_settings()
        if not (settings.data_dir / f"{DATABASE}.sqlite3").is_file():
            raise SettingsError(
                f"There is no audit trail in {settings.data_dir}: set DATA_DIR to the folder "
                "that `make run` used."
            )
        return with_kept_keys(settings)
    except SettingsError as refused:
        raise click.ClickException(str(refused)) from refused


@contextmanager
def _trail(settings: Settings) -> "Iterator[Engine]":
    from sqlalchemy.exc import DBAPIError

    from config.database import connect, error_number

    url = settings.database(DATABASE)
    engine = connect(url.render_as_string(hide_password=False), pool_size=1)
    try:
        yield engine
    except DBAPIError as failure:
        where = url.render_as_string(hide_password=True)
        raise click.ClickException(
            f"The audit trail in {where} cannot be read (error {error_number(failure)}): is the "
            "server up, was `clinic migrate` run, and may this user read it?"
        ) from failure
    finally:
        engine.dispose()


def _read_heads(lines: TextIO) -> "list[Head]":
    """The heads among ``lines``; a log may hold lines of any other kind."""
    found = list(filter(None, map(_head, lines)))
    if not found:
        raise click.ClickException(
            f"There are no heads in {lines.name}. Give what `clinic audit heads` printed, or "
            "log lines in JSON."
        )
    return found


def _head(line: str) -> "Head | None":
    from config.audit.chain import Head

    # A process manager may have put its name before the line.
    try:
        fields: Any = json.loads(line[max(line.find("{"), 0):])
        head = Head(fields["chain"], fields["number"], fields["mac"])
    except (ValueError, TypeError, KeyError):
        return None
    typed = isinstance(head.number, int) and isinstance(head.chain, str)
    return head if typed and isinstance(head.mac, str) else None


def _progress() -> Callable[[int], None]:
    """Says from time to time how far it is, where it does not disturb the output."""
    spoken = time.monotonic()

    def tell(rows: int) -> None:
        nonlocal spoken
        if time.monotonic() - spoken >= WORD_EVERY:
            spoken = time.monotonic()
            click.echo(f"{rows} rows verified ...", err=True)

    return tell
