"""Who a service says it is when it asks another one."""

from types import SimpleNamespace

import pytest

from config.messaging.call import CHECKED_CALLER, new_context, receive
from config.messaging.caller import NOBODY, OPERATOR, SYSTEM, Caller, signed
from config.messaging.client import Request
from config.messaging.peers import Peers
from tests.vaults import ring


class FakePool:
    """Keeps the headers of the last request."""

    def ask(self, *requests, headers, deadline):
        self.headers = headers
        return []


def seen_as(context):
    """The caller that the other service finds in what the service of this worker asks."""
    peers, keys = Peers(unavailable=ValueError), ring("a")
    peers.container = SimpleNamespace(config={"CALLER_KEYS": keys, "CALL_SECONDS": 5})
    peers.pool, peers.seconds = FakePool(), 5
    worker = SimpleNamespace(data=context, container=peers.container)
    peers.get_dependency(worker)(Request("doctor", "availability", (1,)))
    sent = {name.removeprefix("nameko."): each for name, each in peers.pool.headers.items()}
    return receive(sent, seconds=5, ring=keys, message_id=None)[CHECKED_CALLER]


@pytest.mark.parametrize("caller", [NOBODY, Caller("patient", 7, 41)])
def test_what_is_done_for_somebody_is_asked_in_their_name(caller):
    by = signed(caller, correlation="abc", key="key", ring=ring("a"))
    context = new_context(correlation="abc", seconds=5, key="key", caller=by)
    assert seen_as(context | {CHECKED_CALLER: caller}) == caller


def test_what_an_operator_called_for_stays_an_operators():
    context = new_context(correlation="abc", seconds=5, key="key")
    assert seen_as(context | {CHECKED_CALLER: OPERATOR}) == OPERATOR


def test_what_a_service_does_unasked_is_the_systems_and_no_operators():
    assert seen_as({}) == SYSTEM
