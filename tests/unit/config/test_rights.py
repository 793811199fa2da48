"""What a program may do follows from its class; the servers themselves are asked elsewhere."""

import re

import pytest
from nameko.events import BROADCAST, SINGLETON, event_handler
from sqlalchemy.orm import DeclarativeBase

from config.messaging.outbox import OutboxRelay
from config.messaging.outbox_tables import OutboxColumns
from config.messaging.peers import Peers
from config.messaging.rpc import rpc
from config.programs import Catalogue, Program, catalogue
from config.rights import Rights, all_rights, own_rights
from config.service_database import Database

HEX = "0123456789abcdef0123456789abcdef"
RETRIES = (5, 30)
UUID = "01234567-89ab-cdef-0123-456789abcdef"


class Base(DeclarativeBase):
    pass


class Told(OutboxColumns, Base):
    __tablename__ = "outbox"


class Kitchen:
    name = "kitchen"
    store = Database(Base, answers=None, errors=None)

    @rpc
    def cook(self):
        pass


class Waiter:
    name = "waiter"
    ask = Peers(unavailable=ValueError)

    @rpc
    def serve(self):
        pass


class Behind:
    name = "kitchen_behind"
    ask = Peers(unavailable=ValueError, services=("waiter",))
    relay = OutboxRelay(Base, outbox=None, turn=None, source="kitchen")

    @event_handler("waiter", "ordered")
    def on_ordered(self, event):
        pass

    @event_handler("waiter", "left", handler_type=SINGLETON)
    def on_left(self, event):
        pass

    @event_handler("waiter", "rang", handler_type=BROADCAST, reliable_delivery=False)
    def on_rang(self, event):
        pass


@pytest.fixture(scope="module")
def rights() -> dict[str, Rights]:
    place = f"{__name__}:"
    house = Catalogue(
        **{
            **vars(catalogue()),
            "databases": dict.fromkeys(("kitchen", "waiter", "gateway", "audit"), ""),
            "programs": tuple(
                _Known(name, place, database, cls)
                for name, database, cls in (
                    ("kitchen", "kitchen", Kitchen),
                    ("waiter", "waiter", Waiter),
                    ("kitchen-behind", "kitchen", Behind),
                )
            ),
        }
    )
    return all_rights(house, RETRIES)


class _Known(Program):
    """A program whose class is at hand."""

    def __init__(self, name: str, path: str, database: str, cls: type) -> None:
        super().__init__(name, path, database)
        object.__setattr__(self, "cls", cls)

    def service(self):
        return self.cls


def may(rights: Rights, what: str, name: str) -> bool:
    return re.search(rights.broker.permissions()[what], name) is not None


def may_with_key(rights: Rights, what: str, exchange: str, key: str) -> bool:
    """As RabbitMQ has it: without a rule for the exchange, every key will do."""
    rules = {rule["exchange"]: rule for rule in rights.broker.topic_permissions()}
    rule = rules.get(exchange)
    return may(rights, what, exchange) and (rule is None or bool(re.search(rule[what], key)))


def test_a_service_takes_its_own_calls_and_nobody_elses(rights):
    for what in ("configure", "write", "read"):
        assert may(rights["kitchen"], what, "rpc-kitchen")
        for other in ("rpc-waiter", "rpc-kitchen2", "xrpc-kitchen", "rpcxkitchen", ""):
            assert not may(rights["kitchen"], what, other)
    assert may_with_key(rights["kitchen"], "read", "nameko-rpc", "kitchen.*")
    for key in ("#", "*.*", "waiter.*", "kitchen.#", HEX):
        assert not may_with_key(rights["kitchen"], "read", "nameko-rpc", key)


@pytest.mark.parametrize("key", [HEX, UUID])
def test_a_service_answers_whoever_called(rights, key):
    assert may_with_key(rights["kitchen"], "write", "nameko-rpc", key)


def test_a_service_without_peers_calls_nobody(rights):
    for key in ("waiter.serve", "kitchen.cook"):
        assert not may_with_key(rights["kitchen"], "write", "nameko-rpc", key)
    assert not may(rights["kitchen"], "configure", f"rpc.reply-{HEX}")


