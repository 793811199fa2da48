"""``clinic check``: nothing is lost, doubled or left over in the databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from config.settings import (
    Settings,
    SettingsError,
    database_settings,
    embedded_settings,
    environment,
    topology_settings,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from config.check import Outcome

ADVICE = """
What is named above was not written by this system's programs, or one of them has a fault. Keep a
copy of the databases as they are now, and the logs, before anybody mends anything."""


@click.command()
@click.option("--embedded", is_flag=True, help="The databases in DATA_DIR, of `make run`.")
def check(embedded: bool) -> None:
    """Look for overlaps, stray claims and lost events; the system may run meanwhile.

    Changes nothing. Ends with 1 when something is wrong, and names the first few of each kind.
    With AMQP_ADMIN_URL and AMQP_URI of administrators it looks at the queues as well.
    """
    settings = _settings(embedded)
    from config.check import all_checks, examine

    wrong = 0
    for name, checks in all_checks().items():
        url = settings.database(name)
        with _reading(url):
            for outcome in examine(name, checks, url):
                _tell(outcome)
                wrong += outcome.wrong
    if not embedded and environment().get("AMQP_ADMIN_URL"):
        wrong += _look_at_broker()
    if wrong:
        click.echo(f"Wrong: {wrong}.\n{ADVICE}", err=True)
        raise SystemExit(1)
    click.echo("Nothing is wrong.")


def _look_at_broker() -> int:
    """How much is wrong there."""
    from config.broker_users import SetupRefused
    from config.check_broker import examine_broker

    wrong = 0
    try:
        for outcome in examine_broker(topology_settings()):
            _tell(outcome)
            wrong += outcome.wrong
    except (SettingsError, SetupRefused) as refused:
        raise click.ClickException(str(refused)) from refused
    return wrong


def _tell(outcome: "Outcome") -> None:
    found = f"{outcome.wrong} wrong" if outcome.wrong else "ok"
    looked_at = f"{outcome.looked_at} {outcome.check.what}, {outcome.seconds:.1f} s"
    click.echo(f"{outcome.database}: {outcome.check.title}: {found} ({looked_at})")
    for text in outcome.named:
        click.echo(f"  {text}")
    left = outcome.wrong + outcome.notes - len(outcome.named)
    if left:
        click.echo(f"  ... and {left} more")


def _settings(embedded: bool) -> Settings:
    try:
        return _embedded() if embedded else database_settings(())
    except SettingsError as refused:
        raise click.ClickException(
            f"{refused} For the data of `make run` add --embedded; `make stack` must be running, "
            "with the same DATA_DIR."
        ) from refused


def _embedded() -> Settings:
    """Nothing is opened that is sealed, so no keys are read, or made."""
    from config.check import all_checks

    settings = embedded_settings()
    for name in all_checks():
        if not (settings.data_dir / f"{name}.sqlite3").is_file():
            raise SettingsError(
                f"There is no database of {name} in {settings.data_dir}: set DATA_DIR to the "
                "folder that `make run` used."
            )
    return settings


@contextmanager
def _reading(url: "URL") -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    from config.database import error_number

    try:
        yield
    except DBAPIError as failure:
        where = url.render_as_string(hide_password=True)
        raise click.ClickException(
            f"The database {where} cannot be read (error {error_number(failure)}): is the server "
            "up, was `clinic migrate` run, and may this user read it?"
        ) from failure
