"""`clinic topology` on a real broker: what it makes, again and again, and what it refuses."""

import subprocess
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from amqp.exceptions import NotFound
from kombu import Connection, Exchange, Queue

from tests.systems import clinic, plain_environ, succeed
from tests.waiting import PATIENCE

Environ = dict[str, str]


@pytest.fixture
def environ(addresses: Environ) -> Iterator[Environ]:
    """A virtual host with nothing in it."""
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("this broker is not ours to make virtual hosts on")
    name, user = f"topology-{uuid.uuid4().hex[:8]}", urlsplit(addresses["AMQP_URI"]).username
    with httpx.Client(base_url=addresses["AMQP_ADMIN_URL"], trust_env=False) as admin:
        admin.put(f"/api/vhosts/{name}").raise_for_status()
        may = dict.fromkeys(("configure", "write", "read"), ".*")
        admin.put(f"/api/permissions/{name}/{user}", json=may).raise_for_status()
        yield plain_environ(
            AMQP_URI=addresses["AMQP_URI"].removesuffix("/") + name,
            AMQP_ADMIN_URL=addresses["AMQP_ADMIN_URL"],
        )
        admin.delete(f"/api/vhosts/{name}").raise_for_status()


def refusal(environ: Environ, *arguments: str) -> str:
    ended = subprocess.run(
        clinic("topology", *arguments), env=environ, capture_output=True, text=True,
        timeout=2 * PATIENCE,
    )
    assert ended.returncode != 0
    return ended.stderr.splitlines()[-1]


def test_it_can_be_run_again_and_leaves_what_waits_in_the_queues(environ: Environ) -> None:
    first = succeed(clinic("topology"), environ=environ)
    queue = "evt-patient-erased--gateway_background.patient_erased"
    with Connection(environ["AMQP_URI"]) as broker:
        broker.Producer().publish({}, exchange="patient.events", routing_key="erased")
        assert succeed(clinic("topology"), environ=environ) == first
        assert broker.default_channel.queue_declare(queue, passive=True).message_count == 1
    assert f"queue {queue}: erased of patient.events" in first


def test_calls_are_limited_and_events_are_not(environ: Environ) -> None:
    succeed(clinic("topology"), environ=environ)
    vhost = urlsplit(environ["AMQP_URI"]).path.removeprefix("/")
    with httpx.Client(base_url=environ["AMQP_ADMIN_URL"], trust_env=False) as admin:
        found = admin.get(f"/api/policies/{vhost}").raise_for_status().json()
    assert {each["name"] for each in found} == {"clinic-rpc", "dead-letters"}
    limits = {each["name"]: each["definition"] for each in found}
    assert limits["clinic-rpc"]["message-ttl"] == 60_000
    assert limits["clinic-rpc"]["overflow"] == "drop-head"


def test_without_the_management_api_it_says_that_nothing_is_limited(environ: Environ) -> None:
    del environ["AMQP_ADMIN_URL"]
    *_, last = succeed(clinic("topology"), environ=environ).splitlines()
    assert last.startswith("no limits") and "AMQP_ADMIN_URL" in last


def test_the_queues_of_quorum_are_declared_where_they_are_wanted(environ: Environ) -> None:
    succeed(clinic("topology"), environ=environ | {"QUEUE_TYPE": "quorum"})
    assert "The queue dead-letters is there with other arguments" in refusal(environ)


def test_quorum_queues_are_not_made_without_the_limits_that_keep_what_is_in_them(
    environ: Environ
) -> None:
    del environ["AMQP_ADMIN_URL"]
    said = refusal(environ | {"QUEUE_TYPE": "quorum"})
    assert "needs AMQP_ADMIN_URL" in said
    with Connection(environ["AMQP_URI"]) as broker, pytest.raises(NotFound):
        broker.default_channel.queue_declare("dead-letters", passive=True)


def test_what_rests_in_a_quorum_queue_moves_on_and_the_broker_takes_the_strategy(
    environ: Environ
) -> None:
    environ |= {"QUEUE_TYPE": "quorum", "EVENT_RETRY_SECONDS": "1"}
    succeed(clinic("topology"), environ=environ)
    vhost = urlsplit(environ["AMQP_URI"]).path.removeprefix("/")
    queue = "evt-patient-erased--gateway_background.patient_erased"
    with Connection(environ["AMQP_URI"]) as broker:
        broker.Producer().publish({"id": "one"}, exchange="delay-1s", routing_key=queue)
        until = time.monotonic() + PATIENCE
        while not (found := Queue(queue)(broker.default_channel).get(no_ack=True)):
            assert time.monotonic() < until, "it did not come in time"
            time.sleep(0.05)
    assert found.payload == {"id": "one"}
    with httpx.Client(base_url=environ["AMQP_ADMIN_URL"], trust_env=False) as admin:
        policies = admin.get(f"/api/policies/{vhost}").raise_for_status().json()
    (events,) = [each["definition"] for each in policies if each["name"] == "clinic-events"]
    assert events["dead-letter-strategy"] == "at-least-once"
    assert events["overflow"] == "reject-publish"


def test_a_queue_that_is_otherwise_is_named_with_what_to_do(environ: Environ) -> None:
    with Connection(environ["AMQP_URI"]) as broker:
        channel = broker.default_channel
        channel.queue_declare("rpc-doctor", durable=True, arguments={"x-max-length": 5},
                              auto_delete=False)
    said = refusal(environ)
    assert "rpc-doctor" in said and "rabbitmqctl delete_queue rpc-doctor" in said


def test_an_event_reaches_a_subscriber_that_was_never_started(environ: Environ) -> None:
    succeed(clinic("topology"), environ=environ)
    names = ("consumer-billing", "evt-appointment-scheduled--consumer_desk.on_scheduled")
    wanted = [f"--subscriber={name}:appointment.scheduled" for name in names]
    for _ in range(2):
        assert len(succeed(clinic("topology", *wanted), environ=environ).splitlines()) == 2
    events = Exchange("appointment.events", type="topic", durable=True)
    with Connection(environ["AMQP_URI"]) as broker:
        broker.Producer().publish({"id": "one"}, exchange=events, routing_key="scheduled")
        for name in names:
            # As they declare it themselves, when they start.
            queue = Queue(name, events, routing_key="scheduled", durable=True)
            bound = queue(broker.default_channel)
            bound.declare()
            assert bound.get(no_ack=True).payload == {"id": "one"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AMQP_URI": ""}, "AMQP_URI must be set, for an administrator."),
        ({"AMQP_URI": "amqp://clinic:long-enough-to-pass@127.0.0.1:1//"}, "is it up?"),
        ({"AMQP_ADMIN_URL": "http://clinic:long-enough-to-pass@127.0.0.1:1"}, "does not answer"),
        ({"EVENT_RETRY_SECONDS": "5,soon"}, "EVENT_RETRY_SECONDS must be seconds"),
    ],
)
def test_what_is_in_the_way_is_told_in_a_sentence(
    environ: Environ, change: Environ, said: str
) -> None:
    line = refusal(environ | change)
    assert line.startswith("Error: ") and said in line and "long-enough" not in line


def test_events_that_nobody_tells_are_not_waited_for(environ: Environ) -> None:
    succeed(clinic("topology"), environ=environ)
    said = refusal(environ, "--subscriber", "consumer-x:nobody.happened")
    assert "have no exchange" in said and "consumer-x" in said
    assert "must look like" in refusal(environ, "--subscriber", "consumer-x")