def test_a_service_with_peers_calls_the_others_and_gets_its_answers(rights):
    waiter = rights["waiter"]
    assert may_with_key(waiter, "write", "nameko-rpc", "kitchen.cook")
    assert not may_with_key(waiter, "write", "nameko-rpc", "waiter.serve")
    for what in ("configure", "write", "read"):
        assert may(waiter, what, f"rpc.reply-{HEX}")
    assert may_with_key(waiter, "read", "nameko-rpc", HEX)
    assert not may_with_key(waiter, "read", "nameko-rpc", "kitchen.*")


def test_a_service_that_names_whom_it_asks_calls_nobody_else(rights):
    behind = rights["kitchen-behind"]
    assert may_with_key(behind, "write", "nameko-rpc", "waiter.serve")
    assert not may_with_key(behind, "write", "nameko-rpc", "kitchen.cook")
    assert may(behind, "read", f"rpc.reply-{HEX}")


def test_the_gateway_calls_every_service_and_takes_the_calls_of_none(rights):
    gateway = rights["gateway"]
    for key in ("kitchen.cook", "waiter.serve"):
        assert may_with_key(gateway, "write", "nameko-rpc", key)
    assert not may_with_key(gateway, "write", "nameko-rpc", HEX)
    for queue in ("rpc-kitchen", "rpc-waiter"):
        assert not may(gateway, "read", queue)


def test_the_operator_calls_and_reads_no_other_callers_answers(rights):
    operator = rights["operator"]
    assert may_with_key(operator, "write", "nameko-rpc", "kitchen.cook")
    assert may(operator, "read", f"rpc.reply-standalone_rpc_proxy-{UUID}")
    assert not may(operator, "read", f"rpc.reply-{HEX}")
    assert not may(operator, "write", "kitchen.events")
    assert operator.databases == {}


def test_a_relay_publishes_its_own_events_and_hears_none(rights):
    behind = rights["kitchen-behind"]
    assert may_with_key(behind, "write", "kitchen.events", "cooked")
    assert not may(behind, "read", "kitchen.events")
    assert not may(behind, "write", "waiter.events")


@pytest.mark.parametrize(
    ("queue", "key"),
    [
        ("evt-waiter-ordered--kitchen_behind.on_ordered", "ordered"),
        ("evt-waiter-left", "left"),
        (f"evt-waiter-rang--kitchen_behind.on_rang-{HEX}", "rang"),
    ],
    ids=["one of each service", "one of all", "every process"],
)
def test_a_handler_hears_the_event_it_names(rights, queue, key):
    behind = rights["kitchen-behind"]
    for what in ("configure", "write", "read"):
        assert may(behind, what, queue)
    assert may_with_key(behind, "read", "waiter.events", key)
    assert not may_with_key(behind, "read", "waiter.events", "#")


def test_what_fails_is_put_aside_by_the_names_of_ones_own_queues_and_nothing_is_taken(rights):
    behind, kitchen = rights["kitchen-behind"], rights["kitchen"]
    ordered = "evt-waiter-ordered--kitchen_behind.on_ordered"
    for exchange in ("dead-letters", "delay-5s", "delay-30s"):
        assert may_with_key(behind, "write", exchange, ordered)
        assert may_with_key(behind, "write", exchange, "evt-waiter-left")
        for other in ("evt-waiter-ordered--other.on_ordered", "rpc-kitchen", "", "#"):
            assert not may_with_key(behind, "write", exchange, other)
    assert may_with_key(kitchen, "write", "dead-letters", "rpc-kitchen")
    assert not may_with_key(kitchen, "write", "dead-letters", "rpc-waiter")
    assert not may(kitchen, "write", "delay-5s") and not may(behind, "write", "delay-300s")
    for program in (behind, kitchen, rights["gateway"], rights["consumer"]):
        for what in ("configure", "read"):
            for name in ("dead-letters", "delay-5s"):
                assert not may(program, what, name)


