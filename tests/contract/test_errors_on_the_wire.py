"""Each error class arrives as itself, through the real broker."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from nameko.exceptions import IncorrectSignature, MethodNotFound, RemoteError, get_module_path
from nameko.standalone.rpc import ServiceRpcProxy

from config.messaging.call import DeadlineExceeded, headers_of, new_context
from config.messaging.client import Answer, Request
from config.messaging.pool import Pool
from schemas import errors


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
    with ServiceRpcProxy("raising", {"AMQP_URI": raising_service}, timeout=5) as raising:
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
    assert time.monotonic() - began < 4, "it waited for the deadline instead of the broker's word"


def test_a_call_never_waits_past_its_deadline_and_the_next_one_is_not_disturbed(
    ask: Callable[..., Answer]
) -> None:
    began = time.monotonic()
    with pytest.raises(errors.Unavailable):
        ask("sleep", 2.0, seconds=0.5)
    assert time.monotonic() - began < 1.5
    assert ask("echo", "next").result() == "next"


def test_expired_work_is_refused_before_it_runs(pool: Pool) -> None:
    late = new_context(correlation="c", seconds=-1, key="k")
    request = Request("raising", "echo", (1,))
    (answer,) = pool.ask(request, headers=headers_of(late), deadline=time.time() + 5)
    with pytest.raises(DeadlineExceeded):
        answer.result()


def test_two_calls_side_by_side_take_as_long_as_the_slower_one(pool: Pool) -> None:
    began = time.monotonic()
    context = new_context(correlation="c", seconds=5, key="k")
    calls = [Request("raising", "sleep", (0.8,)), Request("raising", "sleep", (0.8,))]
    answers = pool.ask(*calls, headers=headers_of(context), deadline=time.time() + 5)
    assert [answer.result() for answer in answers] == ["woke up", "woke up"]
    assert time.monotonic() - began < 1.5


def test_after_five_silent_calls_the_sixth_is_refused_without_waiting(
    ask: Callable[..., Answer]
) -> None:
    for _ in range(5):
        with pytest.raises(errors.Unavailable):
            ask("sleep", 1.0, seconds=0.2)

    def seconds_of_the_next() -> float:
        began = time.monotonic()
        with pytest.raises(errors.Unavailable):
            ask("sleep", 1.0, seconds=3.0)
        return time.monotonic() - began

    # Who waits does so every time; another program's load does not come every time.
    assert min(seconds_of_the_next() for _ in range(3)) < 0.15


def test_business_errors_never_open_the_breaker(ask: Callable[..., Answer]) -> None:
    path = get_module_path(errors.SlotTaken)
    for _ in range(8):
        with pytest.raises(errors.SlotTaken):
            ask("refuse", path, []).result()
    assert ask("echo", "still closed").result() == "still closed"


def test_the_key_of_a_call_reaches_the_service(ask: Callable[..., Answer]) -> None:
    assert ask("key", key="the-key").result() == "the-key"


def test_a_call_of_a_stock_client_has_a_key_of_its_own(raising_service: str) -> None:
    with ServiceRpcProxy("raising", {"AMQP_URI": raising_service}, timeout=5) as raising:
        keys = {raising.key(), raising.key()}
    assert len(keys) == 2 and None not in keys


@pytest.mark.parametrize("value", [None, True, 2**63 - 1, "naïve 🙂", [1, [2]], {"a": {"b": None}}])
def test_plain_json_values_arrive_unchanged(value: Any, ask: Callable[..., Answer]) -> None:
    assert ask("echo", value).result() == value


def test_one_silent_peer_does_not_shut_out_the_one_asked_beside_it(pool: Pool) -> None:
    context = new_context(correlation="c", seconds=5, key="k")
    both = [Request("raising", "echo", (1,)), Request("nobody", "get", (1,))]
    for _ in range(8):
        with pytest.raises(errors.Unavailable, match="nobody"):
            pool.ask(*both, headers=headers_of(context), deadline=time.time() + 5)
    (answer,) = pool.ask(both[0], headers=headers_of(context), deadline=time.time() + 5)
    assert answer.result() == 1
