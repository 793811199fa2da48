"""Passwords: which are taken, and that looking for nobody's takes as long as for anybody's."""

import unicodedata

import pytest
from argon2.exceptions import InvalidHashError

from gateway.passwords import HASHES_AT_ONCE, Passwords, check_password
from schemas.errors import InvalidInput, Unavailable
from tests.waiting import PATIENCE

EMAIL = "ada@example.org"
GOOD = "quiet heron 31"


@pytest.fixture(scope="module")
def passwords():
    return Passwords()


def complaint(password, *, email=EMAIL, field="password"):
    with pytest.raises(InvalidInput) as refused:
        check_password(password, email=email, field=field)
    return refused.value.errors[field]


# Which are taken


@pytest.mark.parametrize("length", [12, 13, 128])
def test_a_password_has_12_to_128_characters(length):
    check_password(("quiet heron " * 11)[:length], email=EMAIL)


@pytest.mark.parametrize("length", [0, 1, 11, 129, 1024])
def test_a_shorter_or_longer_one_is_refused(length):
    assert complaint(("quiet heron " * 100)[:length]) == "Must have 12 to 128 characters."


def test_characters_count_not_their_parts():
    eleven = "é" * 6 + "quiet"
    assert complaint(unicodedata.normalize("NFD", eleven)) == "Must have 12 to 128 characters."
    check_password(unicodedata.normalize("NFD", "é" + GOOD), email=EMAIL)


def test_a_character_that_stands_for_many_counts_as_many():
    # One that is written out as eighteen.
    assert complaint(GOOD + "\ufdfa" * 10) == "Must have 12 to 128 characters."


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "PASSWORD1234",
        "123456789012",
        "Password2026!",
        "!!!Password!!!",
        "1234password",
        "$$$$dragon1999",
        "...qwerty123...",
        "............",
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        # Letters of full width, that end as plain ones.
        "ｐａｓｓｗｏｒｄ１２３４",
    ],
)
def test_a_common_one_is_refused_however_it_is_decorated(password):
    assert complaint(password) == "Is among the most common passwords."


@pytest.mark.parametrize(
    "password", ["correct horse battery", "Zoë likes 3 herons", "пароль длинный", GOOD, "  " + GOOD]
)
def test_a_long_one_that_nobody_tries_first_is_taken(password):
    check_password(password, email=EMAIL)


@pytest.mark.parametrize("password", ["ada.byron.1815@example.org", "Ada.Byron.1815"])
def test_the_email_address_is_no_password(password):
    assert complaint(password, email="Ada.byron.1815@Example.org") == (
        "Must not be the e-mail address."
    )


def test_the_complaint_names_the_field_and_not_the_password():
    with pytest.raises(InvalidInput) as refused:
        check_password("jumpy-otter", email=EMAIL, field="newPassword")
    assert list(refused.value.errors) == ["newPassword"]
    assert "jumpy" not in str(refused.value.errors) + str(refused.value)


# How they are kept


def test_a_password_matches_its_hash_and_no_other_does(passwords):
    kept = passwords.hash(GOOD, seconds=PATIENCE)
    assert passwords.matches(kept, GOOD, seconds=PATIENCE)
    for other in (GOOD + " ", GOOD.upper(), GOOD[:-1], "", "x" * 1024):
        assert not passwords.matches(kept, other, seconds=PATIENCE)


def test_it_is_kept_with_argon2id_and_a_salt_of_its_own(passwords):
    first, second = (passwords.hash(GOOD, seconds=PATIENCE) for _ in range(2))
    assert first.startswith("$argon2id$") and first != second
    assert GOOD not in first and len(first) <= 255


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_the_same_password_from_another_keyboard_matches(passwords, form):
    kept = passwords.hash("Zoë ﬁnds 12 herons", seconds=PATIENCE)
    typed = unicodedata.normalize(form, "Zoë ﬁnds 12 herons")
    assert passwords.matches(kept, typed, seconds=PATIENCE)


def test_without_a_hash_nothing_matches_and_a_hash_is_verified_all_the_same(monkeypatch, passwords):
    verified = []
    real = passwords._argon2id.verify

    class Watching:
        def verify(self, kept, password):
            verified.append(kept)
            return real(kept, password)

    monkeypatch.setattr(passwords, "_argon2id", Watching())
    for password in (GOOD, "", "nobody has this password"):
        assert not passwords.matches(None, password, seconds=PATIENCE)
    assert len(verified) == 3
    parameters = verified[0].split("$")[:4]
    assert parameters == Passwords().hash(GOOD, seconds=PATIENCE).split("$")[:4]


def test_who_waits_too_long_for_room_is_told_so(passwords):
    for _ in range(HASHES_AT_ONCE):
        assert passwords._room.acquire(timeout=1)
    try:
        for left in (0.01, 0, -3):
            with pytest.raises(Unavailable):
                passwords.hash(GOOD, seconds=left)
    finally:
        for _ in range(HASHES_AT_ONCE):
            passwords._room.release()
    assert passwords.hash(GOOD, seconds=PATIENCE)


def test_a_failure_gives_its_room_back(passwords):
    for _ in range(HASHES_AT_ONCE + 1):
        with pytest.raises(InvalidHashError):
            passwords.matches("no hash", GOOD, seconds=PATIENCE)
    assert passwords.hash(GOOD, seconds=0.5)