def test_who_writes_events_wakes_its_own_relay_and_the_relay_hears_it(rights):
    behind, kitchen = rights["kitchen-behind"], rights["kitchen"]
    assert may_with_key(kitchen, "write", "outbox-wake", "kitchen")
    assert not may_with_key(kitchen, "write", "outbox-wake", "waiter")
    assert not may(rights["waiter"], "write", "outbox-wake"), "it stores no events"
    assert may_with_key(behind, "read", "outbox-wake", "kitchen")
    assert not may_with_key(behind, "read", "outbox-wake", "#")
    for what in ("configure", "write", "read"):
        assert may(behind, what, f"outbox-wake-{HEX}")
        assert not may(kitchen, what, f"outbox-wake-{HEX}")
    for program in rights.values():
        assert not may(program, "configure", "outbox-wake")


def test_the_operator_reads_dead_letters_and_sends_them_to_queues_of_events_only(rights):
    operator = rights["operator"]
    assert may(operator, "read", "dead-letters")
    for what in ("configure", "write"):
        assert not may(operator, what, "dead-letters")
    for key in ("evt-waiter-ordered--kitchen_behind.on_ordered", "evt-waiter-left"):
        assert may_with_key(operator, "write", "delay-5s", key)
    for key in ("rpc-kitchen", "consumer-billing", "dead-letters", "#"):
        assert not may_with_key(operator, "write", "delay-5s", key)
    for name in ("delay-30s", "amq.default"):
        assert not may(operator, "write", name)


def test_what_must_be_there_before_a_program_is_not_its_own_to_declare(rights):
    broker = rights["kitchen-behind"].broker
    assert set(broker.exchanges) - set(broker.declared) == {
        "dead-letters", "delay-5s", "delay-30s", "outbox-wake", "waiter.events", "nameko-rpc"
    }
    assert set(broker.declared) == {"kitchen.events"}


def test_no_program_can_delete_what_the_others_live_by(rights):
    """To declare is the same right. Nameko's own client, at the shell, declares it each time."""
    for name in rights.keys() - {"operator"}:
        assert not may(rights[name], "configure", "nameko-rpc")
        assert not may(rights[name], "configure", "waiter.events")
    assert may(rights["operator"], "configure", "nameko-rpc")


def test_who_has_nothing_to_do_with_a_thing_may_do_nothing_with_it(rights):
    for program in rights.values():
        for what in ("configure", "write", "read"):
            for name in ("amq.default", "amq.topic", "billing", "rpc-", "rpc.reply-"):
                assert not may(program, what, name)


def test_a_program_changes_its_own_database_and_only_adds_to_the_audit_trail(rights):
    assert rights["kitchen"].databases == {
        "kitchen": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "audit": {"SELECT", "INSERT"},
    }
    assert set(rights["gateway"].databases) == {"gateway", "audit"}


def test_a_program_that_answers_nobody_has_nothing_to_put_on_record(rights):
    assert set(rights["kitchen-behind"].databases) == {"kitchen"}


def test_every_program_of_the_catalogue_has_rights():
    assert set(all_rights(catalogue(), RETRIES)) == {*catalogue().names, "operator", "consumer"}


def test_a_subscriber_hears_every_event_in_queues_of_its_own_and_changes_nothing(rights):
    consumer = rights["consumer"]
    for queue in ("consumer-billing", "evt-kitchen-cooked--consumer_desk.on_cooked"):
        for what in ("configure", "write", "read"):
            assert may(consumer, what, queue)
    for key in ("cooked", "#", "*"):
        assert may_with_key(consumer, "read", "kitchen.events", key)
        assert not may_with_key(consumer, "write", "kitchen.events", key)
    assert not may(consumer, "configure", "kitchen.events")
    for name in ("waiter.events", "nameko-rpc", "rpc-kitchen", "evt-waiter-left", "", "consumer-",
                 "evt-waiter-ordered--kitchen_behind.on_ordered"):
        for what in ("configure", "write", "read"):
            assert not may(consumer, what, name)
    assert consumer.databases == {}


def test_the_rights_that_are_a_programs_own_are_those_that_it_gets():
    every = all_rights(catalogue(), RETRIES)
    for name in catalogue().names:
        own = own_rights(name, RETRIES)
        assert own.databases == every[name].databases
        assert own.broker.exchanges == every[name].broker.exchanges
