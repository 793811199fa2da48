"""A service's database, found by Nameko's configuration; apart from idempotency.py, so that the
gateway need not load eventlet."""

import logging
import time
from typing import Any

import nameko_sqlalchemy
from nameko.containers import WorkerContext
from nameko_sqlalchemy.database import DB_URIS_KEY, DatabaseWrapper, Session
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, TimeoutError
from sqlalchemy.orm import DeclarativeBase, sessionmaker

from config.database import Sessions, Transactions, connect
from config.encryption import VAULT, Vault
from config.idempotency import Errors, Store
from config.messaging.call import CHECKED_CALLER, Call
from config.messaging.current_call import call_of
from config.messaging.wake import CommitsWakeRelay
from config.mysql import bounded

_log = logging.getLogger("database")

# How many times as long as a call a transaction may take that nobody waits for, with all its tries.
UNASKED = 4
FIRST_CONNECTION_SECONDS = 2.0


def uri_of(config: dict[str, Any], service: str, base: type) -> str:
    """The address under nameko-sqlalchemy's own key, ``<service>:<declarative base>``."""
    return str(config[DB_URIS_KEY][f"{service}:{base.__name__}"])


def vault_of_service(config: dict[str, Any], service: str, base: type) -> Vault:
    """What seals its personal data; the same for every program that uses the database."""
    name = config["DATABASES"][f"{service}:{base.__name__}"]
    return Vault(config["DATA_KEYS"], config["INDEX_KEYS"], name)


class Database(nameko_sqlalchemy.Database):
    """Gives a service its :class:`Store`: nameko-sqlalchemy's sessions, our transactions.

    :param subject: the member of the service's records that says whose data they are.
    :param inbox: the table of the events that it has handled, where it handles any.
    """

    def __init__(
        self,
        base: type[DeclarativeBase],
        *,
        answers: Any,
        errors: Errors,
        subject: str | None = None,
        inbox: Any = None,
    ) -> None:
        super().__init__(base)
        self.answers = answers
        self.inbox = inbox
        self.errors = errors
        self.subject = subject

    engine: Engine
    reading: Engine
    vault: Vault
    wake = CommitsWakeRelay()

    def setup(self) -> None:
        super().setup()
        # Its engine takes no options from the configuration, so it gives way to ours.
        self.engine.dispose()
        uri = uri_of(self.container.config, self.container.service_name, self.declarative_base)
        workers = self.container.max_workers
        self.engine = connect(uri, pool_size=workers)
        self.reading = connect(uri, pool_size=workers, statements_alone=True)
        self.vault = vault_of_service(
            self.container.config, self.container.service_name, self.declarative_base
        )
        self.Session.configure(bind=self.engine, info={VAULT: self.vault})
        self.Reading = sessionmaker(self.reading, class_=Session, info={VAULT: self.vault})
        self.wake.watch(self.Session, self.declarative_base)
        self._connect_once()

    def _connect_once(self) -> None:
        """Before any call comes: the first connection asks the server for its kind and settings,
        which takes several times as long, and callers have deadlines."""
        try:
            for engine in (self.engine, self.reading):
                with bounded(time.time() + FIRST_CONNECTION_SECONDS), engine.connect() as first:
                    first.execute(select(1))
        except (DBAPIError, TimeoutError) as failure:
            # Told of already, see first_contact; it is asked again with the first call.
            _log.debug("no connection yet", extra={"error": type(failure).__name__})

    def get_dependency(self, worker_ctx: WorkerContext) -> Store:
        def call() -> Call:
            return call_of(worker_ctx)

        return Store(
            self._transactions(super().get_dependency(worker_ctx), worker_ctx),
            reading=self._transactions(DatabaseWrapper(self.Reading), worker_ctx),
            call=call,
            answers=self.answers,
            errors=self.errors,
            vault=self.vault,
            subject=self.subject,
            inbox=self.inbox,
            handler=f"{worker_ctx.service_name}.{worker_ctx.entrypoint.method_name}",
        )

    def stop(self) -> None:
        super().stop()
        self.reading.dispose()

    def kill(self) -> None:
        super().kill()
        self.reading.dispose()

    def _transactions(self, sessions: Sessions, worker_ctx: WorkerContext) -> Transactions:
        return Transactions(
            sessions,
            deadline=lambda: self._deadline(worker_ctx),
            unavailable=self.errors.Unavailable,
        )

    def _deadline(self, worker_ctx: WorkerContext) -> float:
        """Of the call; for what nobody waits for, such as a timer, of each transaction anew."""
        if CHECKED_CALLER in worker_ctx.data:
            return call_of(worker_ctx).deadline
        return time.time() + UNASKED * self.container.config["CALL_SECONDS"]
