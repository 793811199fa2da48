"""A downstream consumer with Nameko: prints each booking and each cancellation once it happens.

From this folder, beside `make stack`:

    set -a; . ../../.data/stack.env
    ../../.venv/bin/nameko run --broker "$AMQP_URI" with_nameko
"""

from nameko.events import event_handler


class FrontDeskScreen:
    name = "front_desk_screen"

    @event_handler("appointment", "scheduled")
    def booked(self, event):
        print("booked", event["subject"], event["data"]["start"], flush=True)

    @event_handler("appointment", "cancelled")
    def cancelled(self, event):
        print("cancelled", event["subject"], event["data"]["start"], flush=True)
