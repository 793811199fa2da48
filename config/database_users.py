"""Users of MySQL or MariaDB, with rights on whole databases."""

import re
from collections.abc import Mapping

from sqlalchemy import Connection, text

# What a user may do on a database, by the database's name.
Privileges = Mapping[str, frozenset[str]]
Grant = tuple[frozenset[str], str]

_GRANT = re.compile(r"GRANT (.+?) ON (.+) TO ")


def make_user(server: Connection, name: str, password: str, privileges: Privileges) -> None:
    """Who is connected stays so; who connects from now on needs the new password.

    :param server: in autocommit, for an administrator.
    """
    who = {"name": name, "password": password}
    for verb in ("CREATE USER IF NOT EXISTS", "ALTER USER"):
        server.execute(text(f"{verb} :name@'%' IDENTIFIED BY :password"), who)
    wanted = {(rights, _pattern(database)) for database, rights in privileges.items()}
    # Left alone when all is well: programs that run would notice the moment without rights.
    if _granted(server, name) != wanted:
        server.execute(text("REVOKE ALL PRIVILEGES, GRANT OPTION FROM :name@'%'"), who)
        for rights, where in sorted(wanted, key=str):
            allowed = ", ".join(sorted(rights))
            server.execute(text(f"GRANT {allowed} ON {where} TO :name@'%'"), who)


def _granted(server: Connection, name: str) -> set[Grant]:
    lines = server.scalars(text("SHOW GRANTS FOR :name@'%'"), {"name": name})
    return {grant for line in lines if (grant := _grant(line))}


def _grant(line: str) -> Grant | None:
    """Nothing for ``USAGE``, which every user has and which gives no right."""
    found = _GRANT.match(line)
    rights, where = found.groups() if found else (line, "")
    return None if rights == "USAGE" else (frozenset(rights.split(", ")), where)


def _pattern(database: str) -> str:
    """Grants compare names as LIKE does: without the backslash, a_b would also mean axb."""
    escaped = re.sub(r"([\\_%])", r"\\\1", database)
    return f"`{escaped.replace('`', '``')}`.*"
