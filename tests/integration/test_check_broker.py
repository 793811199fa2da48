"""`clinic check` looks at the broker too, and takes no message from it."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from kombu import Connection

from config.broker_users import SetupRefused
from config.check_broker import examine_broker
from config.messaging.topology import DEAD_LETTERS
from config.settings import Settings, topology_settings
from tests.systems import clinic, plain_environ, succeed

TAKEN_FROM = "somebody takes from each"
LEFT = "rpc.reply-of-somebody"


@pytest.fixture
def settings(
    addresses: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Of a virtual host of its own, with the topology and nobody on it."""
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("needs the broker's management API")
    name, parts = f"check-{uuid.uuid4().hex}", urlsplit(addresses["AMQP_ADMIN_URL"])
    vhost = f"{addresses['AMQP_ADMIN_URL']}/api/vhosts/{name}"
    may = f"{addresses['AMQP_ADMIN_URL']}/api/permissions/{name}/{parts.username}"
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    with httpx.Client(verify=False, trust_env=False) as api:
        api.put(vhost).raise_for_status()
        api.put(may, json=everything).raise_for_status()
        own = {
            "AMQP_URI": addresses["AMQP_URI"].rstrip("/") + f"/{name}",
            "AMQP_ADMIN_URL": addresses["AMQP_ADMIN_URL"],
            "TRUST_LOCAL_SERVERS": "true",
        }
        succeed(clinic("topology"), environ=plain_environ(**own))
        for setting, value in own.items():
            monkeypatch.setenv(setting, value)
        yield topology_settings()
        api.delete(vhost)


def findings(settings: Settings) -> dict[str, tuple[str, ...]]:
    return {outcome.check.title: outcome.named for outcome in examine_broker(settings)}


def test_queues_that_nobody_takes_from_are_named(settings: Settings) -> None:
    found = findings(settings)
    assert "nobody takes from rpc-patient: does its program run?" in found[TAKEN_FROM]
    assert not any(found[title] for title in found if title != TAKEN_FROM)


def test_a_queue_that_is_missing_is_named_with_what_to_do(settings: Settings) -> None:
    with Connection(settings.amqp_uri) as connection:
        connection.default_channel.queue_delete("rpc-doctor")
    found = findings(settings)
    assert found["each queue is there"] == ("rpc-doctor is missing: run `clinic topology`",)


def test_dead_letters_are_told_and_stay(settings: Settings) -> None:
    with Connection(settings.amqp_uri) as connection:
        connection.Producer().publish({}, routing_key=DEAD_LETTERS)
        for _ in range(2):
            told = findings(settings)["messages do not pile up"]
            assert told == ("1 dead letters: see `clinic dead-letters list`",)


@pytest.mark.parametrize(("arguments", "said", "wrong"), [
    ({}, "has nobody who takes from it", True),
    ({"x-expires": 300_000}, "is not used any more; the broker removes it soon", False),
])
def test_a_queue_that_its_process_left_is_wrong_unless_the_broker_removes_it(
    settings: Settings, arguments: dict[str, int], said: str, wrong: bool
) -> None:
    with Connection(settings.amqp_uri) as connection:
        connection.default_channel.queue_declare(
            LEFT, auto_delete=False, arguments=arguments, durable=True
        )
    (outcome,) = (
        each for each in examine_broker(settings)
        if each.check.title == "no process left its queue behind"
    )
    assert outcome.named == (f"{LEFT} {said}",)
    assert outcome.wrong == wrong


def test_a_broker_that_is_gone_is_named(settings: Settings) -> None:
    gone = replace(settings, amqp_uri="amqp://a:b@127.0.0.1:1//")
    with pytest.raises(SetupRefused, match="AMQP_URI: the broker does not answer"):
        findings(gone)
