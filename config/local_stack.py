"""The real system on one machine: its servers, its migrations, and a process for each program."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from config.preflight import StartRefused, check_reachable, held_folder, listener
from config.programs import catalogue
from config.servers import ServerFailed, install, missing_programs, needed, started
from config.settings import SERVERS, Settings, environment, local_settings, stack_file
from config.stack import Program
from config.stack import run as run_together
from config.stack import wait_until_200

__all__ = ["ServerFailed", "run"]

READY = """
{title} is ready at {url}

Ready?     {url}/readyz
Shell:     make shell
Servers:   AMQP_URI, DATABASE_URL and REDIS_URL are in {addresses}
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
        environ = {"LOG_FORMAT": "text", **given, **addresses}
        _say("Migrating the databases ...")
        if subprocess.run(_clinic("migrate"), env=environ).returncode != 0:
            raise StartRefused("The databases could not be migrated; the line above says why.")
        return _run_programs(settings, addresses, environ)


def _run_programs(
    settings: Settings, addresses: Mapping[str, str], environ: Mapping[str, str]
) -> int:
    url, kept = f"http://{settings.host}:{settings.port}", stack_file(settings.data_dir)

    def announce() -> None:
        text = READY if wait_until_200(f"{url}/readyz") else NOT_READY
        _say(text.format(title=catalogue().title, url=url, addresses=kept))

    _keep(kept, addresses)
    try:
        return run_together(
            programs=[
                Program(name, _clinic("serve", name), environ) for name in catalogue().names
            ],
            after_start=announce,
        )
    finally:
        kept.unlink(missing_ok=True)


def _keep(file: Path, addresses: Mapping[str, str]) -> None:
    """For a shell beside the stack; the addresses hold passwords, so the file is for us alone."""
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}={address}\n" for name, address in addresses.items()))


def _clinic(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "config.command", *arguments]


def _say(text: str) -> None:
    print(text, flush=True)
