"""The whole system in one process, for trying it and for quick tests: no server needed.

SQLite files instead of MySQL, kombu's memory transport instead of RabbitMQ; all else is the
code that the real mode runs.
"""

import random
import time
from datetime import timedelta
from socket import socket
from wsgiref.types import WSGIApplication

import eventlet
from eventlet import wsgi

from config import logs, migration, process
from config.clock import utc_now
from config.messaging import memory
from config.preflight import held_folder, listener
from config.programs import catalogue, load
from config.settings import Settings

STOP_SECONDS = 4.0
LARGEST_HEADER = 8190

BANNER = """
{title} is ready at {url} (started in {seconds:.1f} s).

Runs here: gateway, {programs}
Data:      {data}
Ready?     {url}/readyz
Stop:      Ctrl-C

{walkthrough}"""


def run(settings: Settings) -> None:
    """Start everything, print where it is, and serve until SIGTERM or Ctrl-C.

    :raises StartRefused: when the port is taken or the folder cannot be used.
    """
    began = time.monotonic()
    with held_folder(settings.data_dir), listener(settings.host, settings.port) as opened:
        logs.configure(level=settings.log_level, readable=True)
        ended = process.on_signal()
        memory.install()
        for name, scripts in catalogue().databases.items():
            migration.upgrade(scripts=scripts, url=settings.database(name))
        runner = process.start(settings, catalogue().programs)
        application = load(catalogue().gateway_factory)(settings)
        server = eventlet.spawn(_serve, opened, application)
        print(banner(settings, seconds=time.monotonic() - began), flush=True)
        process.watch(runner, ended)
        try:
            ended.wait()
        finally:
            server.kill()
            process.stop(runner, seconds=STOP_SECONDS)
            print(f"Stopped. The data stays in {settings.data_dir}", flush=True)


def banner(settings: Settings, *, seconds: float) -> str:
    """What a newcomer needs to see: where it runs, what runs, what to try."""
    url = f"http://{settings.host}:{settings.port}"
    # Any day will do, but not the same at each start: a time can be booked only once.
    day = utc_now() + timedelta(days=random.randrange(2, 360))
    return BANNER.format(
        title=catalogue().title,
        url=url,
        seconds=seconds,
        programs=", ".join(program.name for program in catalogue().programs),
        data=settings.data_dir.resolve(),
        walkthrough=catalogue().walkthrough.format(url=url, date=f"{day:%Y-%m-%d}T09:00:00"),
    )


def _serve(listener: socket, application: WSGIApplication) -> None:
    wsgi.server(
        listener,
        application,
        # The gateway writes a line for each request itself.
        log_output=False,
        # Its input ends with the body, chunked or not; werkzeug reads chunks only when told so.
        environ={"wsgi.input_terminated": True},
        keepalive=True,
        socket_timeout=30,
        url_length_limit=LARGEST_HEADER,
    )
