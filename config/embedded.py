"""The whole system in one process, for trying it and for quick tests: no server needed.

SQLite files instead of MySQL, kombu's memory transport instead of RabbitMQ; all else is the
code that the real mode runs.
"""

import logging
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import eventlet
from kombu import Connection

from config import logs, migration, process
from config.broker_layout import declare_on, layout
from config.clock import utc_now
from config.embedded_http import serve
from config.encryption import Vault
from config.messaging import memory
from config.preflight import held_folder, listener
from config.programs import catalogue, load
from config.settings import Settings, with_kept_keys

_log = logging.getLogger("embedded")

STOP_SECONDS = 4.0

BANNER = """
{title} is ready at {url} (started in {seconds:.1f} s).

Runs here: gateway, {programs}
Data:      {data}
Ready?     {url}/readyz
Stop:      Ctrl-C

Sign in as (made for trying it, in this folder only):
{logins}

{walkthrough}"""


class Login(Protocol):
    """What is told of somebody who can sign in."""

    role: str
    email: str
    password: str


def run(settings: Settings) -> None:
    """Start everything, print where it is, and serve until SIGTERM or Ctrl-C.

    :raises StartRefused: when the port is taken or the folder cannot be used.
    """
    began = time.monotonic()
    with held_folder(settings.data_dir), listener(settings.host, settings.port) as opened:
        logs.configure(level=settings.log_level, readable=True)
        settings = with_kept_keys(settings)
        ended = process.on_signal()
        prepare_broker(settings)
        for name, scripts in catalogue().databases.items():
            vault = Vault(settings.keys.data, settings.keys.index, name)
            migration.upgrade(scripts=scripts, url=settings.database(name), vault=vault)
        runner = process.start(settings, catalogue().programs)
        logins = load(catalogue().gateway_demo)(settings)
        application = load(catalogue().gateway_factory)(settings)
        server = eventlet.spawn(serve, opened, application)
        print(banner(settings, logins, seconds=time.monotonic() - began), flush=True)
        process.watch(runner, ended)
        try:
            ended.wait()
        finally:
            server.kill()
            application.close()
            process.stop(runner, seconds=STOP_SECONDS)
            print(f"Stopped. The data stays in {settings.data_dir}", flush=True)


def prepare_broker(settings: Settings) -> None:
    """Before anything is published: its queues are made anew at each start, and empty."""
    memory.install()
    with Connection(settings.amqp_uri) as connection:
        declare_on(connection, layout(catalogue(), settings), tell=_log.debug)


def banner(settings: Settings, logins: Sequence[Login], *, seconds: float) -> str:
    """What a newcomer needs to see: where it runs, what runs, what to try."""
    url = f"http://{settings.host}:{settings.port}"
    # Any day will do, but not the same at each start: a time can be booked only once.
    day = utc_now() + timedelta(days=random.randrange(2, 360))  # nosec B311 # an example
    return BANNER.format(
        title=catalogue().title,
        url=url,
        seconds=seconds,
        programs=", ".join(program.name for program in catalogue().programs),
        data=settings.data_dir.resolve(),
        logins="\n".join(f"  {each.role:<8} {each.email:<28} {each.password}" for each in logins),
        walkthrough=_walkthrough(logins, url=url, date=f"{day:%Y-%m-%d}T09:00:00"),
    )


def _walkthrough(logins: Sequence[Login], *, url: str, date: str) -> str:
    """Commands to paste, when those whom they are for are still there."""
    passwords = {each.role: each.password for each in logins}
    try:
        return catalogue().walkthrough.format(url=url, date=date, password=passwords)
    except KeyError:
        return f"Somebody of the demo is gone; an empty DATA_DIR has all of them. {url}\n"
