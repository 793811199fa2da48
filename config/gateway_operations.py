"""The operators' port of the gateway, in gunicorn's master: its workers share all other ports.

What the workers count is in files, which the master adds up; prometheus_client must be told where
before anybody imports it.
"""

import json
import shutil
import tempfile
import threading
from collections.abc import Mapping
from functools import partial
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from config.operations import Report, application
from config.settings import Settings

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
ASKED_SECONDS = 5.0
# The workers' own answer comes within their deadline, and that is for them to keep.
MORE_SECONDS = 1.0
EVERYWHERE = "0.0.0.0"  # nosec B104 # recognised, not bound


def room_for_metrics() -> dict[str, str]:
    """A setting for gunicorn and its workers: a folder for them alone, for as long as they run."""
    return {METRICS_FOLDER: tempfile.mkdtemp(prefix="clinic-metrics-")}


def forget_metrics(environ: Mapping[str, str]) -> None:
    shutil.rmtree(environ[METRICS_FOLDER], ignore_errors=True)


def forget_worker(number: int) -> None:
    """What a process that is gone had going on counts no more; what it counted stays."""
    mark_process_dead(number)


def serve(settings: Settings, workers: Mapping[int, Any]) -> None:
    """Serve in a thread, until the process ends.

    :param workers: gunicorn's, by process id.
    """
    answer = application(
        metrics=partial(generate_latest, _registry()),
        alive=lambda: {"workers": "ok" if workers else "failing"},
        ready=partial(_workers_answer, settings),
    )
    server = make_server(
        settings.host,
        settings.operations_port,
        answer,
        server_class=_Server,
        handler_class=_Handler,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    ProcessCollector(registry=registry)
    return registry


def _workers_answer(settings: Settings) -> Report:
    """As one of them sees it."""
    host = "127.0.0.1" if settings.host == EVERYWHERE else settings.host
    # Past any proxy that the environment names: this is our own machine.
    direct = build_opener(ProxyHandler({}))
    try:
        try:
            answer = direct.open(
                f"http://{host}:{settings.port}/readyz",
                timeout=settings.call_seconds + MORE_SECONDS,
            )
        except HTTPError as failing:
            answer = failing
        with answer:
            told = json.load(answer)
        return {"checks": told["checks"], "breakers": told.get("breakers", {})}
    except (OSError, ValueError, KeyError):
        return {"checks": {"workers": "failing"}}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without a look into the DNS for the name that belongs to the address."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    """Says nothing of what it was asked, neither to the log nor to who asked."""

    timeout = ASKED_SECONDS
    # Else what is no HTTP at all is answered without a status.
    default_request_version = "HTTP/1.0"
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d\n"

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        super().send_error(code)

    def log_message(self, format: str, *args: Any) -> None:
        pass
