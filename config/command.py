"""The command line, ``clinic``: run, serve, migrate, stack, shell.

Imports wait until a command runs: services must be patched by eventlet before anything else.
"""

import os
import sys
from pathlib import Path

import click

from config.settings import Settings, SettingsError, embedded_settings, real_settings


@click.group(help=__doc__.splitlines()[0] if __doc__ else None)
def main() -> None:
    pass


@main.command()
def run() -> None:
    """Run the whole system in this process; needs no server."""
    settings = _settings(embedded=True)
    _patch()
    from config import embedded

    try:
        embedded.run(settings)
    except embedded.StartRefused as refused:
        raise click.ClickException(str(refused)) from refused


@main.command()
@click.argument("program")
def serve(program: str) -> None:
    """Run one PROGRAM of config/services.yml on the servers that the environment names."""
    settings = _settings(embedded=False)
    if program == "gateway":
        _become_gunicorn()
    _patch()
    from config import process

    process.serve(settings, program)


@main.command()
def migrate() -> None:
    """Create or upgrade every service's database."""
    settings = _settings(embedded=False)
    from config.migration import upgrade
    from config.programs import catalogue

    for name, scripts in catalogue().databases.items():
        upgrade(scripts=scripts, url=settings.database(name))
        click.echo(f"{name}: up to date")


def _settings(*, embedded: bool) -> Settings:
    try:
        return embedded_settings() if embedded else real_settings()
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
    import warnings

    # eventlet announces its retirement at each import; Nameko 2 knows no other hub.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import eventlet

    eventlet.monkey_patch()
