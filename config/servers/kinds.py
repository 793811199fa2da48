"""How each of the three is started: its files, its command, and the proof that it answers."""

import getpass
import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pymysql
import redis
from kombu.connection import Connection

from config.servers.process import free_ports, has_ended, kept_secret, write_private
from config.servers.site import Server, Site

_HOST = "127.0.0.1"
_USER = "clinic"
# The name of a Unix socket is held in 108 bytes, the closing zero included.
_LONGEST_SOCKET_PATH = 107
# Busy waiting burns the processor of a small machine. Only the disk threads may spin for some
# microseconds after an access: RabbitMQ looks for thousands of files while it starts, and
# waking a sleeping thread for each was measured to make a start 5.5 s instead of 3.4 s.
_ERLANG_FLAGS = "+sbwt none +sbwtdcpu none +sbwtdio very_short"


def start_rabbitmq(site: Site) -> Server:
    port, epmd_port, dist_port = free_ports(3)
    names = {"ERL_EPMD_ADDRESS": _HOST, "ERL_EPMD_PORT": str(epmd_port)}
    password = kept_secret(site.folder / "password")
    _start_epmd(site, port=epmd_port, names=names)
    process = site.launch_server(
        "rabbitmq-server",
        port=port,
        **names,
        **_rabbitmq_files(site.folder, port=port, password=password),
        # The data remembers the node's name, so it must not follow the name of the machine.
        RABBITMQ_NODENAME="clinic@localhost",
        RABBITMQ_DIST_PORT=str(dist_port),
        # Has the start script become the Erlang machine instead of waiting for it: the process
        # we hold is the broker, and ending it ends the broker.
        RUNNING_UNDER_SYSTEMD="true",
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=(
            f"{_ERLANG_FLAGS} -start_epmd false -kernel inet_dist_use_interface {{127,0,0,1}}"
        ),
    )
    url = f"amqp://{_USER}:{password}@{_HOST}:{port}//"
    return Server(site.setting, url, process, lambda: _ask_rabbitmq(url))


def _start_epmd(site: Site, *, port: int, names: Mapping[str, str]) -> None:
    """Erlang's name server, in the foreground: otherwise RabbitMQ starts one that outlives it."""
    epmd = site.launch("epmd", log="epmd.log", **names)
    site.wait_until(
        lambda: has_ended(epmd) or _listens(port), doing="the start of epmd", log="epmd.log"
    )
    if has_ended(epmd):
        raise site.failed(f"epmd ended with code {epmd.wait()}", log="epmd.log")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((_HOST, port)) == 0


def _rabbitmq_files(folder: Path, *, port: int, password: str) -> dict[str, str]:
    settings = write_private(
        folder / "rabbitmq.conf",
        f"listeners.tcp.local = {_HOST}:{port}\n"
        f"default_user = {_USER}\ndefault_pass = {password}\n",
    )
    plugins = write_private(folder / "enabled_plugins", "[].\n")
    return {
        "RABBITMQ_CONFIG_FILE": str(settings),
        # Named although they do not exist, so that those of the machine are not read.
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
    }


def _ask_rabbitmq(url: str) -> None:
    # Not its connect(): that one sleeps 2 s between a refusal and its second try.
    transport = Connection(url, connect_timeout=2).transport
    transport.close_connection(transport.establish_connection())


def start_mariadb(site: Site) -> Server:
    [port] = free_ports(1)
    password = kept_secret(site.folder / "password")
    data = _mariadb_data(site)
    socket_path = _short_socket(site)
    process = site.launch_server(
        "mariadbd",
        "--no-defaults",
        *_run_as_root(),
        f"--datadir={data}",
        f"--bind-address={_HOST}",
        f"--port={port}",
        f"--socket={socket_path}",
        f"--pid-file={site.folder / 'pid'}",
        f"--init-file={_grants(site.folder, password=password)}",
        "--skip-name-resolve",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_unicode_ci",
        port=port,
    )
    url = f"mysql+pymysql://{_USER}:{password}@{_HOST}:{port}/clinic"
    return Server(site.setting, url, process, lambda: _ask_mariadb(port, password))


def _mariadb_data(site: Site) -> Path:
    """Made aside and renamed when whole: a start that was broken off leaves no half database."""
    data, unfinished = site.folder / "data", site.folder / "data.unfinished"
    if data.exists():
        return data
    shutil.rmtree(unfinished, ignore_errors=True)
    making = site.launch(
        "mariadb-install-db",
        "--no-defaults",
        *_run_as_root(),
        # Below the working directory: the script cannot do with spaces in a path.
        f"--datadir=./{unfinished.name}",
        "--auth-root-authentication-method=socket",
        f"--auth-root-socket-user={getpass.getuser()}",
        "--skip-test-db",
        "--skip-name-resolve",
        log="install.log",
    )
    site.wait_until(lambda: has_ended(making), doing="mariadb-install-db", log="install.log")
    if making.wait() != 0:
        raise site.failed(
            f"mariadb-install-db ended with code {making.returncode}", log="install.log"
        )
    return unfinished.rename(data)


def _run_as_root() -> list[str]:
    """mariadbd refuses to run as root unless it is told to; anybody else may not name a user."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _short_socket(site: Site) -> Path:
    path = site.folder / "socket"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    folder = tempfile.mkdtemp(prefix="clinic-")
    site.ending.callback(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder) / "socket"


def _grants(folder: Path, *, password: str) -> Path:
    user = f"'{_USER}'@'{_HOST}'"
    return write_private(
        folder / "grants.sql",
        f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{password}';\n"
        f"ALTER USER {user} IDENTIFIED BY '{password}';\n"
        # Everything: the server is private, and each test run names databases of its own.
        f"GRANT ALL ON *.* TO {user};\n",
    )


def _ask_mariadb(port: int, password: str) -> None:
    pymysql.connect(
        host=_HOST, port=port, user=_USER, password=password, connect_timeout=2, read_timeout=2
    ).close()


def start_redis(site: Site) -> Server:
    [port] = free_ports(1)
    password = kept_secret(site.folder / "password")
    settings = write_private(
        site.folder / "redis.conf",
        f"port {port}\nbind {_HOST}\nrequirepass {password}\ndir \"{site.folder}\"\n"
        'save ""\nappendonly no\ndaemonize no\n',
    )
    process = site.launch_server("redis-server", str(settings), port=port)
    url = f"redis://:{password}@{_HOST}:{port}/0"
    return Server(site.setting, url, process, lambda: _ask_redis(url))


def _ask_redis(url: str) -> None:
    with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
        client.ping()
