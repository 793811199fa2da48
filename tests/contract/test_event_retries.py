"""Events whose handler fails: tried again later, then kept for an operator; nobody waits."""

import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kombu import Message

from config.messaging.dead_letters import bury
from tests.broker_proxy import BrokerProxy, broker_proxy
from tests.contract.house import RETRY_SECONDS, House, wait_for
from tests.systems import clinic, plain_environ, running

QUEUE = "evt-tests-happened--fragile.on_happened"
PROGRAM = Path(__file__).with_name("fragile.py")
TRIES = 1 + len(RETRY_SECONDS.split(","))


def happened(number: str, wish: dict[str, Any]) -> dict[str, Any]:
    told = {"specversion": "1.0", "source": "/tests", "type": "tests.happened"}
    return {**told, "id": number, "data": wish, "correlationid": "told-by-test"}


class Fragile:
    """The service, consuming; ``log`` is what it printed."""

    def __init__(self, house: House, log: Path) -> None:
        self.house = house
        self.log = log

    def tell(self, number: str = "", **wish: Any) -> str:
        """An event, published; its id."""
        number = number or str(uuid.uuid4())
        event = happened(number, wish)
        self.house.publish(event, source="tests", event="happened", message_id=number)
        return number

    def all_said(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines(keepends=True)
        return [
            json.loads(line) for line in lines if line.startswith('{"id": ') and line[-1] == "\n"
        ]

    def said(self, number: str, what: str) -> int:
        """How often it printed this of that event."""
        return sum(told["id"] == number and what in told for told in self.all_said())

    def tries(self, number: str) -> int:
        return self.said(number, "try")

    def done(self, number: str) -> int:
        return self.said(number, "done")


@contextmanager
def serving(house: House, log: Path, *, uri: str) -> Iterator[Fragile]:
    argv = [sys.executable, str(PROGRAM), uri, RETRY_SECONDS]
    with running(argv, environ=plain_environ(), log=log) as process:
        wait_for(lambda: "started" in log.read_text())
        yield Fragile(house, log)
        assert process.poll() is None


@pytest.fixture(scope="module")
def proxy(house: House) -> Iterator[BrokerProxy]:
    """The service's way to the broker."""
    with broker_proxy(house.environ["AMQP_URI"]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def served(
    house: House, proxy: BrokerProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fragile]:
    with serving(house, tmp_path_factory.mktemp("fragile") / "log", uri=proxy.uri) as fragile:
        yield fragile


@pytest.fixture
def fragile(house: House, served: Fragile) -> Iterator[Fragile]:
    house.dead_letters()
    yield served
    assert "marker" not in served.log.read_text()
    with house.broker.channel() as channel:
        channel.queue_purge(QUEUE)


def letter_about(house: House, number: str) -> Message:
    """The one that there is, once it is there; it is gone then."""
    found: list[Message] = []
    wait_for(lambda: found.extend(house.dead_letters()) or found)
    (letter,) = found
    assert letter.properties["message_id"] == number
    return letter


def operated(house: House, *arguments: str) -> tuple[int, str]:
    """The exit code and what the command said."""
    ended = subprocess.run(
        clinic("dead-letters", *arguments),
        env=house.environ, capture_output=True, text=True, timeout=120,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_a_handler_that_fails_and_then_works_is_given_the_event_again_and_acts_once(
    fragile: Fragile
) -> None:
    begun = time.monotonic()
    number = fragile.tell(fails=TRIES - 1)
    wait_for(lambda: fragile.done(number))
    assert time.monotonic() - begun >= sum(map(int, RETRY_SECONDS.split(",")))
    assert (fragile.tries(number), fragile.done(number)) == (TRIES, 1)
    assert fragile.house.waiting(QUEUE) == 0 and fragile.house.dead_letters() == []


def test_one_that_always_fails_becomes_a_dead_letter_and_keeps_nobody_waiting(
    fragile: Fragile
) -> None:
    # More than it works on at once.
    failing = [fragile.tell(fails=-1) for _ in range(30)]
    other = fragile.tell()
    wait_for(lambda: fragile.done(other))
    said = fragile.all_said()
    before = said[:said.index({"id": other, "done": True})]
    # Before the first of them was even tried for the last time.
    assert not [told for told in before if told["id"] in failing and told.get("try") == TRIES]
    wait_for(lambda: fragile.house.waiting("dead-letters") == len(failing))
    assert {fragile.tries(number) for number in failing} == {TRIES}
    letters = fragile.house.dead_letters()
    assert {letter.properties["message_id"] for letter in letters} == {*failing}
    for letter in letters:
        headers = letter.headers
        assert headers["x-reason"] == "failed" and headers["x-error"] == "ValueError"
        assert headers["x-attempts"] == TRIES and headers["x-queue"] == QUEUE
        assert letter.payload["data"] == {"fails": -1}
        assert "marker" not in str(headers)


def test_what_the_handler_refuses_is_a_dead_letter_at_once(fragile: Fragile) -> None:
    number = fragile.tell(refused=True)
    letter = letter_about(fragile.house, number)
    assert letter.headers["x-reason"] == "refused" and letter.headers["x-error"] == "Refused"
    assert fragile.tries(number) == letter.headers["x-attempts"] == 1


@pytest.mark.parametrize("told", [99, -1, "marker", True, None, 2**40, [1], {"a": "marker"}])
def test_a_forged_number_of_attempts_counts_as_none(
    fragile: Fragile, told: object
) -> None:
    number = str(uuid.uuid4())
    fragile.house.publish(
        happened(number, {"fails": 1}), source="tests", event="happened",
        headers={"x-attempt": told, "x-letter": told}, message_id=number,
    )
    wait_for(lambda: fragile.done(number))
    assert fragile.tries(number) == 2


def test_a_broker_that_is_lost_while_an_event_is_put_off_gives_it_again(
    house: House, fragile: Fragile, proxy: BrokerProxy
) -> None:
    number = fragile.tell(fails=1)
    wait_for(lambda: fragile.tries(number) == 1)
    proxy.cut()
    wait_for(lambda: house.waiting(QUEUE) + house.waiting("delay-1s") == 1)
    proxy.restore()
    wait_for(lambda: fragile.done(number))
    wait_for(lambda: house.waiting(QUEUE) == 0)


# What the operator does


def lines_of(text: str) -> list[str]:
    return text.strip().splitlines()


def test_looking_at_dead_letters_leaves_them_as_they_are_and_in_order(fragile: Fragile) -> None:
    house = fragile.house
    numbers = []
    for count in range(3):
        numbers.append(fragile.tell(refused=True))
        wait_for(lambda count=count: house.waiting("dead-letters") == count + 1)
    listed = [house.operate("list") for _ in range(2)]
    assert listed[0] == listed[1] and len(lines_of(listed[0])) == 3
    assert all(QUEUE in line and "refused after 1 try: Refused" in line
               for line in lines_of(listed[0]))
    first = lines_of(listed[0])[0].split()[0]
    shown = house.operate("show", first)
    assert json.loads(shown.partition("\n")[2])["id"] == numbers[0]
    cut_short = lines_of(house.operate("list", "--limit", "1"))
    assert cut_short == [lines_of(listed[0])[0], "... and 2 more; --limit shows more of them."]
    assert lines_of(house.operate("drop", first)) == [f"{first}: dropped"]
    assert lines_of(house.operate("list")) == lines_of(listed[0])[1:]
    assert len(lines_of(house.operate("drop", "--all"))) == 2
    assert house.operate("list") == "There are no dead letters.\n"


def test_a_dead_letter_that_is_sent_again_is_handled_as_if_for_the_first_time(
    fragile: Fragile
) -> None:
    house = fragile.house
    number = fragile.tell(fails=TRIES)
    wait_for(lambda: house.waiting("dead-letters") == 1)
    (line,) = lines_of(house.operate("list"))
    letter = line.split()[0]
    assert f"failed after {TRIES} tries: ValueError" in line
    said = house.operate("replay", letter)
    assert said == f"{letter}: handled again in 1 s, by {QUEUE}\n"
    wait_for(lambda: fragile.done(number))
    assert (fragile.tries(number), fragile.done(number)) == (TRIES + 1, 1)
    assert house.dead_letters() == []


def test_a_dead_letter_that_fails_again_keeps_its_id(fragile: Fragile) -> None:
    house = fragile.house
    fragile.tell(refused=True)
    wait_for(lambda: house.waiting("dead-letters") == 1)
    before = lines_of(house.operate("list"))[0].split()[0]
    assert len(lines_of(house.operate("replay", "--all"))) == 1
    wait_for(lambda: house.waiting("dead-letters") == 1)
    assert lines_of(house.operate("list"))[0].split()[0] == before


def test_what_was_a_call_is_not_sent_again_and_shows_no_content(house: House) -> None:
    house.dead_letters()
    config = {"AMQP_URI": house.environ["AMQP_URI"]}
    told = json.dumps({"reason": "too large", "bytes": 9, "sha256": "f" * 64})
    headers = {"x-reason": "too large", "x-died-at": "2027-01-01T00:00:00+00:00"}
    for queue in ("rpc-patient", QUEUE):
        bury(config, told, queue=queue, headers=headers, content_type="application/json")
    code, said = operated(house, "replay", "--all")
    assert code == 1 and said.count("is not kept") == 2
    (letter, other) = (line.split()[0] for line in lines_of(house.operate("list")))
    assert "rpc-patient  too large\n" in house.operate("show", letter)
    assert len(house.dead_letters()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "nothing"], "There is no dead letter nothing: `clinic dead-letters list`"),
        (["replay", "nothing"], "There is no dead letter nothing"),
        (["drop"], "Name one letter by its id, or say --all."),
        (["replay", "one", "--all"], "Name one letter by its id, or say --all."),
    ],
)
def test_a_letter_that_is_not_there_or_not_named_is_told(
    house: House, arguments: list[str], said: str
) -> None:
    code, told = operated(house, *arguments)
    assert code != 0 and said in told


