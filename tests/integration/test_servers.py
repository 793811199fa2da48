"""The private servers are the real ones: these tests start, ask, stop and kill them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pymysql
import pytest
import redis
from kombu import Connection, Queue

from config.servers import ServerFailed, install, missing_programs, needed, started
from tests.waiting import PATIENCE

ALL = ["AMQP_URI", "DATABASE_URL", "REDIS_URL"]
ROOT = Path(__file__).parents[2]
ENV = {"PATH": os.environ["PATH"]}
ELSEWHERE = {
    "AMQP_URI": "amqp://elsewhere",
    "DATABASE_URL": "mysql+pymysql://elsewhere/clinic",
    "REDIS_URL": "redis://elsewhere",
}
ONLY_REDIS = {**ENV, **ELSEWHERE, "REDIS_URL": ""}
ONLY_MARIADB = {**ENV, **ELSEWHERE, "DATABASE_URL": ""}

START_AND_SLEEP = """
import sys, time
from pathlib import Path
from config.servers import started
env = {"PATH": sys.argv[2]}
with started(folder=Path(sys.argv[1]), environ=env, say=lambda line: print(line, flush=True)):
    print("all up", flush=True)
    time.sleep(300)
"""

requires_programs = pytest.mark.usefixtures("server_programs")


def processes_in(folder: Path) -> dict[int, str]:
    """Every live process with the folder in its environment, command line or working directory.

    Children inherit the environment, so one that made itself a daemon is found as well. (Redis
    writes its title over both words; its working directory gives it away.)
    """
    return {
        int(entry.name): words(entry / "cmdline").replace("\0", " ")
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
        and int(entry.name) != os.getpid()
        and str(folder) in traces(entry)
    }


def traces(entry: Path) -> str:
    try:
        directory = os.readlink(entry / "cwd")
    except OSError:  # it is gone, or was never ours to read
        directory = ""
    return "\n".join([words(entry / "environ"), words(entry / "cmdline"), directory])


def words(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def wait_until_none_in(folder: Path, *, limit: float) -> None:
    deadline = time.monotonic() + limit
    while left := processes_in(folder):
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


def quiet(line: str) -> None:
    """Nobody listens to the progress."""


def mariadb(url: str) -> "pymysql.connections.Connection[pymysql.cursors.Cursor]":
    parts = urlsplit(url)
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 0,
        user=parts.username,
        password=parts.password or "",
        autocommit=True,
    )


def leave_a_mark(urls: Mapping[str, str]) -> None:
    with Connection(urls["AMQP_URI"]) as broker:
        Queue("mark", durable=True).bind(broker.default_channel).declare()
        broker.Producer().publish("kept", exchange="", routing_key="mark", delivery_mode=2)
    with mariadb(urls["DATABASE_URL"]) as database, database.cursor() as cursor:
        cursor.execute("CREATE DATABASE clinic_mark")
        cursor.execute("CREATE TABLE clinic_mark.mark (word VARCHAR(20))")
        cursor.execute("INSERT INTO clinic_mark.mark VALUES ('kept')")


def marks(urls: Mapping[str, str]) -> list[str]:
    with Connection(urls["AMQP_URI"]) as broker:
        in_broker = Queue("mark").bind(broker.default_channel).get(no_ack=True).payload
    with mariadb(urls["DATABASE_URL"]) as database, database.cursor() as cursor:
        cursor.execute("SELECT word FROM clinic_mark.mark")
        [(in_database,)] = cursor.fetchall()
    return [in_broker, in_database]


@requires_programs
def test_they_answer_keep_their_data_over_a_restart_and_leave_no_process(tmp_path: Path) -> None:
    with started(folder=tmp_path, environ=ENV, say=quiet) as urls:
        leave_a_mark(urls)
        with redis.Redis.from_url(urls["REDIS_URL"]) as cache:
            assert cache.set("a", "b")
        listing = " ".join(processes_in(tmp_path).values())
        assert all(name in listing for name in ["beam.smp", "epmd", "mariadbd", "redis-server"])
    wait_until_none_in(tmp_path, limit=PATIENCE)  # Erlang's small helpers notice a moment later
    with started(folder=tmp_path, environ=ENV, say=quiet) as urls:
        assert marks(urls) == ["kept", "kept"]
    wait_until_none_in(tmp_path, limit=PATIENCE)


@requires_programs
def test_they_listen_on_this_machine_only_and_show_no_password(tmp_path: Path) -> None:
    with started(folder=tmp_path, environ=ENV, say=quiet) as urls:
        running = processes_in(tmp_path)
        assert {urlsplit(url).hostname for url in urls.values()} == {"127.0.0.1"}
        assert all((urlsplit(url).port or 0) < 32768 for url in urls.values())
        assert listening_beyond_loopback(set(running)) == []
        for url in urls.values():
            assert str(urlsplit(url).password) not in " ".join(running.values())
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        holders = [path for path in files if shows_a_password(path, urls)]
        assert all(path.stat().st_mode & 0o077 == 0 for path in holders)
        assert tmp_path.stat().st_mode & 0o077 == 0


def shows_a_password(path: Path, urls: Mapping[str, str]) -> bool:
    content = path.read_bytes()
    return any(str(urlsplit(url).password).encode() in content for url in urls.values())


def listening_beyond_loopback(pids: set[int]) -> list[str]:
    listing = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout
    ours = [line for line in listing.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    assert ours
    return [line for line in ours if not line.split()[3].startswith(("127.0.0.1:", "[::1]:"))]


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that starts all three in the same folder."""
    argv = [sys.executable, "-c", START_AND_SLEEP, str(tmp_path), ENV["PATH"]]
    environ = {**ENV, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert any("all up" in line for line in process.stdout)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)
        wait_until_none_in(tmp_path, limit=PATIENCE)


