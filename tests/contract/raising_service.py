"""A Nameko service on the project's extensions that raises what it is told to; a program."""

import hashlib
import sys
import time
from collections import defaultdict
from typing import Any

import eventlet

eventlet.monkey_patch()

from eventlet.event import Event  # noqa: E402 (after the patching)
from nameko.exceptions import registry  # noqa: E402
from nameko.runners import ServiceRunner  # noqa: E402

from config import process  # noqa: E402
from config.keys import KeyRing  # noqa: E402
from config.messaging.consumer import QueueConsumer  # noqa: E402
from config.messaging.current_call import CurrentCall  # noqa: E402
from config.messaging.rpc import rpc  # noqa: E402
from config.programs import CONTAINER  # noqa: E402
from schemas import errors  # noqa: E402


class Raising:
    name = "raising"

    call = CurrentCall()
    held: dict[str, Event] = defaultdict(Event)

    @rpc(expected_exceptions=errors.SchedulingError)
    def refuse(self, path: str, args: list[Any]) -> None:
        raise registry[path](*args)

    @rpc
    def fail(self) -> None:
        raise ValueError("a secret of the service")

    @rpc
    def echo(self, value: Any) -> Any:
        return value

    @rpc
    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "woke up"

    @rpc
    def work(self, seconds: float) -> str:
        print("working", flush=True)
        time.sleep(seconds)
        return "done"

    @rpc
    def hold(self, what: str) -> str:
        """Until somebody lets go of it."""
        print("holding", what, flush=True)
        self.held[what].wait()
        return "let go"

    @rpc
    def let_go(self, what: str) -> None:
        self.held[what].send()

    @rpc
    def turn(self) -> None:
        print("working", flush=True)
        while True:
            pass

    @rpc
    def block(self) -> None:
        """In a library, for an hour or so."""
        print("working", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)

    @rpc
    def lose_consumer(self) -> None:
        """As a mistake in a library would have it."""
        (container,) = runner.containers
        (consumer,) = (each for each in container.extensions if isinstance(each, QueueConsumer))
        eventlet.spawn_after(0.2, consumer._gt.kill)

    @rpc
    def hang_while_dying(self) -> None:
        (container,) = runner.containers
        container._being_killed = True

    @rpc
    def key(self) -> str:
        return self.call.key


if __name__ == "__main__":
    process.GRACE_SECONDS = float(sys.argv[3])
    runner = ServiceRunner(
        {
            "SERVICE_CONTAINER_CLS": CONTAINER,
            "AMQP_URI": sys.argv[1],
            "CALL_SECONDS": 5.0,
            "CALLER_KEYS": KeyRing(),
            "QUEUE_TYPE": "classic",
        }
    )
    runner.add_service(Raising)
    if port := int(sys.argv[2]):
        process.show_to_operators("127.0.0.1", port, runner)
    runner.start()
    ended = process.on_signal()
    print("started", flush=True)
    process.run(runner, ended)
    # Python then takes its time to end, and more of it when the machine is busy.
    print("stopped at", time.monotonic(), flush=True)
