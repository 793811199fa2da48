"""A downstream consumer with kombu alone: prints every appointment event, name and subject.

From this folder, beside `make stack`:

    set -a; . ../../.data/stack.env
    ../../.venv/bin/python with_kombu.py
"""

import os
import sys

from kombu import Connection, Consumer, Exchange, Queue

# Found there, not declared: a subscriber may not, since it could then delete it as well.
appointments = Exchange("appointment.events", type="topic", passive=True)
# The name of a subscriber's queue begins with `consumer-`.
events = Queue("consumer-billing", appointments, routing_key="#")


def on_event(event, message):
    print(message.delivery_info["routing_key"], event["subject"], event["sequence"], flush=True)
    message.ack()


def consume(address):
    with Connection(address) as connection:
        with Consumer(connection, [events], callbacks=[on_event], accept=["json"]):
            while True:
                connection.drain_events()


if not os.environ.get("CONSUMER_AMQP_URI"):
    sys.exit("CONSUMER_AMQP_URI must be set: `make stack` keeps it in DATA_DIR/stack.env.")
try:
    consume(os.environ["CONSUMER_AMQP_URI"])
except KeyboardInterrupt:
    pass
