"""Each error class arrives as itself, through the real broker."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nameko.exceptions import IncorrectSignature, MethodNotFound, RemoteError, get_module_path
from nameko.standalone.rpc import ServiceRpcProxy

from config.breaker import FAILURES, Breakers
from config.messaging.call import DeadlineExceeded, headers_of, new_context
from config.messaging.client import Answer, Request
from config.messaging.pool import Pool
from schemas import errors
from tests.waiting import PATIENCE, wait_for

# Well before a deadline that is as far away as PATIENCE.
SOON = PATIENCE / 2


def family(root: type[Exception]) -> Iterator[type[Exception]]:
    for kind in root.__subclasses__():
        yield kind
        yield from family(kind)


NINE, TEN = "2027-03-01T09:00:00Z", "2027-03-01T10:00:00Z"
REFUSED = [
    {"rule": "off_grid", "passed": "False", "minutes": "20"},
    [{"start": NINE, "end": TEN, "doctorId": "9"}],
]
DETAILS: dict[type[Exception], list[Any]] = {
    errors.InvalidInput: [{"email": "Not a valid e-mail address.", "weekly.0.start": "Overlaps."}],
    errors.MoveNotAllowed: ["booked", ["arrived", "cancelled"]],
    **dict.fromkeys([errors.NotBookable, *family(errors.NotBookable)], REFUSED),
}
CLASSES = sorted(set(family(errors.SchedulingError)), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", [*CLASSES, DeadlineExceeded], ids=lambda kind: kind.__name__)
def test_each_error_class_crosses_the_wire_as_itself(
    kind: type[Exception], ask: Callable[..., Answer]
) -> None:
    args = DETAILS.get(kind, [] if kind is DeadlineExceeded else ["17"])
    answer = ask("refuse", get_module_path(kind), args)
    with pytest.raises(kind) as raised:
        answer.result()
    assert type(raised.value) is kind
    assert list(raised.value.args) == args
    assert str(raised.value) == str(kind(*args))
    assert getattr(raised.value, "members", None) == getattr(kind(*args), "members", None)


def test_a_stock_nameko_client_gets_the_same_error(raising_service: str) -> None:
    path = get_module_path(errors.PatientNotFound)
    with ServiceRpcProxy("raising", {"AMQP_URI": raising_service}, timeout=PATIENCE) as raising:
        with pytest.raises(errors.PatientNotFound, match="There is no patient 9."):
            raising.refuse(path, ["9"])


def test_an_unexpected_error_arrives_as_a_remote_error(ask: Callable[..., Answer]) -> None:
    with pytest.raises(RemoteError):
        ask("fail").result()


def test_a_method_that_is_not_there_is_named(ask: Callable[..., Answer]) -> None:
    with pytest.raises(MethodNotFound, match="vanish"):
        ask("vanish").result()


def test_wrong_arguments_are_refused_without_running_the_method(ask: Callable[..., Answer]) -> None:
    with pytest.raises(IncorrectSignature):
        ask("echo", 1, 2, 3).result()


def test_a_service_that_nobody_runs_is_unavailable_at_once(ask: Callable[..., Answer]) -> None:
    began = time.monotonic()
    with pytest.raises(errors.Unavailable, match="nobody"):
        ask("get", 1, service="nobody")
    assert time.monotonic() - began < SOON, "it waited for the deadline, not for the broker"


def test_a_call_never_waits_past_its_deadline_and_the_next_one_is_not_disturbed(
    ask: Callable[..., Answer]
) -> None:
    began = time.monotonic()
    with pytest.raises(errors.Unavailable):
        ask("hold", "one", seconds=0.5)
    # It would not be answered at all.
    assert time.monotonic() - began < SOON
    assert ask("echo", "next").result() == "next"
    ask("let_go", "one")


def test_expired_work_is_refused_before_it_runs(pool: Pool) -> None:
    late = new_context(correlation="c", seconds=-1, key="k")
    request = Request("raising", "echo", (1,))
    (answer,) = pool.ask(request, headers=headers_of(late), deadline=time.time() + PATIENCE)
    with pytest.raises(DeadlineExceeded):
        answer.result()


def test_two_calls_side_by_side_are_worked_on_at_the_same_time(
    pool: Pool, ask: Callable[..., Answer], raising_log: Path
) -> None:
    context = new_context(correlation="c", seconds=PATIENCE, key="k")
    calls = [Request("raising", "hold", (what,)) for what in ("left", "right")]
    both = {"holding left", "holding right"}
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(
            pool.ask, *calls, headers=headers_of(context), deadline=time.time() + PATIENCE
        )
        wait_for(lambda: both <= {*raising_log.read_text().splitlines()})
        for what in ("left", "right"):
            ask("let_go", what)
        assert [answer.result() for answer in asked.result()] == ["let go", "let go"]


def test_after_five_silent_calls_the_next_is_refused_without_waiting(
    pool: Pool, ask: Callable[..., Answer]
) -> None:
    # None comes to be tried again meanwhile.
    pool.breakers = Breakers(clock=lambda: 0.0)
    asked = 0
    # One that had to wait for the processor itself says nothing about the service.
    while "raising.hold" not in pool.breakers.states():
        asked += 1
        with pytest.raises(errors.Unavailable):
            ask("hold", "silent", seconds=0.3)
    assert FAILURES <= asked < 3 * FAILURES
    began = time.monotonic()
    with pytest.raises(errors.Unavailable):
        ask("hold", "silent")
    assert time.monotonic() - began < SOON
    ask("let_go", "silent")


def test_business_errors_never_open_the_breaker(ask: Callable[..., Answer]) -> None:
    path = get_module_path(errors.SlotTaken)
    for _ in range(8):
        with pytest.raises(errors.SlotTaken):
            ask("refuse", path, []).result()
    assert ask("echo", "still closed").result() == "still closed"


def test_the_key_of_a_call_reaches_the_service(ask: Callable[..., Answer]) -> None:
    assert ask("key", key="the-key").result() == "the-key"


def test_a_call_of_a_stock_client_has_a_key_of_its_own(raising_service: str) -> None:
    with ServiceRpcProxy("raising", {"AMQP_URI": raising_service}, timeout=PATIENCE) as raising:
        keys = {raising.key(), raising.key()}
    assert len(keys) == 2 and None not in keys


@pytest.mark.parametrize("value", [None, True, 2**63 - 1, "naïve 🙂", [1, [2]], {"a": {"b": None}}])
def test_plain_json_values_arrive_unchanged(value: Any, ask: Callable[..., Answer]) -> None:
    assert ask("echo", value).result() == value


def test_one_silent_peer_does_not_shut_out_the_one_asked_beside_it(pool: Pool) -> None:
    context = new_context(correlation="c", seconds=PATIENCE, key="k")
    both = [Request("raising", "echo", (1,)), Request("nobody", "get", (1,))]
    for _ in range(8):
        with pytest.raises(errors.Unavailable, match="nobody"):
            pool.ask(*both, headers=headers_of(context), deadline=time.time() + PATIENCE)
    (answer,) = pool.ask(both[0], headers=headers_of(context), deadline=time.time() + PATIENCE)
    assert answer.result() == 1
