"""The command line, ``clinic``: run, serve, migrate, stack, shell.

Imports wait until a command runs: services must be patched by eventlet before anything else.
"""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import click

from config.settings import (
    Settings,
    SettingsError,
    beside_stack,
    embedded_settings,
    real_settings,
    table,
)


@click.group(help=__doc__.splitlines()[0] if __doc__ else None)
def main() -> None:
    # eventlet announces its retirement whenever it is imported; Nameko 2 knows no other hub.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")


@main.command()
def run() -> None:
    """Run the whole system in this process; needs no server."""
    settings = _settings(embedded_settings)
    _patch()
    from config import embedded
    from config.preflight import StartRefused

    try:
        embedded.run(settings)
    except StartRefused as refused:
        raise click.ClickException(str(refused)) from refused


@main.command()
@click.argument("program")
def serve(program: str) -> None:
    """Run one PROGRAM of config/services.yml on the servers that the environment names."""
    settings = _settings(real_settings)
    from config.programs import GATEWAY, catalogue

    if program not in catalogue().names:
        there_are = ", ".join(catalogue().names)
        raise click.UsageError(f"There is no program {program}; there are {there_are}.")
    if program == GATEWAY:
        _become_gunicorn()
    _patch()
    from config import process

    process.serve(settings, program)


@main.command()
def migrate() -> None:
    """Create or upgrade every service's database."""
    settings = _settings(real_settings)
    from sqlalchemy.exc import OperationalError

    from config.migration import upgrade
    from config.programs import catalogue

    for name, scripts in catalogue().databases.items():
        try:
            upgrade(scripts=scripts, url=settings.database(name))
        except OperationalError as refused:
            number, *_ = refused.orig.args if refused.orig else ("",)
            where = settings.database(name).render_as_string(hide_password=True)
            raise click.ClickException(
                f"The database {where} cannot be migrated (error {number}): is the server up, "
                "and may this user create databases and tables?"
            ) from refused
        click.echo(f"{name}: up to date")


@main.command()
def stack() -> None:
    """Run every program as a process of its own, with RabbitMQ, MariaDB and Redis.

    Servers that AMQP_URI, DATABASE_URL or REDIS_URL name are used; the others are started here.
    """
    from config import local_stack
    from config.preflight import StartRefused

    try:
        code = local_stack.run()
    except (local_stack.ServerFailed, SettingsError, StartRefused) as refused:
        raise click.ClickException(str(refused)) from refused
    sys.exit(code)


@main.command("settings")
def settings_table() -> None:
    """Print every setting, as the README shows them."""
    click.echo(table())


@main.command()
def shell() -> None:
    """Open `nameko shell` on the stack that runs here, or on the servers that are named."""
    try:
        settings = beside_stack()
    except SettingsError as refused:
        raise click.ClickException(
            f"No stack runs here: start `make stack` first, with the same DATA_DIR. ({refused})"
        ) from refused
    _patch()
    from nameko.cli.shell import ShellRunner, make_nameko_helper

    from config.process import speak

    speak()
    # Nameko's own banner shows the broker's password.
    helper = make_nameko_helper({"AMQP_URI": settings.amqp_uri})
    ShellRunner("Nameko shell: n.rpc.<service>.<method>(...)", {"n": helper}).start_shell(None)


def _settings(read: Callable[[], Settings]) -> Settings:
    try:
        return read()
    except SettingsError as refused:
        raise click.ClickException(str(refused)) from refused


def _become_gunicorn() -> None:
    from config.programs import catalogue

    here = Path(__file__).parent
    os.execv(
        sys.executable,
        [
            sys.executable, "-m", "gunicorn", "--config", str(here / "gunicorn.conf.py"),
            catalogue().gateway_wsgi,
        ],
    )


def _patch() -> None:
    import eventlet

    eventlet.monkey_patch()


if __name__ == "__main__":
    main()
