"""A caller's name counts only when it was signed for the very call that carries it."""

import json

import pytest
import time_machine
from itsdangerous import URLSafeTimedSerializer

from config.keys import KeyRing, parse_ring
from config.messaging.caller import (
    LONGEST_CALL,
    NOBODY,
    OPERATOR,
    PURPOSE,
    SYSTEM,
    Caller,
    ForgedCaller,
    signed,
    verified,
)
from config.signing import CLOCKS_DIFFER, signing_keys

NEW = "2:hTq0bVx4ZkR7mWc9JfNs2LgYpD5aEu8i"
OLD = "1:Zp3rKd8sWq1vXn6yBt4mHc9gLf2jUa7e"
RING = parse_ring(OLD)
ADA = Caller("patient", 7, 41)


def signed_as_is(content):
    """``content`` with a good signature, as another version may have made it."""
    return URLSafeTimedSerializer(signing_keys(RING, PURPOSE), salt=PURPOSE).dumps(content)


@pytest.mark.parametrize("caller", [ADA, NOBODY, SYSTEM, OPERATOR, Caller("admin", 1)])
def test_a_signed_caller_is_read_back(caller):
    text = signed(caller, correlation="abc", key="k", ring=RING)
    assert verified(text, correlation="abc", key="k", ring=RING) == caller


@pytest.mark.parametrize("other", ["abd", "", "ABC", "abc "])
def test_a_signature_for_one_call_is_no_good_for_another(other):
    text = signed(ADA, correlation="abc", key="k", ring=RING)
    with pytest.raises(ForgedCaller):
        verified(text, correlation=other, key="k", ring=RING)


def test_a_signature_is_no_good_once_every_call_it_could_belong_to_is_over():
    with time_machine.travel(0, tick=False) as clock:
        text = signed(ADA, correlation="abc", key="k", ring=RING)
        clock.shift(LONGEST_CALL)
        assert verified(text, correlation="abc", key="k", ring=RING) == ADA
        clock.shift(1)
        with pytest.raises(ForgedCaller):
            verified(text, correlation="abc", key="k", ring=RING)


@pytest.mark.parametrize("place", [0, 5, -2])
def test_a_signed_caller_that_was_changed_is_forged(place):
    text = signed(ADA, correlation="abc", key="k", ring=RING)
    changed = list(text)
    changed[place] = "A" if changed[place] != "A" else "B"
    with pytest.raises(ForgedCaller):
        verified("".join(changed), correlation="abc", key="k", ring=RING)


def test_another_name_under_an_old_signature_is_forged():
    content, _, signature = signed(ADA, correlation="abc", key="k", ring=RING).rpartition(".")
    admin = signed(Caller("admin", 1), correlation="abc", key="k", ring=RING).rpartition(".")[0]
    assert content != admin
    with pytest.raises(ForgedCaller):
        verified(f"{admin}.{signature}", correlation="abc", key="k", ring=RING)


def test_a_retired_key_still_verifies_and_a_removed_one_does_not():
    text = signed(ADA, correlation="abc", key="k", ring=RING)
    assert verified(text, correlation="abc", key="k", ring=parse_ring(f"{NEW},{OLD}")) == ADA
    with pytest.raises(ForgedCaller):
        verified(text, correlation="abc", key="k", ring=parse_ring(NEW))


def test_an_empty_ring_verifies_nothing():
    text = signed(ADA, correlation="abc", key="k", ring=RING)
    with pytest.raises(ForgedCaller):
        verified(text, correlation="abc", key="k", ring=KeyRing())


def test_a_token_is_no_caller():
    tokens = URLSafeTimedSerializer(signing_keys(RING, "access"), salt="access")
    with pytest.raises(ForgedCaller):
        verified(tokens.dumps(["admin", 1, 1, "a"]), correlation="a", key="k", ring=RING)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        ".",
        "a.b",
        "admin",
        7,
        float("nan"),
        True,
        [],
        ["admin", 1, 1, "abc"],
        {"role": "admin"},
        b"admin",
        "\0",
        "\ud800",
        "Ünsigned.Übel",
        "x" * 1_000_000,
        "." * 100_000,
        json.dumps(["admin", 1, 1, "abc"]),
    ],
    ids=lambda text: f"{type(text).__name__} {str(text)[:10]!a}",
)
def test_what_nobody_signed_is_forged_whatever_it_is(text):
    with pytest.raises(ForgedCaller):
        verified(text, correlation="abc", key="k", ring=RING)


@pytest.mark.parametrize("content", [None, 1, [], ["abc"], ["a", 1, 2, 3, "abc"], {}, "abc"])
def test_what_another_version_signed_is_refused_not_misread(content):
    with pytest.raises(ForgedCaller):
        verified(signed_as_is(content), correlation="abc", key="k", ring=RING)


def test_a_caller_with_an_account_is_the_same_one_in_every_role():
    assert Caller("staff", 7).identity == Caller("admin", 7).identity == "account/7"
    assert Caller("staff", 7).identity != Caller("staff", 8).identity


def test_callers_without_an_account_go_by_their_role():
    assert len({NOBODY.identity, OPERATOR.identity, SYSTEM.identity, "account/1"}) == 4


def test_a_forged_caller_is_not_quoted():
    with pytest.raises(ForgedCaller) as forged:
        verified("Ada Byron.x", correlation="abc", key="k", ring=RING)
    assert str(forged.value) == ""


def test_a_signature_is_no_good_for_another_idempotency_key():
    text = signed(ADA, correlation="abc", key="k", ring=RING)
    with pytest.raises(ForgedCaller):
        verified(text, correlation="abc", key="l", ring=RING)


def test_a_clock_that_is_a_little_behind_refuses_nobody():
    with time_machine.travel(100.02, tick=False) as clock:
        text = signed(ADA, correlation="abc", key="k", ring=RING)
        clock.shift(-CLOCKS_DIFFER)
        assert verified(text, correlation="abc", key="k", ring=RING) == ADA
        clock.shift(-1)
        with pytest.raises(ForgedCaller):
            verified(text, correlation="abc", key="k", ring=RING)
