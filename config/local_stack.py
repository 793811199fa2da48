"""The real system on one machine: its servers, its migrations, and a process for each program."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from config.environments import (
    administrator,
    environment_of,
    keep,
    kept_values,
    operations_ports,
    operations_urls,
)
from config.keys import KEYS_FILE, kept
from config.preflight import StartRefused, check_reachable, held_folder, listener
from config.programs import OPERATOR, catalogue
from config.rights import CONSUMER
from config.servers import ServerFailed, install, missing_programs, needed, started
from config.settings import KEYS, SERVERS, Settings, environment, local_settings, stack_file
from config.stack import Program
from config.stack import run as run_together
from config.stack import wait_until_200

__all__ = ["ServerFailed", "run"]

Addresses = Mapping[str, str]

READY = """
{title} is ready at {url}

Sign in:   {login}
Ready?     {url}/readyz
Shell:     make shell
Servers:   AMQP_URI, DATABASE_URL and REDIS_URL are in {addresses}
Events:    CONSUMER_AMQP_URI there is for subscribers, such as those in docs/consumers
Metrics:   /metrics, /livez and /readyz of each program are at its ..._OPERATIONS_URL there
Stop:      Ctrl-C ends all of it
"""
NOT_READY = """
The stack is not ready after two minutes: see the lines above, and {url}/readyz for what fails.
"""


def run() -> int:
    """Run until Ctrl-C; the exit code.

    :raises ServerFailed, SettingsError, StartRefused: saying what to do about it.
    """
    settings, given = local_settings(), environment()
    with held_folder(settings.data_dir):
        with listener(settings.host, settings.port):
            # Known to be free; the gateway takes the port itself.
            pass
        for name in set(SERVERS) - set(needed(given)):
            check_reachable(name, given[name])
        return _run_with_servers(settings, given)


def _run_with_servers(settings: Settings, given: Mapping[str, str]) -> int:
    folder = settings.data_dir / "servers"
    missing = missing_programs(settings=needed(given), environ=given)
    if missing:
        install(settings=missing, log=folder / "install.log", environ=given, say=_say)
    with started(folder=folder, environ=given, say=_say) as addresses:
        # People read these lines as they come; a LOG_FORMAT that is set stays.
        rings = kept(settings.data_dir / KEYS_FILE, KEYS)
        login = administrator(settings)
        # What is set to nothing is not set.
        chosen = {name: value for name, value in given.items() if value}
        environ = {"LOG_FORMAT": "text", **rings, **login, **chosen, **addresses}
        own = _prepare(settings.data_dir / "programs", environ, users=_makes_users(given))
        return _run_programs(settings, environ, own)


def _makes_users(given: Mapping[str, str]) -> bool:
    """Where we are the servers' administrator: of both, or made so by a setting."""
    return bool(given.get("AMQP_ADMIN_URL")) or {"AMQP_URI", "DATABASE_URL"} <= {*needed(given)}


def _prepare(folder: Path, environ: Mapping[str, str], *, users: bool) -> dict[str, Addresses]:
    """Migrate, prepare the broker, and make the programs' users; their addresses, by program.

    :raises StartRefused:
    """
    _say("Migrating the databases ...")
    with ExitStack() as ending:
        # Side by side: neither needs the other, and each takes a second to load.
        running = [ending.enter_context(_begun(environ, "migrate"))]
        # The former does what the latter does, too.
        broker = ("setup", "--into", str(folder)) if users else ("topology",)
        running.append(ending.enter_context(_begun(environ, *broker)))
        codes = [process.wait() for process in running]
    if any(codes):
        raise StartRefused("The servers could not be made ready; the line above says why.")
    return {file.stem: kept_values(file) for file in folder.glob("[!.]*.env")} if users else {}


def _begun(environ: Mapping[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
    # Only what goes wrong is of interest, and which database is done.
    output = None if "migrate" in arguments else subprocess.DEVNULL
    command = _clinic(*arguments)
    return subprocess.Popen(command, env=environ, stdout=output)  # nosec B603 # our own program


def _run_programs(
    settings: Settings, environ: Mapping[str, str], own: Mapping[str, Addresses]
) -> int:
    url, file = f"http://{settings.host}:{settings.port}", stack_file(settings.data_dir)

    def announce() -> None:
        text = READY if wait_until_200(f"{url}/readyz") else NOT_READY
        login = _login(settings, environ)
        _say(text.format(title=catalogue().title, url=url, addresses=file, login=login))

    ports = operations_ports(catalogue().names, settings)
    keep(file, _addresses_beside(environ, own) | operations_urls(ports, settings))
    try:
        return run_together(
            programs=[
                Program(
                    name,
                    _clinic("serve", name),
                    environment_of(name, everything=environ, own=own.get(name, {}))
                    | {"OPERATIONS_PORT": str(ports[name])},
                )
                for name in catalogue().names
            ],
            after_start=announce,
        )
    finally:
        file.unlink(missing_ok=True)


def _addresses_beside(environ: Addresses, own: Mapping[str, Addresses]) -> dict[str, str]:
    """A shell calls as the operator; other commands need the databases' administrator."""
    consumer = own.get(CONSUMER, environ)["AMQP_URI"]
    servers = {name: environ[name] for name in SERVERS} | {**own.get(OPERATOR, {})}
    # By these the exchanges are named that a dead letter goes back by.
    retries = {name: environ[name] for name in ("EVENT_RETRY_SECONDS",) if name in environ}
    return servers | {"CONSUMER_AMQP_URI": consumer} | retries


def _login(settings: Settings, environ: Mapping[str, str]) -> str:
    """As the first administrator, until somebody changes the password."""
    password = "with ADMIN_PASSWORD" if settings.admin_password else environ["ADMIN_PASSWORD"]
    return f"{environ['ADMIN_EMAIL']}  {password}"


def _clinic(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "config.command", *arguments]


def _say(text: str) -> None:
    print(text, flush=True)
