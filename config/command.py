"""The command line, ``clinic``: run, serve, migrate, stack, shell, audit, check.

Imports wait until a command runs: services must be patched by eventlet before anything else.
"""

import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from config.audit.commands import audit
from config.check_command import check
from config.dead_letter_command import dead_letters
from config.keys import KEYS_FILE, fresh
from config.settings import (
    KEYS,
    STORE_KEYS,
    Settings,
    SettingsError,
    beside_stack,
    database_settings,
    embedded_settings,
    environment,
    real_settings,
    setup_settings,
    table,
    with_kept_keys,
)
from config.topology_command import topology


@click.group(help=__doc__.splitlines()[0] if __doc__ else None)
def main() -> None:
    # eventlet announces its retirement whenever it is imported; Nameko 2 knows no other hub.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")


main.add_command(audit)
main.add_command(check)
main.add_command(dead_letters)
main.add_command(topology)


@main.command()
def run() -> None:
    """Run the whole system in this process; needs no server."""
    settings = _settings(embedded_settings)
    _patch()
    from config import embedded
    from config.preflight import StartRefused
    from config.programs import catalogue, load

    _settings(partial(load(catalogue().gateway_check), settings))
    try:
        embedded.run(settings)
    except (SettingsError, StartRefused) as refused:
        raise click.ClickException(str(refused)) from refused


@main.command()
@click.argument("program")
def serve(program: str) -> None:
    """Run one PROGRAM of config/services.yml on the servers that the environment names."""
    from config.programs import GATEWAY, catalogue, load

    if program not in catalogue().names:
        there_are = ", ".join(catalogue().names)
        raise click.UsageError(f"There is no program {program}; there are {there_are}.")
    if program == GATEWAY:
        settings = _settings(partial(real_settings, keys=KEYS))
        _settings(partial(load(catalogue().gateway_check), settings))
        _make_contact(settings, program)
        _become_gunicorn(settings)
    _patch()
    from config import process
    from config.preflight import StartRefused
    from config.rights import keys_needed

    settings = _settings(partial(real_settings, keys=keys_needed(program)))
    _make_contact(settings, program)
    try:
        process.serve(settings, program)
    except StartRefused as refused:
        raise click.ClickException(str(refused)) from refused


@main.command()
def migrate() -> None:
    """Create or upgrade every service's database."""
    settings = _settings(
        partial(real_settings, keys=STORE_KEYS, servers=("DATABASE_URL",))
    )
    from sqlalchemy.exc import OperationalError

    from config.encryption import Vault
    from config.migration import upgrade
    from config.programs import catalogue

    for name, scripts in catalogue().databases.items():
        try:
            vault = Vault(settings.keys.data, settings.keys.index, name)
            upgrade(scripts=scripts, url=settings.database(name), vault=vault)
        except OperationalError as refused:
            number, *_ = refused.orig.args if refused.orig else ("",)
            where = settings.database(name).render_as_string(hide_password=True)
            raise click.ClickException(
                f"The database {where} cannot be migrated (error {number}): is the server up, "
                "and may this user create databases and tables?"
            ) from refused
        click.echo(f"{name}: up to date")


@main.command()
@click.option("--embedded", is_flag=True, help="The databases in DATA_DIR, of `make run`.")
def rotate(embedded: bool) -> None:
    """Seal all personal data with the first of DATA_KEYS; the system may run meanwhile.

    First start every program with the new key behind the old ones, so that all can read what it
    writes; then with it in front. When this says that no row is left, take the old keys away.
    """
    settings = _settings(
        _kept_settings if embedded else partial(database_settings, STORE_KEYS)
    )
    from config.rotation import Unreachable, rotate_all

    try:
        left = rotate_all(settings, tell=click.echo)
    except Unreachable as unreachable:
        raise click.ClickException(str(unreachable)) from unreachable
    if left:
        raise click.ClickException(
            f"{left} rows still need an older key. Unless they are named above as not opening, a "
            "program still writes with it: start that one with the new DATA_KEYS, then run this "
            "again."
        )
    click.echo(f"Every row is sealed with the key {settings.keys.data.current}.")


@main.command()
@click.option("--into", "folder", required=True, type=click.Path(path_type=Path, file_okay=False))
def setup(folder: Path) -> None:
    """Make a broker user and a database user for each program, with no more rights than it needs.

    AMQP_URI, AMQP_ADMIN_URL and DATABASE_URL must name administrators: what `clinic topology` makes
    is made first. Each program's own addresses are written to FOLDER/<program>.env, with new
    passwords each time.
    """
    settings = _settings(setup_settings)
    from config.broker_users import SetupRefused
    from config.setup import set_up

    try:
        files = set_up(settings, folder, tell=click.echo)
    except SetupRefused as refused:
        raise click.ClickException(str(refused)) from refused
    for file in files:
        click.echo(f"{file.stem}: its addresses are in {file}")


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
def keys() -> None:
    """Print new key rings, to be kept where the other secrets are."""
    for name, ring in fresh(KEYS).items():
        click.echo(f"{name}={ring}")


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
    from nameko.rpc import MethodProxy

    from config.messaging.rpc import CallPublisher
    from config.process import speak
    from config.tls import broker_options

    speak()
    MethodProxy.publisher_cls = CallPublisher
    # Nameko's own banner shows the broker's password.
    helper = make_nameko_helper(
        {
            "AMQP_URI": settings.amqp_uri,
            "AMQP_SSL": broker_options(settings.amqp_uri, settings.tls_ca_file),
        }
    )
    ShellRunner("Nameko shell: n.rpc.<service>.<method>(...)", {"n": helper}).start_shell(None)


def _kept_settings() -> Settings:
    """Those of the embedded mode, with the keys beside its data."""
    settings = embedded_settings()
    if not (settings.data_dir / KEYS_FILE).is_file():
        raise SettingsError(
            f"There is no data in {settings.data_dir}: set DATA_DIR to the folder that `make run` "
            "used."
        )
    return with_kept_keys(settings)


def _settings(read: Callable[[], Settings]) -> Settings:
    try:
        return read()
    except SettingsError as refused:
        raise click.ClickException(str(refused)) from refused


def _make_contact(settings: Settings, program: str) -> None:
    from config import logs
    from config.first_contact import make_contact
    from config.preflight import StartRefused

    logs.configure(level=settings.log_level, readable=settings.readable_logs)
    try:
        make_contact(settings, program)
    except StartRefused as refused:
        raise click.ClickException(str(refused)) from refused


def _become_gunicorn(settings: Settings) -> None:
    from config.gateway_operations import room_for_metrics
    from config.preflight import StartRefused, open_listener
    from config.programs import catalogue

    here, port = Path(__file__).parent, settings.operations_port
    try:
        # Known to be free, or 0, which always is; gunicorn takes the port itself.
        open_listener(settings.host, port, setting="OPERATIONS_PORT").close()
    except StartRefused as refused:
        raise click.ClickException(str(refused)) from refused
    os.execve(  # nosec B606 # no shell is what we want
        sys.executable,
        [
            sys.executable, "-m", "gunicorn", "--config", str(here / "gunicorn.conf.py"),
            catalogue().gateway_wsgi,
        ],
        environment() | (room_for_metrics() if port else {}),
    )


def _patch() -> None:
    import eventlet

    eventlet.monkey_patch()


if __name__ == "__main__":
    main()
