"""gunicorn's own settings file. gevent measured best for a gateway that waits for the broker."""

from typing import Any

from config.http_edge import LONGEST_LINE, MOST_HEADERS
from config.logs import leave_out_what_no_line_shows, logging_config
from config.settings import environment, real_settings

_settings = real_settings()

bind = f"{_settings.host}:{_settings.port}"
logger_class = "config.problem_worker.Log"
worker_class = "config.problem_worker.ProblemWorker"
workers = _settings.gateway_workers
worker_connections = 1000
# What takes longer is a slow client: the deadline ends all else first.
timeout = int(_settings.call_seconds) + 25
graceful_timeout = int(_settings.call_seconds) + 1
keepalive = 30
# Its place would be the home folder of whoever starts it, and nobody uses it.
control_socket_disable = True
limit_request_line = limit_request_field_size = LONGEST_LINE
limit_request_fields = MOST_HEADERS
leave_out_what_no_line_shows()
logconfig_dict = logging_config(level=_settings.log_level, readable=_settings.readable_logs)


def when_ready(server: Any) -> None:
    if _settings.operations_port:
        from config.gateway_operations import serve

        serve(_settings, server.WORKERS)


def child_exit(server: Any, worker: Any) -> None:
    if _settings.operations_port:
        from config.gateway_operations import forget_worker

        forget_worker(worker.pid)


def on_exit(server: Any) -> None:
    if _settings.operations_port:
        from config.gateway_operations import forget_metrics

        forget_metrics(environment())


def worker_exit(server: Any, worker: Any) -> None:
    """gunicorn's own hook: the application ends what it began."""
    # None was loaded when the worker could not start.
    application = getattr(worker, "wsgi", None)
    if application:
        application.close()
