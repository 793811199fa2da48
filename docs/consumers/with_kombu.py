"""A downstream consumer with kombu alone: prints every appointment event, name and subject.

From this folder, beside `make stack`:

    set -a; . ../../.data/stack.env
    ../../.venv/bin/python with_kombu.py
"""

import os

from kombu import Connection, Consumer, Exchange, Queue

appointments = Exchange("appointment.events", type="topic")
events = Queue("billing", appointments, routing_key="#")


def on_event(event, message):
    print(message.delivery_info["routing_key"], event["subject"], event["sequence"], flush=True)
    message.ack()


with Connection(os.environ["AMQP_URI"]) as connection:
    with Consumer(connection, [events], callbacks=[on_event], accept=["json"]):
        while True:
            connection.drain_events()