@requires_programs
def test_a_killed_starter_takes_its_servers_with_it(
    other_process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    assert len(processes_in(tmp_path)) > 4
    other_process.send_signal(signal.SIGKILL)
    wait_until_none_in(tmp_path, limit=PATIENCE)


@requires_programs
def test_a_second_start_in_the_same_folder_is_refused_until_the_first_is_gone(
    other_process: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    with pytest.raises(ServerFailed, match=f"another start \\(process {other_process.pid}\\)"):
        with started(folder=tmp_path, environ=ENV, say=quiet, folder_patience=0.2):
            pass
    other_process.kill()
    with started(folder=tmp_path, environ=ONLY_REDIS, say=quiet, folder_patience=PATIENCE) as urls:
        assert not any("beam.smp" in command for command in processes_in(tmp_path).values())
        assert urls["AMQP_URI"] == ELSEWHERE["AMQP_URI"]


@requires_programs
def test_a_deep_folder_is_no_trouble_for_the_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 15)
    with started(folder=deep, environ=ONLY_MARIADB, say=quiet) as urls:
        mariadb(urls["DATABASE_URL"]).close()


@requires_programs
def test_a_database_that_was_half_made_is_made_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "mariadb" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "ibdata1").write_text("half")
    with started(folder=tmp_path, environ=ONLY_MARIADB, say=quiet) as urls:
        mariadb(urls["DATABASE_URL"]).close()


@requires_programs
def test_spaces_in_the_folder_are_no_trouble(tmp_path: Path) -> None:
    with started(folder=tmp_path / "My Projects", environ=ENV, say=quiet) as urls:
        leave_a_mark(urls)
        assert marks(urls) == ["kept", "kept"]


@requires_programs
def test_progress_is_told(tmp_path: Path) -> None:
    told: list[str] = []
    with started(folder=tmp_path, environ=ONLY_REDIS, say=told.append) as urls:
        port = urlsplit(urls["REDIS_URL"]).port
    assert told[0] == f"Redis: starting on port {port} ..."
    assert told[1].startswith("Redis: ready after ")
    assert told[2].startswith("Redis: stopped after ")


def test_what_is_given_is_used_as_it_is_and_nothing_is_started(tmp_path: Path) -> None:
    with started(folder=tmp_path / "stack", environ={**ENV, **ELSEWHERE}, say=quiet) as urls:
        assert urls == ELSEWHERE
        assert processes_in(tmp_path) == {}
    assert not (tmp_path / "stack").exists()


