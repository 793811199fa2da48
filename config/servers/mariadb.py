"""How a private MariaDB is started: its files, its command, and the proof that it answers."""

import getpass
import os
import shutil
import tempfile
from pathlib import Path

import pymysql
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from config.servers.process import free_ports, has_ended, kept_secret, write_private
from config.servers.site import HOST, USER, Certificates, Server, Site
from config.tls import database_address

# The name of a Unix socket is held in 108 bytes, the closing zero included.
_LONGEST_SOCKET_PATH = 107


def start_mariadb(site: Site) -> Server:
    [port] = free_ports(1)
    password = kept_secret(site.folder / "password")
    data = _data(site)
    socket_path = _short_socket(site)
    daemon = site.launch_server(
        "mariadbd",
        "--no-defaults",
        *_run_as_root(),
        f"--datadir={data}",
        # A server that starts clears the tables that others keep in a folder they share.
        f"--tmpdir={_scratch(site)}",
        f"--bind-address={HOST}",
        f"--port={port}",
        f"--socket={socket_path}",
        f"--pid-file={site.folder / 'pid'}",
        f"--init-file={_grants(site.folder, password=password)}",
        "--skip-name-resolve",
        *_identity(site.certificates),
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_unicode_ci",
        port=port,
    )
    url = f"mysql+pymysql://{USER}:{password}@{HOST}:{port}/clinic"
    return Server(site.setting, url, daemon, lambda: _ask(url, site.ca_file))


def _scratch(site: Site) -> Path:
    folder = site.folder / "scratch"
    folder.mkdir(exist_ok=True)
    return folder


def _data(site: Site) -> Path:
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
        # As for the server: two that are made at once would clear each other's tables.
        TMPDIR=str(_scratch(site)),
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
    user = f"'{USER}'@'{HOST}'"
    return write_private(
        folder / "grants.sql",
        f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{password}';\n"
        f"ALTER USER {user} IDENTIFIED BY '{password}';\n"
        # Everything: it makes the databases, and the users for the programs.
        f"GRANT ALL ON *.* TO {user} WITH GRANT OPTION;\n",
    )


def _identity(certificates: Certificates | None) -> list[str]:
    if certificates is None:
        return []
    return [
        f"--ssl-ca={certificates.ca}",
        f"--ssl-cert={certificates.certificate}",
        f"--ssl-key={certificates.key}",
        "--require-secure-transport=ON",
    ]


def _ask(url: str, ca_file: str | None) -> None:
    # Not by way of an engine: that one would hide what PyMySQL raises.
    address = database_address(make_url(url).set(database=""), ca_file)
    _, options = create_engine(address).dialect.create_connect_args(address)
    pymysql.connect(**options, connect_timeout=2, read_timeout=2).close()
