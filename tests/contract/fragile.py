"""A service whose handler of events does as each event says, and prints what it did.

    fragile.py AMQP_URI RETRY_SECONDS

An event's data: ``fails``, how many times it fails first (-1: always); ``refused``.
"""

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402
from collections import Counter  # noqa: E402

from nameko.runners import ServiceRunner  # noqa: E402

from config import logs  # noqa: E402
from config.messaging.events import event_handler  # noqa: E402
from config.programs import CONTAINER  # noqa: E402


class Refused(Exception):
    pass


class Fragile:
    name = "fragile"
    tries: Counter[str] = Counter()

    @event_handler("tests", "happened", expected_exceptions=Refused)
    def on_happened(self, event):
        number, wish = event["id"], event["data"]
        self.tries[number] += 1
        print(json.dumps({"id": number, "try": self.tries[number]}), flush=True)
        if wish.get("refused"):
            raise Refused("marker")
        if self.tries[number] <= wish.get("fails", 0) or wish.get("fails") == -1:
            raise ValueError("marker")
        print(json.dumps({"id": number, "done": True}), flush=True)


if __name__ == "__main__":
    logs.configure(level="INFO", readable=False)
    uri, retries = sys.argv[1:]
    runner = ServiceRunner({
        "SERVICE_CONTAINER_CLS": CONTAINER,
        "AMQP_URI": uri,
        "AMQP_SSL": None,
        "CALL_SECONDS": 5,
        "QUEUE_TYPE": "classic",
        "EVENT_RETRY_SECONDS": tuple(int(each) for each in retries.split(",")),
    })
    runner.add_service(Fragile)
    runner.start()
    print("started", flush=True)
    runner.wait()
