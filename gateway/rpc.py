"""The gateway's way to the services: one connection for all calls, a deadline for each."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from nameko.exceptions import BadRequest, RemoteError

from config.keys import KeyRing
from config.messaging.call import DeadlineExceeded, headers_of, new_context
from config.messaging.caller import Caller, signed
from config.messaging.client import Answer, Request
from config.messaging.connection import BROKEN
from config.messaging.pool import Pool
from config.settings import Settings
from schemas.errors import SchedulingError, Unavailable

SERVICES = ("patient", "doctor", "appointment")
# So many requests of a worker wait for the services at once, each with some 10 kB. More would
# hardly be answered in time, at a thousand calls a second: they are refused before they pile up.
CALLS = 200
# Each asks everybody, and an orchestrator looks every few seconds.
PROBES = 8 * len(SERVICES)
HEALTH_SECONDS = 1.0


@dataclass(frozen=True)
class Pools:
    """A connection for calls, and one of its own for probes: a probe is in a hurry, and its
    failures must not open the breakers of calls that would have waited."""

    calls: Pool
    probes: Pool

    def close(self) -> None:
        self.calls.close()
        self.probes.close()


def services_pools(settings: Settings) -> Pools:
    def pool(size: int) -> Pool:
        return Pool(
            settings.amqp_uri, size=size, unavailable=Unavailable, ca_file=settings.tls_ca_file
        )

    return Pools(calls=pool(CALLS), probes=pool(PROBES))


class Rpc:
    """The services as one caller sees them: every call carries their name, signed."""

    def __init__(self, pools: Pools, *, caller: Caller, ring: KeyRing, correlation: str) -> None:
        self._pools = pools
        self._correlation = correlation
        self._sign = partial(signed, caller, correlation=correlation, ring=ring)

    def ask(
        self, service: str, method: str, *args: Any, key: str, deadline: float
    ) -> Answer:
        """:raises Unavailable: when ``service`` does not answer before ``deadline``."""
        return self._ask(self._pools.calls, Request(service, method, args), key, deadline)

    def health(self) -> dict[str, str]:
        """``ok`` or ``failing`` for the broker and for each service with its database."""
        probes, deadline = self._pools.probes, time.time() + HEALTH_SECONDS

        def check(service: str) -> None:
            self._ask(probes, Request(service, "health"), self._correlation, deadline).result()

        checks: dict[str, Callable[[], object]] = {
            "broker": partial(probes.probe, seconds=HEALTH_SECONDS)
        }
        for service in SERVICES:
            checks[service] = partial(check, service)
        with ThreadPoolExecutor(len(checks)) as side_by_side:
            return dict(zip(checks, side_by_side.map(_verdict, checks.values()), strict=True))

    def breakers(self) -> dict[str, str]:
        """By ``service.method``, what this process leaves alone: ``open``, ``half-open``."""
        return self._pools.calls.breakers.states()

    def _ask(self, pool: Pool, request: Request, key: str, deadline: float) -> Answer:
        context = new_context(
            correlation=self._correlation,
            seconds=deadline - time.time(),
            key=key,
            caller=self._sign(key=key),
        )
        (answer,) = pool.ask(request, headers=headers_of(context), deadline=deadline)
        return answer


def _verdict(check: Callable[[], object]) -> str:
    try:
        check()
    except (*BROKEN, SchedulingError, DeadlineExceeded, RemoteError, BadRequest):
        return "failing"
    return "ok"
