"""``clinic topology``: what is on the broker before the first program starts."""

from typing import TYPE_CHECKING

import click

from config.settings import SettingsError, topology_settings

if TYPE_CHECKING:
    from kombu import Queue


@click.command()
@click.option(
    "--subscriber",
    "subscribers",
    multiple=True,
    metavar="QUEUE:SOURCE.EVENT",
    help="A queue for somebody who will hear these events; then only such queues are made.",
)
def topology(subscribers: tuple[str, ...]) -> None:
    """Declare exchanges and queues, and limit them, so that no message is sent into the void.

    Run it before a new version starts; what is there stays as it is. AMQP_URI must name an
    administrator. For --subscriber it may be the one of CONSUMER_AMQP_URI.
    """
    try:
        settings = topology_settings()
    except SettingsError as refused:
        raise click.ClickException(str(refused)) from refused
    from config.broker_layout import Layout, declare, prepare_broker
    from config.broker_users import SetupRefused
    from config.programs import catalogue

    wanted = Layout(queues=tuple(map(_subscription, subscribers)))
    try:
        if subscribers:
            declare(wanted, uri=settings.amqp_uri, ca_file=settings.tls_ca_file, tell=click.echo)
        else:
            prepare_broker(catalogue(), settings, tell=click.echo)
    except SetupRefused as refused:
        raise click.ClickException(str(refused)) from refused


def _subscription(text: str) -> "Queue":
    from config.broker_layout import subscription

    try:
        return subscription(text)
    except ValueError as wrong:
        raise click.UsageError(f"--subscriber {text}: {wrong}.") from wrong
