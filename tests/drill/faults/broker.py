"""What happens to RabbitMQ, and what comes from it that nobody has asked for."""

from contextlib import suppress

import httpx
from sqlalchemy import select

from appointment.models import Outbox
from config.messaging.topology import events_of
from tests.drill.faults.programs import SERVICES
from tests.drill.junk import Junk, event_junk, rpc_junk, send
from tests.drill.nemesis import Nemesis

BROKER = "AMQP_URI"


def kill_broker(by: Nemesis) -> str:
    """kill -9 of RabbitMQ, and its start on the same data some seconds later."""
    by.stage.servers[BROKER].daemon.kill()
    by.last(30, least=3)
    by.stage.start_again(BROKER)
    return ""


def freeze_broker(by: Nemesis) -> str:
    """SIGSTOP of RabbitMQ for 60 s."""
    with by.frozen(BROKER):
        by.last(60, least=10)
    return ""


def reset_connections(by: Nemesis) -> str:
    """All connections to the broker are cut, every five seconds."""
    cut = 0
    for _ in range(max(2, round(6 * by.scale))):
        for name in by.stage.broker.connections():
            with suppress(httpx.HTTPError):  # it is gone already
                by.stage.broker.cut(name)
                cut += 1
        by.stage.rest(5 if by.scale == 1 else 3)
    return f"{cut} connections"


def send_junk(by: Nemesis) -> str:
    """Messages that no program of ours would send, to calls and to events."""
    sent: list[Junk] = []
    for service in SERVICES:
        sent += rpc_junk(service, f"{by.mark}{len(by.junk) + len(sent)}")
    for source, name in (("patient", "erased"), ("doctor", "schedule_changed")):
        exchange = events_of(source).name
        # These are kept as they are, so nothing of anybody is in them.
        sent += event_junk(exchange, name, f"junk{len(by.junk) + len(sent)}")
    send(by.stage.broker, sent)
    by.junk += sent
    by.last(6, least=4)
    return f"{len(sent)} messages"


def memory_alarm(by: Nemesis) -> str:
    """RabbitMQ takes nothing more from anybody who publishes."""
    control = by.stage.servers[BROKER].control
    assert control is not None
    by.stage.done(control("set_vm_memory_high_watermark", "0.0001"))
    try:
        by.last(15, least=6)
    finally:
        by.stage.done(control("set_vm_memory_high_watermark", "0.4"))
    return ""


def events_twice(by: Nemesis) -> str:
    """The events of late, once more and shuffled."""
    engine = by.stage.database("appointment")
    with engine.connect() as connection:
        newest = select(Outbox.id, Outbox.name, Outbox.body).where(
            Outbox.published_at.is_not(None)
        )
        rows = connection.execute(newest.order_by(Outbox.position.desc()).limit(300)).all()
    engine.dispose()
    by.chance.shuffle(rows)
    copies = [
        Junk("copy", events_of("appointment").name, row.name, row.body.encode(),
             {"content_type": "application/json", "content_encoding": "utf-8",
              "message_id": row.id})
        for row in rows
    ]
    send(by.stage.broker, copies)
    by.copies += len(copies)
    by.last(5, least=3)
    return f"{len(copies)} events"
