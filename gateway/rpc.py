"""The gateway's way to the services: a pool of clients, one deadline for each request."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from amqp.exceptions import AMQPError

from config.messaging.call import DEADLINE, headers_of, new_context
from config.messaging.client import Answer, Request
from config.messaging.pool import Pool
from config.settings import Settings
from schemas.errors import SchedulingError, Unavailable

SERVICES = ("patient", "doctor", "appointment")
# One connection each, made when first needed: so many requests of a worker are under way at once.
CLIENTS = 32
HEALTH_SECONDS = 1.0


def services_pool(settings: Settings) -> Pool:
    return Pool(settings.amqp_uri, size=CLIENTS, unavailable=Unavailable)


class Rpc:
    """The services as one HTTP request sees them; ``seconds`` begin to run at once."""

    def __init__(self, pool: Pool, *, correlation: str, key: str, seconds: float) -> None:
        self._pool = pool
        self._correlation = correlation
        self._context = new_context(correlation=correlation, seconds=seconds, key=key)

    def ask(self, service: str, method: str, *args: Any) -> Answer:
        """:raises Unavailable: when ``service`` does not answer in time."""
        (answer,) = self._pool.ask(
            Request(service, method, args),
            headers=headers_of(self._context),
            deadline=self._context[DEADLINE],
        )
        return answer

    def health(self) -> dict[str, str]:
        """``ok`` or ``failing`` for the broker and for each service with its database."""
        brief = Rpc(
            self._pool, correlation=self._correlation, key=self._correlation, seconds=HEALTH_SECONDS
        )
        checks: dict[str, Callable[[], object]] = {
            "broker": lambda: self._pool.probe(seconds=HEALTH_SECONDS)
        }
        for service in SERVICES:
            checks[service] = partial(brief._check, service)
        with ThreadPoolExecutor(len(checks)) as side_by_side:
            return dict(zip(checks, side_by_side.map(_verdict, checks.values()), strict=True))

    def _check(self, service: str) -> None:
        self.ask(service, "health").result()


def _verdict(check: Callable[[], object]) -> str:
    try:
        check()
    except (OSError, AMQPError, SchedulingError):
        return "failing"
    return "ok"
