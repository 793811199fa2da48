r"""A downstream consumer with kombu alone: prints every appointment event, name and subject.

From this folder, beside `make stack`:

    set -a; . ../../.data/stack.env
    ../../.venv/bin/python with_kombu.py

It gets what happens from its first start on. To miss nothing before, have its queue made earlier:

    AMQP_URI="$CONSUMER_AMQP_URI" ../../.venv/bin/clinic topology \
        --subscriber 'consumer-billing:appointment.#'
"""

import os
import signal
import sys

from kombu import Connection, Exchange, Queue
from kombu.mixins import ConsumerMixin

# Found there, not declared: a subscriber may not, since it could then delete it as well.
appointments = Exchange("appointment.events", type="topic", passive=True)
# The name of a subscriber's queue begins with `consumer-`.
events = Queue("consumer-billing", appointments, routing_key="#")


class Billing(ConsumerMixin):
    """Comes back by itself when the broker was away; Ctrl-C ends it between two events."""

    connected = False

    def __init__(self, connection):
        self.connection = connection

    def on_consume_ready(self, *_, **__):
        self.connected = True

    def on_connection_error(self, error, seconds):
        self.connected = False
        if self.should_stop:
            sys.exit()
        print(f"no broker, trying again in {seconds:.0f} s", file=sys.stderr, flush=True)

    def get_consumers(self, consumer, channel):
        return [consumer([events], callbacks=[self.on_event], accept=["json"])]

    def on_event(self, event, message):
        print(message.delivery_info["routing_key"], event["subject"], event["sequence"], flush=True)
        message.ack()

    def end(self, *_):
        self.should_stop = True
        if not self.connected:
            sys.exit()


if not os.environ.get("CONSUMER_AMQP_URI"):
    sys.exit("CONSUMER_AMQP_URI must be set: `make stack` keeps it in DATA_DIR/stack.env.")
with Connection(os.environ["CONSUMER_AMQP_URI"], heartbeat=30) as connection:
    billing = Billing(connection)
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, billing.end)
    billing.run()
