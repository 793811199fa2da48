"""Log lines carry a correlation id and never what an exception said."""

import contextvars
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from config.logs import CorrelationFilter, correlation_id, logging_config

SECRET = "Ada Byron, born 1985"
ROOT = Path(__file__).parents[3]


def logger_of(formatter_name):
    """A logger with the filter and the formatter of the configuration, and what it writes."""
    config = logging_config(level="DEBUG", readable=False)
    options = dict(config["formatters"][formatter_name])
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(options.pop("()")(**options))
    handler.addFilter(CorrelationFilter())
    logger = logging.Logger("patients")
    logger.addHandler(handler)
    return logger, written


def in_a_context_of_its_own(act):
    return contextvars.copy_context().run(act)


def fail_with_a_cause():
    try:
        raise KeyError(SECRET)
    except KeyError as cause:
        raise ValueError(f"no such patient: {SECRET}") from cause


def fail_while_failing():
    try:
        raise KeyError(SECRET)
    except KeyError:
        raise ValueError(SECRET)


class RowRefused(Exception):
    pass


def fail_alone():
    raise RowRefused(SECRET)


def log_failure(formatter_name, fail):
    logger, written = logger_of(formatter_name)
    try:
        fail()
    except Exception:
        logger.exception("unexpected error")
    return written.getvalue()


def test_a_line_for_machines_is_one_json_object():
    correlation_id.set("-")
    logger, written = logger_of("json")
    logger.info("request", extra={"route": "/patients", "status": 201})
    line = json.loads(written.getvalue())
    assert written.getvalue().count("\n") == 1
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": "patients",
        "message": "request",
        "correlation_id": "-",
        "route": "/patients",
        "status": 201,
    }


def test_a_line_for_people_shows_its_fields_and_its_correlation_id():
    logger, written = logger_of("readable")

    def act():
        correlation_id.set("abc")
        logger.info("request", extra={"route": "/patients", "status": 201})

    in_a_context_of_its_own(act)
    time, rest = written.getvalue().split(" ", 1)
    assert len(time) == len("12:30:01")
    assert rest == "INFO    patients request route=/patients status=201 [abc]\n"


@pytest.mark.parametrize("formatter_name", ["json", "readable"])
def test_the_correlation_id_follows_its_context_and_no_other(formatter_name):
    logger, written = logger_of(formatter_name)

    def act():
        correlation_id.set("first-request")
        logger.info("one")

    in_a_context_of_its_own(act)
    logger.info("two")
    first, second = written.getvalue().splitlines()
    assert "first-request" in first
    assert "first-request" not in second


@pytest.mark.parametrize("formatter_name", ["json", "readable"])
@pytest.mark.parametrize("fail", [fail_alone, fail_with_a_cause, fail_while_failing])
def test_a_trace_shows_where_it_went_wrong_and_not_with_what(formatter_name, fail):
    shown = log_failure(formatter_name, fail)
    assert fail.__name__ in shown
    assert Path(__file__).name in shown
    assert "Ada" not in shown and "1985" not in shown


@pytest.mark.parametrize("formatter_name", ["json", "readable"])
@pytest.mark.parametrize("fail", [fail_with_a_cause, fail_while_failing])
def test_a_trace_names_every_class_of_its_chain(formatter_name, fail):
    shown = log_failure(formatter_name, fail)
    assert "ValueError" in shown and "KeyError" in shown


@pytest.mark.parametrize("formatter_name", ["json", "readable"])
def test_a_line_without_an_exception_has_no_trace(formatter_name):
    logger, written = logger_of(formatter_name)
    logger.error("refused")
    assert len(written.getvalue().splitlines()) == 1
    assert "exc_info" not in written.getvalue()


SCRIPT = """
import logging, sys
from config import logs
logs.configure(level="INFO", readable=sys.argv[1] == "readable")
logging.getLogger("gateway").debug("too quiet")
logging.getLogger("gateway").info("heard")
logging.getLogger("gunicorn.error").info("listening")
logging.getLogger("gunicorn.access").error("GET /patients?q=Ada")
logging.getLogger("nameko.rpc").warning("args: Ada")
logging.getLogger("nameko.containers").error("args: Ada")
"""


@pytest.mark.parametrize("form", ["json", "readable"])
def test_configured_logs_go_to_standard_output_without_lines_that_hold_arguments(form):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, form], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert done.stderr == ""
    assert [word for line in lines for word in ("heard", "listening") if word in line] == [
        "heard",
        "listening",
    ]
    assert len(lines) == 2
    assert "Ada" not in done.stdout


def test_an_exception_that_is_its_own_cause_is_told_once():
    logger, written = logger_of("readable")
    error = ValueError(SECRET)
    try:
        raise error from error
    except ValueError:
        logger.exception("failed")
    assert written.getvalue().count("ValueError") == 1
