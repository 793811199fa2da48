r"""A downstream consumer with Nameko: prints each booking and each cancellation once it happens.

From this folder, beside `make stack`:

    set -a; . ../../.data/stack.env
    ../../.venv/bin/nameko run --config with_nameko.yml with_nameko

Its configuration names the broker: on the command line everybody could read the password.

It gets what happens from its first start on. To miss nothing before, have its queues made earlier,
by the names that Nameko gives them:

    AMQP_URI="$CONSUMER_AMQP_URI" ../../.venv/bin/clinic topology \
        --subscriber evt-appointment-scheduled--consumer_front_desk.booked:appointment.scheduled \
        --subscriber evt-appointment-cancelled--consumer_front_desk.cancelled:appointment.cancelled
"""

import os
import sys

from nameko.events import EventHandler

if not os.environ.get("CONSUMER_AMQP_URI"):
    sys.exit("CONSUMER_AMQP_URI must be set: `make stack` keeps it in DATA_DIR/stack.env.")


class Subscriber(EventHandler):
    """Finds the exchange there; who may declare it, as Nameko would, could delete it as well."""

    def setup(self):
        super().setup()
        self.queue.exchange.passive = True


class FrontDeskScreen:
    # A subscriber's name begins with `consumer_`, since its queues are named after it.
    name = "consumer_front_desk"

    @Subscriber.decorator("appointment", "scheduled")
    def booked(self, event):
        print("booked", event["subject"], event["data"]["start"], flush=True)

    @Subscriber.decorator("appointment", "cancelled")
    def cancelled(self, event):
        print("cancelled", event["subject"], event["data"]["start"], flush=True)
