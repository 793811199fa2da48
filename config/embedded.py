"""The whole system in one process, for trying it and for quick tests: no server needed.

SQLite files instead of MySQL, kombu's memory transport instead of RabbitMQ; all else is the
code that the real mode runs.
"""

import errno
import fcntl
import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from wsgiref.types import WSGIApplication

import eventlet
from eventlet import wsgi

from config import logs, migration, process
from config.clock import utc_now
from config.messaging import memory
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


class StartRefused(Exception):
    """Why the system cannot start here, as a sentence that says what to do."""


def run(settings: Settings) -> None:
    """Start everything, print where it is, and serve until SIGTERM or Ctrl-C.

    :raises StartRefused: when the port is taken or the folder cannot be used.
    """
    began = time.monotonic()
    with _data_dir(settings), _listener(settings) as listener:
        logs.configure(level=settings.log_level, readable=True)
        ended = process.on_signal()
        memory.install()
        for name, scripts in catalogue().databases.items():
            migration.upgrade(scripts=scripts, url=settings.database(name))
        runner = process.start(settings, catalogue().programs)
        application = load(catalogue().gateway_factory)(settings)
        server = eventlet.spawn(_serve, listener, application)
        print(banner(settings, seconds=time.monotonic() - began), flush=True)
        ended.wait()
        server.kill()
        process.stop(runner, seconds=STOP_SECONDS)
        print("Stopped. The data stays in " + str(settings.data_dir), flush=True)


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


@contextmanager
def _data_dir(settings: Settings) -> Iterator[None]:
    """Hold the folder for this process alone: two relays on one outbox would publish twice."""
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as refused:
        raise StartRefused(
            f"The data folder {folder} cannot be written ({refused.strerror}). "
            "Set DATA_DIR to a folder that can."
        ) from refused
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as held:
            raise StartRefused(
                f"The data folder {folder} is in use by another run. "
                "End that one, or set DATA_DIR to another folder."
            ) from held
        yield


@contextmanager
def _listener(settings: Settings) -> Iterator[socket.socket]:
    try:
        listener = eventlet.listen((settings.host, settings.port), reuse_port=False)
    except OSError as refused:
        if refused.errno == errno.EADDRINUSE:
            why = "is in use by another program"
        else:
            why = f"cannot be opened ({refused.strerror})"
        raise StartRefused(f"Port {settings.port} {why}. Set PORT to another one.") from refused
    with listener:
        yield listener


def _serve(listener: socket.socket, application: WSGIApplication) -> None:
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
