"""What each program of a local stack is started with: its own secrets, and nobody else's."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from config.programs import GATEWAY
from config.rights import keys_needed
from config.servers.process import free_ports, write_private
from config.settings import KEYS, Settings

ADMINISTRATOR = ("ADMIN_EMAIL", "ADMIN_PASSWORD")
SECRETS = frozenset((*KEYS, *ADMINISTRATOR, "AMQP_ADMIN_URL"))
FIRST_EMAIL = "admin@clinic.example"


def environment_of(
    program: str, *, everything: Mapping[str, str], own: Mapping[str, str]
) -> dict[str, str]:
    """``everything`` without the secrets that are not for ``program``, and ``own`` in its place."""
    needed = {*keys_needed(program)} | ({*ADMINISTRATOR} if program == GATEWAY else set())
    kept_back = SECRETS - needed
    return {name: value for name, value in everything.items() if name not in kept_back} | {**own}


def operations_ports(programs: Sequence[str], settings: Settings) -> dict[str, int]:
    """A port for each: from OPERATIONS_PORT on, where that is set, else any that is free."""
    first = settings.operations_port
    ports = range(first, first + len(programs)) if first else free_ports(len(programs))
    return dict(zip(programs, ports, strict=True))


def operations_urls(ports: Mapping[str, int], settings: Settings) -> dict[str, str]:
    """What is told beside the stack, such as ``A_PROGRAM_OPERATIONS_URL``."""
    return {
        f"{program.upper().replace('-', '_')}_OPERATIONS_URL": f"http://{settings.host}:{port}"
        for program, port in ports.items()
    }


def administrator(settings: Settings) -> dict[str, str]:
    """The first administrator's login, as set; else one made when first asked for, and kept."""
    if settings.admin_email and settings.admin_password:
        return dict(zip(ADMINISTRATOR, (settings.admin_email, settings.admin_password)))
    file = settings.data_dir / "admin.env"
    if not file.exists():
        made = dict(zip(ADMINISTRATOR, (FIRST_EMAIL, secrets.token_urlsafe(15))))
        keep(file, made)
    return kept_values(file)


def keep(file: Path, values: Mapping[str, str]) -> None:
    """For us alone, since they hold passwords; whole from the first moment that it is there."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    write_private(file.with_name(f".{file.name}"), text).rename(file)


def kept_values(file: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in file.read_text().splitlines())
    return {name: value for name, _, value in lines}
