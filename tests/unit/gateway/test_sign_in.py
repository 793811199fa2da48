"""Signing in, staying signed in, and how it ends."""

from dataclasses import replace

import pytest
import time_machine

from config.clock import utc_now
from gateway import sign_in
from gateway.accounts import Accounts, Sessions
from gateway.administration import change
from gateway.models import FamiliarAddress
from gateway.throttle import STRANGERS, AttemptLimits
from schemas.accounts import ADMIN, PATIENT, STAFF
from schemas.errors import BadCredentials, InvalidInput, TooManyAttempts, Unauthenticated
from tests.unit.gateway.fakes import new_account, visit_to

EMAIL, PASSWORD, OTHER = "Ada@example.org", "quiet heron 31", "jumpy otter 58"


@pytest.fixture
def ada(office):
    hashed = office.passwords.hash(PASSWORD, seconds=10)
    return new_account(office, PATIENT, subject=7, email=EMAIL, password_hash=hashed)


def enter(office, email=EMAIL, password=PASSWORD, **visit):
    return sign_in.sign_in(visit_to(office, **visit), email=email, password=password)


def refresh(office, token, *, key=None):
    return sign_in.refresh(visit_to(office, key=key), token=token)


def alive(office, pair):
    try:
        return visit_to(office, token=pair["accessToken"]).signed_in is not None
    except Unauthenticated:
        return False


def administer(office, account_id, **changes):
    return change(visit_to(office), account_id, changes, now=utc_now())


# In


def test_who_signs_in_gets_tokens_and_is_told_who_they_are(office, ada):
    answer = enter(office)
    assert set(answer) == {
        "accessToken", "refreshToken", "tokenType", "expiresIn", "role", "subjectId"
    }
    assert (answer["tokenType"], answer["expiresIn"]) == ("Bearer", 900)
    assert (answer["role"], answer["subjectId"]) == (PATIENT, 7)
    signed_in = visit_to(office, token=answer["accessToken"]).signed_in
    assert (signed_in.account_id, signed_in.role, signed_in.subject_id) == (ada, PATIENT, 7)


@pytest.mark.parametrize("email", ["ada@example.org", "ADA@EXAMPLE.ORG"])
def test_the_case_of_an_address_does_not_matter(office, ada, email):
    assert alive(office, enter(office, email=email))


def refusal(office, **sent):
    with pytest.raises(BadCredentials) as refused:
        enter(office, **sent)
    return type(refused.value), str(refused.value), refused.value.args


def test_nobody_is_told_which_of_the_two_is_wrong(office, ada):
    wrong_password = refusal(office, password=OTHER)
    unknown = refusal(office, email="nobody@example.org")
    administer(office, ada, disabled=True)
    assert wrong_password == unknown == refusal(office) == refusal(office, password=OTHER)


def test_whoever_asks_a_hash_is_verified(office, ada, monkeypatch):
    verified = []

    def off_loop(work, *args):
        verified.append(work.__name__)
        return work(*args)

    monkeypatch.setattr("gateway.passwords.off_loop", off_loop)
    refusal(office, password=OTHER)
    refusal(office, email="nobody@example.org")
    administer(office, ada, disabled=True)
    refusal(office)
    assert verified == ["_verify"] * 3


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.org"])
def test_strangers_are_stopped_whether_anybody_has_the_account(office, ada, email):
    strict = replace(office, limits=AttemptLimits(None, per_minute=1))
    for number in range(STRANGERS):
        refusal(strict, email=email, password=OTHER, address=f"10.0.1.{number}")
    with pytest.raises(TooManyAttempts) as refused:
        enter(strict, email=email, address="10.0.2.1")
    assert refused.value.seconds >= 1


def test_strangers_at_an_account_do_not_lock_its_owner_out(office, ada):
    enter(office, address="10.0.0.9")
    for _ in range(20 * STRANGERS - 1):
        office.limits.sign_in(
            account=office.vault.index("sign-in", EMAIL.lower()), familiar=False
        )
    with pytest.raises(TooManyAttempts):
        enter(office, address="10.0.0.10")
    assert alive(office, enter(office, address="10.0.0.9"))


def test_an_address_becomes_familiar_only_by_success_and_is_kept_hashed(office, ada):
    refusal(office, password=OTHER, address="10.0.0.8")
    enter(office, address="10.0.0.9")
    enter(office, address="10.0.0.9")
    (row,) = visit_to(office).run(lambda transaction: transaction.query(FamiliarAddress).all())
    assert row.account_id == ada
    assert row.address_key == visit_to(office, address="10.0.0.9").address
    assert "10.0" not in row.address_key


# On


def test_a_refresh_gives_the_next_pair_of_the_same_session(office, ada):
    first = enter(office)
    second = refresh(office, first["refreshToken"])
    third = refresh(office, second["refreshToken"])
    assert len({pair["refreshToken"] for pair in (first, second, third)}) == 3
    assert all(alive(office, pair) for pair in (first, second, third))
    assert third["subjectId"] == 7


def test_a_refresh_token_used_twice_ends_the_session_for_both(office, ada):
    first = enter(office)
    second = refresh(office, first["refreshToken"])
    with pytest.raises(Unauthenticated):
        refresh(office, first["refreshToken"])
    assert not alive(office, first) and not alive(office, second)
    with pytest.raises(Unauthenticated):
        refresh(office, second["refreshToken"])


def test_a_refresh_whose_answer_was_lost_is_asked_for_again_with_its_key(office, ada):
    first = enter(office)
    lost = refresh(office, first["refreshToken"], key="k")
    again = refresh(office, first["refreshToken"], key="k")
    assert alive(office, lost) and alive(office, again)
    assert alive(office, refresh(office, again["refreshToken"]))