def test_a_letter_whose_queue_is_gone_stays_and_that_is_told(house: House) -> None:
    house.dead_letters()
    config = {"AMQP_URI": house.environ["AMQP_URI"]}
    headers = {"x-reason": "failed", "x-died-at": "2027-01-01T00:00:00+00:00", "x-letter": "one"}
    bury(config, "{}", queue="evt-gone", headers=headers, content_type="application/json")
    code, told = operated(house, "replay", "one")
    assert code == 1 and "one was for evt-gone, which is not there any more" in told
    assert len(house.dead_letters()) == 1


def test_letters_that_have_no_way_back_all_stay_and_that_is_told(house: House) -> None:
    house.dead_letters()
    config = {"AMQP_URI": house.environ["AMQP_URI"]}
    queue = "evt-patient-erased--gateway_background.patient_erased"
    for name in ("one", "two", "three"):
        headers = {"x-reason": "failed", "x-died-at": "2027-01-01T00:00:00+00:00", "x-letter": name}
        bury(config, "{}", queue=queue, headers=headers, content_type="application/json")
    with house.broker.channel() as channel:
        channel.queue_unbind("delay-1s", "delay-1s", routing_key="#")
        code, told = operated(house, "replay", "--all")
        channel.queue_bind("delay-1s", "delay-1s", routing_key="#")
    assert code == 1 and told.count("has no way back") == 3 and "clinic topology" in told
    assert len(house.dead_letters()) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AMQP_URI": ""}, "AMQP_URI must be set"),
        ({"AMQP_URI": "amqp://clinic:long-enough-to-pass@127.0.0.1:1//"}, "does not answer"),
        ({"EVENT_RETRY_SECONDS": "7"}, "the programs' EVENT_RETRY_SECONDS"),
    ],
)
def test_what_is_in_the_way_is_told_with_what_to_do(
    house: House, change: dict[str, str], said: str
) -> None:
    house.dead_letters()
    config = {"AMQP_URI": house.environ["AMQP_URI"]}
    headers = {"x-reason": "failed", "x-died-at": "2027-01-01T00:00:00+00:00"}
    queue = "evt-patient-erased--gateway_background.patient_erased"
    bury(config, "{}", queue=queue, headers=headers, content_type="application/json")
    ended = subprocess.run(
        clinic("dead-letters", "replay", "--all"),
        env=house.environ | {"DATA_DIR": "/nowhere"} | change,
        capture_output=True, text=True, timeout=120,
    )
    assert ended.returncode == 1 and said in ended.stderr
    assert re.search(r"Traceback|long-enough", ended.stderr) is None
    assert len(house.dead_letters()) == 1
