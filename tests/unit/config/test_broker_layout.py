"""What is declared before the start is what the programs' classes will declare themselves."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import pytest
from kombu import Exchange, Queue
from nameko.events import EventHandler
from nameko.rpc import Rpc

from config.broker_layout import layout, subscription
from config.broker_limits import policies
from config.entrypoints import entrypoints
from config.programs import catalogue
from config.rights import all_rights
from config.settings import Settings, embedded_settings

QUEUE_TYPES = ("classic", "quorum")


def settings(queue_type: str = "classic") -> Settings:
    return Settings(
        **vars(embedded_settings()) | {"queue_type": queue_type, "event_retry_seconds": (1, 20)}
    )


def shape(queue: Queue) -> tuple[Any, ...]:
    assert isinstance(queue.exchange, Exchange)
    exchange = (queue.exchange.name, queue.exchange.type, queue.exchange.durable)
    flags = (queue.durable, queue.exclusive, queue.auto_delete)
    return queue.name, exchange, queue.routing_key, flags, queue.queue_arguments or {}


class Container:
    """As much of Nameko's as an entrypoint sees when it is set up."""

    def __init__(self, service: str, queue_type: str) -> None:
        self.service_name = service
        self.config = {"QUEUE_TYPE": queue_type, "EVENT_RETRY_SECONDS": (1, 20)}
        self.shared_extensions: dict[Any, Any] = {}


def limited(queue_type: str) -> Mapping[str, Any]:
    queues = layout(catalogue(), settings(queue_type)).queues
    return policies([queue.name for queue in queues], queue_type)


def declared_by_programs(queue_type: str) -> Mapping[str, Queue]:
    """As each entrypoint sets itself up in a container."""
    found = {}
    for program in catalogue().programs:
        cls = program.service()
        container = Container(cls.name, queue_type)
        for method, entrypoint in entrypoints(cls):
            if isinstance(entrypoint, EventHandler | Rpc):
                for queue in _set_up(entrypoint, container, method):
                    found[queue.name] = queue
    return found


def _set_up(entrypoint: Any, container: Any, method: str) -> list[Queue]:
    bound = entrypoint.bind(container, method)
    consumer = bound if isinstance(bound, EventHandler) else bound.rpc_consumer
    consumer.queue_consumer = Mock()
    consumer.setup()
    return [consumer.queue]


@pytest.mark.parametrize("queue_type", QUEUE_TYPES)
def test_the_queues_of_programs_are_declared_as_they_do_it_themselves(queue_type: str) -> None:
    by_them = declared_by_programs(queue_type)
    here = {queue.name: queue for queue in layout(catalogue(), settings(queue_type)).queues}
    assert {name for name in here if name.startswith(("rpc-", "evt-"))} == set(by_them)
    for name, queue in by_them.items():
        assert shape(queue) == shape(here[name])


def test_the_common_kind_of_queue_has_no_arguments_so_that_stock_nameko_declares_it_alike() -> None:
    for queue in layout(catalogue(), settings()).queues:
        if queue.name.startswith(("rpc-", "evt-")):
            assert not queue.queue_arguments
        assert queue.durable and not queue.exclusive and not queue.auto_delete


def test_every_exchange_that_somebody_has_rights_on_is_there() -> None:
    there = {exchange.name for exchange in layout(catalogue(), settings()).exchanges}
    wanted = {
        name
        for rights in all_rights(catalogue(), settings().event_retry_seconds).values()
        for name in rights.broker.exchanges
    }
    assert wanted == there


def test_what_rests_comes_back_by_the_name_of_its_queue() -> None:
    queues = {queue.name: queue for queue in layout(catalogue(), settings("quorum")).queues}
    for seconds in (1, 20):
        queue = queues[f"delay-{seconds}s"]
        assert queue.routing_key == "#" and queue.exchange.name == queue.name
        assert queue.queue_arguments == {
            "x-queue-type": "quorum",
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": "",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


def test_what_goes_on_from_a_quorum_queue_is_not_let_go_of_before_it_has_arrived() -> None:
    """It works with this overflow only; RabbitMQ's own kind of queue knows no such thing."""
    for queue in layout(catalogue(), settings()).queues:
        assert "x-dead-letter-strategy" not in (queue.queue_arguments or {})
    _, limits = limited("quorum")["clinic-events"]
    assert limits["dead-letter-strategy"] == "at-least-once"
    assert limits["overflow"] == "reject-publish"


def test_limits_are_for_our_queues_and_leave_events_alone() -> None:
    classic, quorum = map(limited, QUEUE_TYPES)
    assert classic["clinic-rpc"][0] == r"^(rpc\-patient|rpc\-doctor|rpc\-appointment)$"
    assert set(classic) == {"clinic-rpc", "dead-letters"}
    pattern, limits = quorum["clinic-events"]
    assert "message-ttl" not in limits and "max-length" not in limits
    assert "rpc" not in pattern and limits["dead-letter-exchange"] == "dead-letters"


def test_a_subscribers_queue_is_as_kombu_and_nameko_declare_it() -> None:
    queue = subscription("consumer-billing:appointment.scheduled")
    assert shape(queue)[2:] == ("scheduled", (True, False, False), {})
    assert queue.exchange.name == "appointment.events" and queue.exchange.passive
    name = "evt-doctor-updated--consumer_desk.on_updated"
    assert subscription(f"{name}:doctor.*").name == name


@pytest.mark.parametrize(
    "text",
    [
        "", "consumer-x", "consumer-x:", "consumer-x:appointment", "consumer-x:appointment.",
        ":appointment.scheduled", "billing:appointment.scheduled", "rpc-patient:patient.erased",
        "evt-patient-erased--gateway_background.patient_erased:patient.erased",
        "consumer-x:appointment.sche duled", "consumer-x:app-ointment.x",
    ],
)
def test_what_names_no_subscriber_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        subscription(text)
