"""Runs Nameko services in this process, which eventlet has patched, until they are told to end."""

import gc
import logging
import os
import signal
from functools import partial
from importlib import import_module
from types import FrameType
from typing import Any

import eventlet
from eventlet.event import Event
from eventlet.hubs import trampoline
from eventlet.patcher import original
from kombu import pools
from nameko.runners import ServiceRunner
from prometheus_client import generate_latest

from config import logs, operations, vitals
from config.embedded_http import serve as serve_http
from config.messaging import plain_json
from config.preflight import open_listener
from config.programs import Program, catalogue, nameko_config
from config.settings import Settings

_log = logging.getLogger("process")

GRACE_SECONDS = 10
# What hangs longer than that is ended by the kernel, after this.
MORE_SECONDS = 3
# Killing a service is a matter of moments; if it is not done by then, it never will be.
DYING_SECONDS = 5.0
# An operator's request, from the first byte to the last.
ASKED_SECONDS = 5.0


def serve(settings: Settings, name: str) -> None:
    """Run the program ``name`` until SIGTERM or Ctrl-C.

    :raises StartRefused: when its OPERATIONS_PORT cannot be had.
    """
    logs.configure(level=settings.log_level, readable=settings.readable_logs)
    runner = start(settings, (catalogue().program(name),))
    ended = on_signal()
    # What is here now stays: looking through it again takes 80 ms, in which nobody is answered.
    gc.collect()
    gc.freeze()
    _log.info("started", extra={"program": name})
    try:
        run(runner, ended)
    finally:
        _log.info("ended", extra={"program": name})


def run(runner: ServiceRunner, ended: Event) -> None:
    """Until ``ended``, see ``on_signal``, or the death of a service."""
    watch(runner, ended)
    try:
        ended.wait()
    finally:
        _end_at_last()
        stop(runner, seconds=GRACE_SECONDS)


def start(settings: Settings, programs: tuple[Program, ...]) -> ServiceRunner:
    """Start ``programs``, consuming when this returns.

    :raises StartRefused: when OPERATIONS_PORT cannot be had.
    """
    speak()
    # What is put off or buried waits here for a connection, without a bound: one for each worker,
    # and some to spare.
    pools.set_limit(settings.service_workers * len(programs) + 10)
    runner = ServiceRunner(nameko_config(settings, programs))
    for program in programs:
        runner.add_service(program.service())
    if settings.operations_port:
        show_to_operators(settings.host, settings.operations_port, runner)
    runner.start()
    return runner


def show_to_operators(host: str, port: int, runner: ServiceRunner) -> None:
    """From before the start, which may have to wait for the broker; until the process ends."""
    opened = open_listener(host, port, setting="OPERATIONS_PORT")
    application = operations.application(
        metrics=generate_latest,
        alive=partial(vitals.alive, runner.containers),
        ready=partial(vitals.readiness, runner.containers),
    )
    eventlet.spawn(serve_http, opened, application, request_seconds=ASKED_SECONDS)


def speak() -> None:
    """Have this process understand what the others say: their errors, and JSON as it is."""
    import_module(catalogue().language)
    plain_json.install()


def stop(runner: ServiceRunner, *, seconds: float) -> None:
    """End work under way, then stop; what is not done after ``seconds`` is left to redelivery."""
    with eventlet.Timeout(seconds, False):
        runner.stop()
        return
    _log.warning("not all work was ended; what was not is delivered again")


def on_signal() -> Event:
    """An event that the first SIGTERM or SIGINT sends.

    Later ones are ignored: a second SIGTERM while Nameko shuts down hangs it for ever.
    """
    ended, (reading, writing) = Event(), os.pipe()

    def first(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        # A handler may not switch greenlets itself; and the hub, asleep, would not notice a timer.
        original("os").write(writing, b"!")

    def send() -> None:
        trampoline(reading, read=True)
        if not ended.ready():
            ended.send()

    eventlet.spawn(send)
    _bound_the_end()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, first)
    return ended


def _bound_the_end() -> None:
    """From the first SIGTERM or SIGINT on the process has so long, even if it is not listening.

    Python runs a handler between two steps of the main thread only, and a call into a library may
    never return. But it writes down at once that a signal came, and a thread can wait for that;
    a real one, beside eventlet's.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def wait() -> None:
        while not {signal.SIGTERM, signal.SIGINT} & {*original("os").read(reading, 1)}:
            pass
        _end_at_last()

    original("threading").Thread(target=wait, daemon=True).start()


def _end_at_last() -> None:
    """The kernel ends the process then; nothing needs to run for it."""
    signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS + MORE_SECONDS)


def watch(runner: ServiceRunner, ended: Event) -> None:
    """A service that dies takes the process with it, for its supervisor to start anew.

    Waiting for ``ended`` then raises SystemExit.
    """
    for container in runner.containers:
        eventlet.spawn(_wait_for, container, ended)
    eventlet.spawn(_watch_dying, runner, ended)


def _wait_for(container: Any, ended: Event) -> None:
    try:
        container.wait()
    except Exception as failure:
        _log.error("service died", extra={"error": type(failure).__name__}, exc_info=True)
    if not ended.ready():
        ended.send_exception(SystemExit(1))


def _watch_dying(runner: ServiceRunner, ended: Event) -> None:
    """What hangs while it is being killed is neither there nor gone, and nobody else notices."""
    while not any(map(vitals.is_dying, runner.containers)):
        eventlet.sleep(1)
    eventlet.sleep(DYING_SECONDS)
    if not ended.ready():
        _log.error("service hangs while it is being killed")
        ended.send_exception(SystemExit(1))
