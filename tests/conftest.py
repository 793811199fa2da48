"""Real servers for the tests that need them: named by the environment, or private ones."""

import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from kombu import Connection
from sqlalchemy import text
from sqlalchemy.engine import make_url

from config.database import connect
from config.messaging.topology import rpc_exchange
from config.programs import catalogue
from config.servers import ServerFailed, install, missing_programs, needed, process, started
from config.settings import SERVERS
from tests.systems import (
    BESIDE,
    QUICK,
    WORKER,
    System,
    embedded_system,
    for_this_worker,
    real_system,
)

LOUD = "!" * 20
WORKERS = 2
Say = Callable[[str], None]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto`` means; 0 is this process alone."""
    return 0 if _given() else WORKERS


def pytest_configure(config: pytest.Config) -> None:
    # A machine that is busy with other tests is no fault of what hypothesis tries.
    settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("untimed")
    # A port is found free first, and taken later: meanwhile another worker may find it too.
    process.PORTS = for_this_worker(process.PORTS)
    BESIDE.update(QUICK)
    workers = config.getoption("numprocesses", None) or 0
    if workers > 1 and _given():
        # Each runs every service, and two of a kind on one broker take each other's messages.
        raise pytest.UsageError(f"{_given()} can be used by one process only; leave -n away.")


def pytest_report_header() -> list[str]:
    return [f"servers: {_given()} as given, so all in one process"] if _given() else []


def _given() -> str:
    return ", ".join(setting for setting in SERVERS if os.environ.get(setting))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    left_out = sum(LOUD in str(report.longrepr) for report in skipped)
    if left_out:
        text = f"{LOUD} {left_out} tests that need RabbitMQ, MariaDB and Redis DID NOT RUN {LOUD}"
        terminalreporter.write_line(text, red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Say:
    """Straight to the terminal: pytest keeps what tests print, and this may take a while."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            os.write(2, f"[{time.strftime('%H:%M:%S')} {WORKER}] {line}\n".encode())

    return say


@pytest.fixture(scope="session")
def server_programs(tmp_path_factory: pytest.TempPathFactory, say: Say) -> None:
    """RabbitMQ, MariaDB and Redis are installed here, now at the latest."""
    _install(list(SERVERS), tmp_path_factory, say)


@pytest.fixture(scope="session")
def addresses(tmp_path_factory: pytest.TempPathFactory, say: Say) -> Iterator[dict[str, str]]:
    """The addresses of servers that really run, with databases for this run alone.

    With ``AMQP_ADMIN_URL`` when broker and database are ours, to make users as we like.
    """
    folder, environ = tmp_path_factory.mktemp("servers"), dict(os.environ)
    _install(needed(environ), tmp_path_factory, say)
    with started(folder=folder, environ=environ, say=say) as given:
        if environ.get("DATABASE_URL"):
            given.pop("AMQP_ADMIN_URL", None)
        with Connection(given["AMQP_URI"]) as broker:
            # As `clinic topology` does: programs and callers find it there.
            rpc_exchange()(broker.default_channel).declare()
        yield from _with_own_databases(given)


def _install(settings: list[str], folders: pytest.TempPathFactory, say: Say) -> None:
    environ, log = dict(os.environ), folders.mktemp("install") / "log"
    try:
        with _one_at_a_time(folders.getbasetemp().parent / "install.lock"):
            missing = missing_programs(settings=settings, environ=environ)
            if missing:
                install(settings=missing, log=log, environ=environ, say=say)
    except ServerFailed as absent:
        if environ.get("CI"):
            raise
        pytest.skip(f"{LOUD} no servers to test on: {absent}")


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """What the first worker did, the second then finds done."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _with_own_databases(given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    url = make_url(given["DATABASE_URL"])
    own = url.set(database=f"{url.database or 'clinic'}_test_{uuid.uuid4().hex[:8]}")
    yield {**given, "DATABASE_URL": own.render_as_string(hide_password=False)}
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        for name in catalogue().databases:
            connection.execute(text(f"DROP DATABASE IF EXISTS `{own.database}_{name}`"))
    server.dispose()


@pytest.fixture(scope="session")
def stack(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The real system: each program a process, on real servers."""
    with real_system(tmp_path_factory.mktemp("stack"), addresses) as system:
        yield system


@pytest.fixture(scope="session")
def standing_still() -> Iterator[ExitStack]:
    """Ended while the embedded system is wanted."""
    with ExitStack() as still:
        yield still


@pytest.fixture(scope="session")
def kept_embedded(
    tmp_path_factory: pytest.TempPathFactory, standing_still: ExitStack
) -> Iterator[System]:
    with embedded_system(tmp_path_factory.mktemp("embedded")) as system:
        yield system
        standing_still.close()


@pytest.fixture(scope="module")
def embedded(kept_embedded: System, standing_still: ExitStack) -> Iterator[System]:
    """It looks for messages all the time, so between the files that ask it, it stands still."""
    standing_still.close()
    yield kept_embedded
    standing_still.enter_context(kept_embedded.standing_still())


@pytest.fixture(params=["embedded", "stack"])
def system(request: pytest.FixtureRequest) -> System:
    """Each mode in turn: what holds in one holds in the other."""
    found: System = request.getfixturevalue(request.param)
    return found
