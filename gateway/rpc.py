"""The gateway's way to the services: a pool of clients, one deadline for each request."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from nameko.exceptions import BadRequest, RemoteError

from config.messaging.call import DEADLINE, DeadlineExceeded, headers_of, new_context
from config.messaging.client import Answer, Request
from config.messaging.connection import BROKEN
from config.messaging.pool import Pool
from config.settings import Settings
from schemas.errors import SchedulingError, Unavailable

SERVICES = ("patient", "doctor", "appointment")
# One connection each, made when first needed: so many requests of a worker are under way at once.
CLIENTS = 32
HEALTH_SECONDS = 1.0


@dataclass(frozen=True)
class Pools:
    """Connections for calls, and some of their own for probes: a probe is in a hurry, and its
    failures must not open the breakers of calls that would have waited."""

    calls: Pool
    probes: Pool


def services_pools(settings: Settings) -> Pools:
    return Pools(
        calls=Pool(settings.amqp_uri, size=CLIENTS, unavailable=Unavailable),
        probes=Pool(settings.amqp_uri, size=len(SERVICES), unavailable=Unavailable),
    )


class Rpc:
    """The services as one HTTP request sees them; ``seconds`` begin to run at once.

    ``replayed`` once an answer has come that was kept for the request's idempotency key.
    """

    def __init__(self, pools: Pools, *, correlation: str, key: str, seconds: float) -> None:
        self.replayed = False
        self._pools = pools
        self._correlation = correlation
        self._context = new_context(correlation=correlation, seconds=seconds, key=key)

    def ask(self, service: str, method: str, *args: Any) -> Answer:
        """:raises Unavailable: when ``service`` does not answer in time."""
        answer = _ask(self._pools.calls, self._context, Request(service, method, args))
        self.replayed = answer.replayed
        return answer

    def health(self) -> dict[str, str]:
        """``ok`` or ``failing`` for the broker and for each service with its database."""
        probes, key = self._pools.probes, self._correlation
        context = new_context(correlation=self._correlation, seconds=HEALTH_SECONDS, key=key)

        def check(service: str) -> None:
            _ask(probes, context, Request(service, "health")).result()

        checks: dict[str, Callable[[], object]] = {
            "broker": partial(probes.probe, seconds=HEALTH_SECONDS)
        }
        for service in SERVICES:
            checks[service] = partial(check, service)
        with ThreadPoolExecutor(len(checks)) as side_by_side:
            return dict(zip(checks, side_by_side.map(_verdict, checks.values()), strict=True))


def _ask(pool: Pool, context: dict[str, Any], request: Request) -> Answer:
    (answer,) = pool.ask(request, headers=headers_of(context), deadline=context[DEADLINE])
    return answer


def _verdict(check: Callable[[], object]) -> str:
    try:
        check()
    except (*BROKEN, SchedulingError, DeadlineExceeded, RemoteError, BadRequest):
        return "failing"
    return "ok"
