"""A relay in a process of its own, to be stopped and killed: `python -m` and this module's name.

RELAY_DATABASE, RELAY_BROKER and RELAY_SOURCE say what it publishes, and where.
"""

import os
import signal
from functools import partial
from types import FrameType

from config.database import connect
from config.messaging.publisher import Publisher
from config.messaging.relay import Relay
from patient.models import Outbox, RelayTurn


def main() -> None:
    environ = os.environ
    relay = Relay(
        connect(environ["RELAY_DATABASE"], pool_size=1, statements_alone=True),
        outbox=Outbox,
        turn=RelayTurn,
        source=environ["RELAY_SOURCE"],
        awaited={},
        connect=partial(Publisher, environ["RELAY_BROKER"], source=environ["RELAY_SOURCE"]),
    )

    def stop(number: int, frame: FrameType | None) -> None:
        relay.stopping = True

    signal.signal(signal.SIGTERM, stop)
    relay.run()
    relay.close()


if __name__ == "__main__":
    main()
