"""How one service asks another: through a pool, inside the deadline of the call it works on."""

from collections.abc import Callable, Collection, Mapping

from nameko.constants import AMQP_URI_CONFIG_KEY
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from config.messaging.call import CALLER, DEADLINE, Call, headers_of, new_context
from config.messaging.caller import SYSTEM, signed
from config.messaging.client import Answer, Request
from config.messaging.current_call import call_of
from config.messaging.pool import Pool

Ask = Callable[..., list[Answer]]


class Peers(DependencyProvider):
    """Gives a service ``ask(*requests)``: the answers that came back, asked side by side.

    :param unavailable: makes the error to raise when a peer does not answer in time.
    :param services: those that it asks, by which it is given its rights; ``None``: all others.
    """

    def __init__(
        self,
        *,
        unavailable: Callable[[str], Exception],
        services: Collection[str] | None = None,
    ) -> None:
        self.unavailable = unavailable
        self.services = services

    def setup(self) -> None:
        config = self.container.config
        self.seconds = config["PEER_SECONDS"]
        self.pool = Pool(
            config[AMQP_URI_CONFIG_KEY],
            size=self.container.max_workers,
            unavailable=self.unavailable,
            ca_file=config["TLS_CA_FILE"],
        )

    def stop(self) -> None:
        self.pool.close()

    kill = stop

    @property
    def breakers(self) -> Mapping[str, str]:
        """By ``service.method``, what this service leaves alone; known once it is set up."""
        return self.pool.breakers.states() if hasattr(self, "pool") else {}

    def get_dependency(self, worker_ctx: WorkerContext) -> Ask:
        def ask(*requests: Request) -> list[Answer]:
            call = call_of(worker_ctx)
            # These are reads: their key names no change.
            context = new_context(
                correlation=call.correlation_id,
                seconds=min(self.seconds, call.seconds_left),
                key=call.key,
                caller=call.context.get(CALLER, "") or self._signed(call),
            )
            return self.pool.ask(*requests, headers=headers_of(context), deadline=context[DEADLINE])

        return ask

    def _signed(self, call: Call) -> str:
        """For what a service does unasked, which nobody has signed; an operator's call stays so,
        and is on record as such."""
        if call.caller != SYSTEM:
            return ""
        ring = self.container.config["CALLER_KEYS"]
        return signed(SYSTEM, correlation=call.correlation_id, key=call.key, ring=ring)
