"""A service that does nothing, on the RPC of ours: what a call costs by itself. A program.

The broker is AMQP_URI; callers are signed with CALLER_KEYS.
"""

import os
from typing import Any

import eventlet

eventlet.monkey_patch()

from kombu import pools  # noqa: E402 (after the patching)
from nameko.runners import ServiceRunner  # noqa: E402

from config import process  # noqa: E402
from config.keys import parse_ring  # noqa: E402
from config.messaging.rpc import rpc  # noqa: E402
from config.programs import CONTAINER  # noqa: E402

WORKERS = 10


class Echo:
    name = "echo"

    @rpc
    def echo(self, value: Any) -> Any:
        return value


def main() -> None:
    process.speak()
    pools.set_limit(WORKERS + 10)
    runner = ServiceRunner({
        "SERVICE_CONTAINER_CLS": CONTAINER,
        "AMQP_URI": os.environ["AMQP_URI"],
        "CALL_SECONDS": 5.0,
        "CALLER_KEYS": parse_ring(os.environ["CALLER_KEYS"]),
        "QUEUE_TYPE": "classic",
        "max_workers": WORKERS,
    })
    runner.add_service(Echo)
    runner.start()
    ended = process.on_signal()
    print("started", flush=True)
    process.run(runner, ended)


if __name__ == "__main__":
    main()