def test_an_empty_setting_counts_as_not_given() -> None:
    assert needed(ONLY_REDIS) == ["REDIS_URL"]
    assert needed({}) == ALL


@pytest.fixture
def fake_program(tmp_path: Path) -> Callable[[str, str], dict[str, str]]:
    """A script put in front of the real programs; returns the environment that finds it."""

    def make(name: str, script: str) -> dict[str, str]:
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return {**ONLY_REDIS, "PATH": f"{program.parent}:{ENV['PATH']}"}

    return make


def test_a_missing_program_says_what_to_install_or_to_set(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "DATABASE_URL": "mysql+pymysql://elsewhere/clinic"}
    assert missing_programs(settings=ALL, environ=bare) == ALL
    with pytest.raises(ServerFailed) as refusal:
        with started(folder=tmp_path / "stack", environ=bare, say=quiet):
            pass
    assert str(refusal.value) == (
        "Not installed here: RabbitMQ, Redis. Install by hand (on Debian, as root: "
        "apt-get install rabbitmq-server redis-server), or set AMQP_URI, REDIS_URL "
        "to servers of your own."
    )
    assert not (tmp_path / "stack").exists()


def test_a_server_that_ends_at_once_is_named_with_the_end_of_its_log(
    tmp_path: Path, fake_program: Callable[[str, str], dict[str, str]]
) -> None:
    environ = fake_program("redis-server", "echo 'the disk is on fire'; exit 3")
    with pytest.raises(ServerFailed) as failure:
        with started(folder=tmp_path / "stack", environ=environ, say=quiet):
            pass
    assert "Redis did not start: its process ended with code 3." in str(failure.value)
    assert "the disk is on fire" in str(failure.value)
    assert "or set REDIS_URL to a Redis of your own" in str(failure.value)


@requires_programs
def test_when_one_fails_the_others_are_stopped(
    tmp_path: Path, fake_program: Callable[[str, str], dict[str, str]]
) -> None:
    environ = {**fake_program("redis-server", "exit 3"), "DATABASE_URL": ""}
    with pytest.raises(ServerFailed, match="Redis did not start"):
        with started(folder=tmp_path / "stack", environ=environ, say=quiet):
            pass
    assert processes_in(tmp_path / "stack") == {}


def test_packages_are_installed_without_starting_their_daemons(
    tmp_path: Path,
    fake_program: Callable[[str, str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    policy, log = tmp_path / "policy-rc.d", tmp_path / "log" / "apt.log"
    environ = fake_program("apt-get", f"echo $DEBIAN_FRONTEND $@; {policy}; echo policy: $?")
    install(settings=["REDIS_URL"], log=log, environ=environ, say=quiet, policy=policy)
    assert "noninteractive -o DPkg::Lock::Timeout=120 install -y" in log.read_text()
    assert log.read_text().endswith("redis-server\npolicy: 101\n")
    assert not policy.exists()


def test_a_policy_of_the_machine_is_left_alone(
    tmp_path: Path,
    fake_program: Callable[[str, str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    policy = tmp_path / "policy-rc.d"
    policy.write_text("its own")
    environ = fake_program("apt-get", "exit 0")
    install(settings=ALL, log=tmp_path / "apt.log", environ=environ, say=quiet, policy=policy)
    assert policy.read_text() == "its own"


def test_a_failed_installation_shows_the_end_of_its_log(
    tmp_path: Path,
    fake_program: Callable[[str, str], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    environ, policy = fake_program("apt-get", "echo no network; exit 100"), tmp_path / "policy"
    with pytest.raises(ServerFailed, match="could not install redis-server(.|\n)*no network"):
        install(
            settings=["REDIS_URL"],
            log=tmp_path / "apt.log",
            environ=environ,
            say=quiet,
            policy=policy,
        )
    assert not policy.exists()


def test_who_may_not_install_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServerFailed, match="apt-get install mariadb-server"):
        install(settings=["DATABASE_URL"], log=tmp_path / "apt.log", environ=ENV, say=quiet)
