"""Runs Nameko services in this process, which eventlet has patched, until they are told to end."""

import logging
import signal
from importlib import import_module
from types import FrameType

import eventlet
from eventlet.event import Event
from kombu import pools
from nameko.runners import ServiceRunner

from config import logs
from config.messaging import plain_json
from config.programs import Program, catalogue, nameko_config
from config.settings import Settings

_log = logging.getLogger("process")

GRACE_SECONDS = 10


def serve(settings: Settings, name: str) -> None:
    """Run the program ``name`` until SIGTERM or Ctrl-C."""
    logs.configure(level=settings.log_level, readable=settings.readable_logs)
    runner = start(settings, (catalogue().program(name),))
    _log.info("started", extra={"program": name})
    ended = on_signal()
    watch(runner, ended)
    try:
        ended.wait()
    finally:
        stop(runner, seconds=GRACE_SECONDS)
        _log.info("ended", extra={"program": name})


def start(settings: Settings, programs: tuple[Program, ...]) -> ServiceRunner:
    """Start ``programs``, consuming when this returns."""
    speak()
    # Replies wait here for a connection, without a bound: one for each worker, and some to spare.
    pools.set_limit(settings.service_workers * len(programs) + 10)
    runner = ServiceRunner(nameko_config(settings, programs))
    for program in programs:
        runner.add_service(program.service())
    runner.start()
    return runner


def speak() -> None:
    """Have this process understand what the others say: their errors, and JSON as it is."""
    import_module(catalogue().language)
    plain_json.install()


def stop(runner: ServiceRunner, *, seconds: float) -> None:
    """End work under way, then stop; what is not done after ``seconds`` is left to redelivery."""
    with eventlet.Timeout(seconds, False):
        runner.stop()


def on_signal() -> Event:
    """An event that the first SIGTERM or SIGINT sends.

    Later ones are ignored: a second SIGTERM while Nameko shuts down hangs it for ever.
    """
    ended = Event()

    def send() -> None:
        if not ended.ready():
            ended.send()

    def first(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        # A handler may not switch greenlets itself.
        eventlet.hubs.get_hub().schedule_call_global(0, send)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, first)
    return ended


def watch(runner: ServiceRunner, ended: Event) -> None:
    """A service that dies takes the process with it, for its supervisor to start anew.

    Waiting for ``ended`` then raises SystemExit.
    """

    def wait() -> None:
        try:
            runner.wait()
        except Exception as failure:
            _log.error("service died", extra={"error": type(failure).__name__}, exc_info=True)
            if not ended.ready():
                ended.send_exception(SystemExit(1))

    eventlet.spawn(wait)
