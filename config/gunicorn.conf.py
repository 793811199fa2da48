"""gunicorn's own settings file. gevent measured best for a gateway that waits for the broker."""

from config.logs import logging_config
from config.settings import real_settings

_settings = real_settings()

bind = f"{_settings.host}:{_settings.port}"
worker_class = "gevent"
workers = _settings.gateway_workers
worker_connections = 1000
# Longer than any request may take: the deadline ends those first.
timeout = int(_settings.call_seconds) + 25
graceful_timeout = int(_settings.call_seconds) + 1
keepalive = 30
# Its place would be the home folder of whoever starts it, and nobody uses it.
control_socket_disable = True
# A reason for cancelling may be 500 characters of four bytes, each byte written as %xx.
limit_request_line = 8190
limit_request_fields = 64
limit_request_field_size = 8190
logconfig_dict = logging_config(level=_settings.log_level, readable=_settings.readable_logs)
