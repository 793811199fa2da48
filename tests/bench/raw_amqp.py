"""The floor of a call: py-amqp and nothing else, on both sides of the broker. A program.

    python -m tests.bench.raw_amqp serve
    python -m tests.bench.raw_amqp ask SECONDS CALLERS

The broker is AMQP_URI. Nothing is acknowledged or confirmed, so a message that is lost is lost.
"""

import os
import sys
import time
from typing import Any

import amqp
from kombu.utils.url import parse_url

from tests.bench.asking import BODY, WARM_UP_SECONDS
from tests.bench.figures import Figures, of_times

QUEUE = "bench-raw"
RAW_BODY = BODY.encode()


def main() -> None:
    channel = _channel(os.environ["AMQP_URI"])
    if sys.argv[1] == "serve":
        serve(channel)
    else:
        print(ask(channel, seconds=float(sys.argv[2]), callers=int(sys.argv[3])).line())


def serve(channel: amqp.Channel) -> None:
    def answer(message: amqp.Message) -> None:
        reply = amqp.Message(
            message.body, correlation_id=message.properties["correlation_id"], delivery_mode=1
        )
        channel.basic_publish(reply, routing_key=message.properties["reply_to"])

    channel.queue_declare(QUEUE, auto_delete=False)
    channel.basic_consume(QUEUE, no_ack=True, callback=answer)
    print("started", flush=True)
    while True:
        channel.connection.drain_events()


def ask(channel: amqp.Channel, *, seconds: float, callers: int) -> Figures:
    """As ``callers`` at once, each of whom asks again as soon as it is answered."""
    replies = channel.queue_declare(exclusive=True).queue
    asked, times = {}, []
    begin = time.perf_counter() + WARM_UP_SECONDS
    end, number = begin + seconds, 0

    def publish() -> None:
        nonlocal number
        number += 1
        message = amqp.Message(
            RAW_BODY, correlation_id=str(number), reply_to=replies, delivery_mode=1
        )
        asked[str(number)] = time.perf_counter()
        channel.basic_publish(message, routing_key=QUEUE)

    def take(message: amqp.Message) -> None:
        sent = asked.pop(message.properties["correlation_id"])
        if begin < (now := time.perf_counter()) < end:
            times.append(now - sent)
        publish()

    channel.basic_consume(replies, no_ack=True, callback=take)
    for _ in range(callers):
        publish()
    while time.perf_counter() < end:
        channel.connection.drain_events(timeout=5)
    return of_times(times, seconds=seconds)


def _channel(uri: str) -> Any:
    place = parse_url(uri)
    connection = amqp.Connection(
        host=f"{place['hostname']}:{place['port']}",
        userid=place["userid"],
        password=place["password"],
        virtual_host=place["virtual_host"] or "/",
    )
    connection.connect()
    # Else each publishing looks first whether the broker has something to say.
    connection.client_properties = {}
    return connection.channel()


if __name__ == "__main__":
    main()
