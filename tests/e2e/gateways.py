"""A gateway with its databases and nothing else: what can be done with it needs nothing else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from sqlalchemy import text
from sqlalchemy.engine import make_url

from config.database import connect
from config.keys import fresh
from config.programs import catalogue
from config.settings import KEYS
from tests.e2e.desk import eventually, unique
from tests.systems import (
    SIGN_IN,
    System,
    asked,
    clinic,
    free_port,
    plain_environ,
    running,
    succeed,
)

NOWHERE = {"AMQP_URI": "amqp://nobody:nobody@127.0.0.1:1//", "REDIS_URL": "redis://127.0.0.1:1/0"}


@contextmanager
def gateway_alone(
    folder: Path, addresses: Mapping[str, str], *, name: str, **settings: str
) -> Iterator[System]:
    """Two workers on databases of their own; unless told, neither Redis nor broker is reached."""
    with own_databases(addresses, name) as url:
        environ = plain_environ(
            **fresh(KEYS), **{**SIGN_IN, **NOWHERE, **settings}, DATABASE_URL=url,
            PORT=str(free_port()), DATA_DIR=str(folder / "data"),
        )
        succeed(clinic("migrate"), environ=environ)
        with gateway(environ, folder) as system:
            yield system


@contextmanager
def own_databases(addresses: Mapping[str, str], suffix: str) -> Iterator[str]:
    url = make_url(addresses["DATABASE_URL"])
    own = url.set(database=f"{url.database}_{suffix}")
    yield own.render_as_string(hide_password=False)
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        for name in catalogue().databases:
            connection.execute(text(f"DROP DATABASE IF EXISTS `{own.database}_{name}`"))
    server.dispose()


@contextmanager
def gateway(environ: Mapping[str, str], folder: Path) -> Iterator[System]:
    """Alive, which is all that it can be without a broker."""
    url = f"http://127.0.0.1:{environ['PORT']}"
    log = folder / f"gateway-{unique()}.log"
    with running(clinic("serve", "gateway"), environ=environ, log=log) as process:
        eventually(lambda: alive(url) or process.poll() is not None, what=url)
        yield System(url, environ, folder)


def alive(url: str) -> bool:
    try:
        return asked(f"{url}/livez").status_code == 200
    except httpx.TransportError:
        return False
