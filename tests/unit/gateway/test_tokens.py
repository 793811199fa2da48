"""Tokens: of one purpose, of an age, of keys that are still held, and untouched."""

from datetime import timedelta

import pytest
import time_machine

from config.keys import KeyRing
from config.signing import Signer
from gateway.tokens import LONGEST, Claims, Tokens
from schemas.errors import Unauthenticated

OLD, NEW, OTHER = (
    (name, f"{name}-hTq0bVx4ZkR7mWc9JfNs2LgYpD5aEu8i") for name in ("2026", "2027", "2028")
)
SESSION = "0123456789abcdef0123456789abcdef"
ACCOUNT = 41
QUESTIONS = {"access": "claims_of_access", "refresh": "session_of_refresh"}


def tokens(*secrets):
    ring = KeyRing(secrets or (NEW,))
    return Tokens(ring, access=timedelta(minutes=15), refresh=timedelta(days=14))


def refused(question, token):
    with pytest.raises(Unauthenticated):
        question(token)
    return True


def test_a_pair_leads_back_to_its_session():
    pair = tokens().issue(SESSION, account_id=ACCOUNT, refreshes=3)
    assert tokens().claims_of_access(pair.access) == Claims(SESSION, ACCOUNT)
    assert tokens().session_of_refresh(pair.refresh) == (SESSION, 3)
    assert pair.expires_in == 900


def test_a_token_of_one_purpose_is_none_of_the_other():
    pair = tokens().issue(SESSION, account_id=ACCOUNT, refreshes=0)
    assert refused(tokens().claims_of_access, pair.refresh)
    assert refused(tokens().session_of_refresh, pair.access)


def test_there_is_nothing_in_a_token_but_ids():
    pair = tokens().issue(SESSION, account_id=ACCOUNT, refreshes=0)
    assert max(len(pair.access), len(pair.refresh)) < 128


@pytest.mark.parametrize("purpose", ["access", "refresh"])
def test_a_token_with_any_character_changed_is_not_good(purpose):
    ours = tokens()
    token = getattr(ours.issue(SESSION, account_id=ACCOUNT, refreshes=0), purpose)
    question = getattr(ours, QUESTIONS[purpose])
    # The last character of each part holds bits that are not read.
    read = [at for at in range(len(token) - 1) if token[at] != "." and token[at + 1] != "."]
    for at in read:
        characters = [*token]
        characters[at] = "A" if token[at] != "A" else "B"
        assert refused(question, "".join(characters))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "...", "a", "a.b.c", "ä.ö.ü", "\x00", " ", "=" * 40, SESSION, "-1"]
)
def test_what_is_no_token_is_not_good(token):
    assert refused(tokens().claims_of_access, token)
    assert refused(tokens().session_of_refresh, token)


def test_parts_of_two_tokens_make_no_third():
    first, second = (
        tokens().issue(name, account_id=ACCOUNT, refreshes=0).access.rsplit(".", 2)
        for name in (SESSION, SESSION[::-1])
    )
    assert refused(tokens().claims_of_access, ".".join((first[0], *second[1:])))


def test_an_overlong_token_is_not_looked_at():
    assert refused(tokens().claims_of_access, "a" * (LONGEST + 1))
    assert refused(tokens().session_of_refresh, "a" * 10**6)


@pytest.mark.parametrize(
    ("purpose", "seconds"), [("access", 15 * 60), ("refresh", 14 * 24 * 3600)]
)
def test_a_token_lives_as_long_as_it_should(purpose, seconds):
    question = getattr(tokens(), QUESTIONS[purpose])
    with time_machine.travel("2027-03-01T09:00:00Z", tick=False) as clock:
        token = getattr(tokens().issue(SESSION, account_id=ACCOUNT, refreshes=0), purpose)
        clock.shift(seconds)
        assert question(token)
        clock.shift(1)
        assert refused(question, token)


def test_a_token_from_the_future_is_not_good():
    with time_machine.travel("2027-03-01T09:00:00Z", tick=False) as clock:
        token = tokens().issue(SESSION, account_id=ACCOUNT, refreshes=0).access
        clock.shift(-60)
        assert refused(tokens().claims_of_access, token)


def test_a_token_of_a_retired_key_is_good_until_the_key_is_removed():
    token = tokens(OLD).issue(SESSION, account_id=ACCOUNT, refreshes=0).access
    assert tokens(NEW, OLD).claims_of_access(token) == Claims(SESSION, ACCOUNT)
    assert refused(tokens(NEW).claims_of_access, token)


def test_the_newest_key_signs():
    token = tokens(NEW, OLD).issue(SESSION, account_id=ACCOUNT, refreshes=0).access
    assert tokens(NEW).claims_of_access(token) == Claims(SESSION, ACCOUNT)
    assert refused(tokens(OLD).claims_of_access, token)


def test_another_gateways_token_is_not_good():
    theirs = tokens(OTHER).issue(SESSION, account_id=ACCOUNT, refreshes=0).access
    assert refused(tokens().claims_of_access, theirs)


def test_what_was_signed_for_an_older_version_is_not_good():
    for signed in (SESSION, [SESSION], [SESSION, "no number"], {"session": SESSION}):
        older = Signer(KeyRing((OLD,)), "token/access").sign(signed)
        assert refused(tokens(OLD).claims_of_access, older)
