"""Transactions on a service's migrated database, with its vault, as the service itself has them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from nameko_sqlalchemy.database import DatabaseWrapper, Session
from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.orm import sessionmaker

from config.database import Transactions, connect
from config.encryption import VAULT, Vault
from config.migration import upgrade
from config.programs import catalogue
from schemas.errors import Unavailable


@contextmanager
def migrated(name: str, url: URL, vault: Vault) -> Iterator[Engine]:
    upgrade(scripts=catalogue().databases[name], url=url, vault=vault)
    engine = connect(url.render_as_string(hide_password=False), pool_size=10)
    yield engine
    engine.dispose()


def transactions(engine: Engine, vault: Vault, *, seconds: float = 20) -> Transactions:
    deadline = time.time() + seconds
    sessions = DatabaseWrapper(sessionmaker(bind=engine, class_=Session, info={VAULT: vault}))
    return Transactions(sessions, deadline=lambda: deadline, unavailable=Unavailable)
