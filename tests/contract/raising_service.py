"""A Nameko service on the project's extensions that raises what it is told to; a program."""

import sys
import time
from typing import Any

import eventlet

eventlet.monkey_patch()

from nameko.exceptions import registry  # noqa: E402 (after the patching)
from nameko.runners import ServiceRunner  # noqa: E402

from config.keys import KeyRing  # noqa: E402
from config.messaging.current_call import CurrentCall  # noqa: E402
from config.messaging.rpc import rpc  # noqa: E402
from schemas import errors  # noqa: E402


class Raising:
    name = "raising"

    call = CurrentCall()

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
    def key(self) -> str:
        return self.call.key


if __name__ == "__main__":
    runner = ServiceRunner(
        {"AMQP_URI": sys.argv[1], "CALL_SECONDS": 5.0, "CALLER_KEYS": KeyRing()}
    )
    runner.add_service(Raising)
    runner.start()
    print("started", flush=True)
    runner.wait()
