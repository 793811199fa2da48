"""Log lines: JSON for machines, a readable line in embedded mode; each with its correlation id.

A line is an event word with fields, written as ``logger.info("rpc", extra={...})``.
"""

import logging
import logging.config
import traceback
from contextvars import ContextVar
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonEncoder, JsonFormatter

# Each greenlet has a context of its own, so this follows a request without being passed along.
correlation_id: ContextVar[str] = ContextVar("correlation_id", default="-")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "correlation_id"}


class CorrelationFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = correlation_id.get()
        return True


class TraceWithoutTexts(logging.Formatter):
    """Where it went wrong, never with what: exception texts quote rows and arguments."""

    def formatException(  # noqa: N802 (the name is the standard library's)
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | Any
    ) -> str:
        lines: list[str] = []
        seen: set[int] = set()
        error: BaseException | None = ei[1]
        # An exception may be its own cause.
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            lines += [*traceback.format_tb(error.__traceback__), f"{type(error).__qualname__}\n"]
            error = error.__cause__ or error.__context__
        return "".join(lines).rstrip()


class LineFormatter(TraceWithoutTexts, JsonFormatter):
    # Else one would be made for each line, which takes as long as all the rest of it.
    _encoder = JsonEncoder()

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        return self._encoder.encode(log_data)


class ConsoleFormatter(TraceWithoutTexts):
    """``12:30:01 INFO  gateway request route=/things status=201 [correlation id]``"""

    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        fields = "".join(f" {key}={value}" for key, value in extra.items())
        line = (
            f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {record.name} "
            f"{record.getMessage()}{fields} [{record.correlation_id}]"  # type: ignore[attr-defined]
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def logging_config(*, level: str, readable: bool) -> dict[str, Any]:
    """For ``logging.config.dictConfig`` and gunicorn alike; everything goes to standard output."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"correlation": {"()": CorrelationFilter}},
        "formatters": {
            "readable": {"()": ConsoleFormatter},
            "json": {
                "()": LineFormatter,
                "fmt": "%(levelname)s %(name)s %(message)s %(correlation_id)s",
                "rename_fields": {"levelname": "level", "name": "logger"},
                "timestamp": "time",
            },
        },
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "filters": ["correlation"],
                "formatter": "readable" if readable else "json",
            }
        },
        "root": {"level": level, "handlers": ["out"]},
        "loggers": {
            # Nameko's own lines print call arguments, and those are personal data.
            "nameko": {"level": "ERROR"},
            "nameko.messaging": {"level": "WARNING"},
            "nameko.containers": {"level": "CRITICAL"},
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
            "alembic": {"level": "WARNING"},
            # The audit trail's heads leave this machine with the logs, however quiet those are.
            "audit": {"level": "INFO"},
            "kombu": {"level": "WARNING"},
            # The consumer says in one line what these say in fifty.
            "kombu.mixins": {"level": "ERROR"},
            # A pool that is made or given up; what goes wrong there is raised.
            "config.mysql": {"level": "WARNING"},
            # It quotes requests.
            "eventlet.wsgi": {"level": "CRITICAL"},
        },
    }


def leave_out_what_no_line_shows() -> None:
    """Thread, process and task would be found out for each line."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined] # of Python 3.12


def configure(*, level: str, readable: bool) -> None:
    leave_out_what_no_line_shows()
    logging.config.dictConfig(logging_config(level=level, readable=readable))