@pytest.mark.parametrize("key", [None, "another"])
def test_whoever_does_not_know_the_key_uses_the_token_a_second_time(office, ada, key):
    first = enter(office)
    refresh(office, first["refreshToken"], key="k")
    with pytest.raises(Unauthenticated):
        refresh(office, first["refreshToken"], key=key)
    assert not alive(office, first)


def test_the_key_of_an_earlier_refresh_is_of_no_use_after_the_next(office, ada):
    first = enter(office)
    second = refresh(office, first["refreshToken"], key="k")
    refresh(office, second["refreshToken"])
    with pytest.raises(Unauthenticated):
        refresh(office, first["refreshToken"], key="k")
    assert not alive(office, first)


def test_other_sessions_of_the_account_go_on(office, ada):
    stolen, other = enter(office), enter(office)
    refresh(office, stolen["refreshToken"])
    with pytest.raises(Unauthenticated):
        refresh(office, stolen["refreshToken"])
    assert alive(office, other)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "accessToken"])
def test_what_is_no_refresh_token_ends_nothing(office, ada, token):
    pair = enter(office)
    with pytest.raises(Unauthenticated):
        refresh(office, pair.get(token, token))
    assert alive(office, pair)


def test_refreshing_does_not_make_a_session_last_longer(office, ada):
    with time_machine.travel(utc_now(), tick=False) as clock:
        pair = enter(office)
        clock.shift(13 * 24 * 3600)
        pair = refresh(office, pair["refreshToken"])
        clock.shift(24 * 3600)
        with pytest.raises(Unauthenticated):
            refresh(office, pair["refreshToken"])


# Out


def test_signing_out_ends_both_tokens_and_only_this_session(office, ada):
    pair, other = enter(office), enter(office)
    sign_in.sign_out(visit_to(office, token=pair["accessToken"]))
    assert not alive(office, pair) and alive(office, other)
    with pytest.raises(Unauthenticated):
        refresh(office, pair["refreshToken"])


@pytest.mark.parametrize(
    "changes",
    [{"disabled": True}, {"role": ADMIN, "subject_id": None}, {"role": STAFF}, {"password": OTHER}],
)
def test_what_an_administrator_changes_ends_every_session(office, ada, changes):
    pairs = [enter(office), enter(office)]
    administer(office, ada, **changes)
    assert not any(alive(office, pair) for pair in pairs)
    for pair in pairs:
        with pytest.raises(Unauthenticated):
            refresh(office, pair["refreshToken"])


def test_an_account_enabled_again_has_no_old_sessions(office, ada):
    pair = enter(office)
    administer(office, ada, disabled=True)
    administer(office, ada, disabled=False)
    assert not alive(office, pair)
    assert alive(office, enter(office))


def test_a_change_of_password_ends_every_other_session(office, ada):
    mine, other = enter(office), enter(office)
    visit = visit_to(office, token=mine["accessToken"])
    sign_in.change_password(visit, current=PASSWORD, new=OTHER)
    assert alive(office, mine) and not alive(office, other)
    refusal(office)
    assert alive(office, enter(office, password=OTHER))


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        (OTHER, "a third one 77", "currentPassword"),
        (PASSWORD, "short", "newPassword"),
        (PASSWORD, "password1234", "newPassword"),
        (PASSWORD, EMAIL, "newPassword"),
    ],
)
def test_a_password_that_is_not_taken_changes_nothing(office, ada, current, new, field):
    mine, other = enter(office), enter(office)
    with pytest.raises(InvalidInput) as refused:
        visit = visit_to(office, token=mine["accessToken"])
        sign_in.change_password(visit, current=current, new=new)
    assert list(refused.value.errors) == [field]
    assert alive(office, other) and alive(office, enter(office))


class Overtaken:
    """Passwords whose hashing takes so long that something else happens meanwhile."""

    def __init__(self, passwords, meanwhile):
        self.matches = passwords.matches
        self._passwords, self._meanwhile = passwords, meanwhile

    def hash(self, password, *, seconds):
        self._meanwhile()
        return self._passwords.hash(password, seconds=seconds)


@pytest.mark.parametrize("changes", [{"disabled": True}, {"password": "another heron 32"}])
def test_a_change_that_an_administrator_overtook_does_not_happen(office, ada, changes):
    token = enter(office)["accessToken"]
    slow = Overtaken(office.passwords, lambda: administer(office, ada, **changes))
    visit = visit_to(replace(office, passwords=slow), token=token)
    with pytest.raises(Unauthenticated):
        sign_in.change_password(visit, current=PASSWORD, new=OTHER)
    administer(office, ada, disabled=False)
    assert alive(office, enter(office, password=changes.get("password", PASSWORD)))


def test_nobody_signs_out(office):
    with pytest.raises(Unauthenticated):
        sign_in.sign_out(visit_to(office))
    with pytest.raises(Unauthenticated):
        sign_in.change_password(visit_to(office), current=PASSWORD, new=OTHER)


def test_sessions_that_ran_out_are_forgotten_a_few_at_a_time(office, ada):
    with time_machine.travel(utc_now(), tick=False) as clock:
        for _ in range(3):
            enter(office)
        clock.shift(14 * 24 * 3600 + 1)
        young = enter(office)

        def forget(transaction):
            return Sessions(transaction).forget_some(before=utc_now(), limit=2)

        assert [visit_to(office).run(forget) for _ in range(3)] == [2, 1, 0]
        assert alive(office, young)


def test_a_person_who_is_removed_is_removed_with_their_sign_ins(office, ada):
    pair = enter(office)
    visit_to(office).run(lambda transaction: Accounts(transaction).close_for(PATIENT, 7))
    assert not alive(office, pair)
    refusal(office)
