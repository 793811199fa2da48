"""Rings of keys are refused when weak, never shown, and derive a key for each purpose."""

import stat

import pytest

from config import keys
from config.keys import KeyRefused, KeyRing, Keys, UnknownKey, fresh, kept, new_secret, parse_ring
from config.variables import SettingsError

SECRET = "hTq0bVx4ZkR7mWc9JfNs2LgYpD5aEu8i"
OTHER = "Zp3rKd8sWq1vXn6yBt4mHc9gLf2jUa7e"
RING = parse_ring(f"2027:{SECRET},2026:{OTHER}")


def refusal(text):
    with pytest.raises(KeyRefused) as refused:
        parse_ring(text)
    return str(refused.value)


# Reading


def test_the_first_key_of_a_ring_is_the_current_one():
    assert RING.ids == ("2027", "2026")
    assert RING.current == "2027"


def test_spaces_around_keys_do_not_matter():
    assert parse_ring(f" 2027:{SECRET} , 2026:{OTHER} ") == RING


def test_a_secret_may_have_colons():
    with_colon = parse_ring(f"1:{SECRET}:x")
    assert with_colon.derive("a", "1") != parse_ring(f"1:{SECRET}").derive("a", "1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        SECRET,
        f":{SECRET}",
        f"1:{SECRET},",
        f"1:{SECRET},,2:{OTHER}",
        f"1 :{SECRET}",
        f"Key:{SECRET}",
        f"a_b:{SECRET}",
        f"schlüssel:{SECRET}",
        f"a\nb:{SECRET}",
        f"{'1' * 17}:{SECRET}",
    ],
)
def test_a_malformed_ring_is_refused_and_not_shown(text):
    said = refusal(text)
    assert said.startswith("must look like id:secret,id:secret")
    assert SECRET not in said and OTHER not in said


@pytest.mark.parametrize(
    "secret",
    ["", "short", SECRET[:31], " " * 32, "x" * 64, "abcabcabc" * 8, "123456789" * 4],
)
@pytest.mark.parametrize("ring", ["1:{}", f"1:{SECRET},2:{{}}"])
def test_a_short_or_plain_secret_is_refused_and_not_shown(ring, secret):
    said = refusal(ring.format(secret))
    assert said.startswith("needs secrets of at least 32 random characters")
    assert not secret.strip() or secret not in said
    assert SECRET not in said


def test_a_secret_just_long_and_mixed_enough_is_taken():
    assert parse_ring("1:" + "0123456789" + "0" * 22).current == "1"


def test_an_id_stands_for_one_key_only():
    said = refusal(f"1:{SECRET},1:{OTHER}")
    assert said == "has the same id twice"


def test_the_same_secret_again_is_no_rotation():
    assert refusal(f"2:{SECRET},1:{SECRET}") == "has the same secret twice"


def test_an_empty_ring_is_false():
    assert not KeyRing()
    assert RING


# Deriving


def test_a_derived_key_has_32_bytes_and_stays_the_same():
    assert len(RING.derive("column", "2027")) == 32
    assert RING.derive("column", "2027") == parse_ring(f"9:{SECRET}").derive("column", "9")


def test_each_purpose_and_each_secret_has_a_key_of_its_own():
    derived = {RING.derive(purpose, each) for purpose in ("a", "b", "") for each in RING.ids}
    assert len(derived) == 6


def test_no_derived_key_is_the_secret_itself():
    assert RING.derive("column", "2027") != SECRET.encode()


@pytest.mark.parametrize("key_id", ["2025", "", "2027 "])
def test_a_key_that_the_ring_does_not_hold_is_unknown(key_id):
    with pytest.raises(UnknownKey):
        RING.derive("column", key_id)


# Not showing


@pytest.mark.parametrize("thing", [RING, Keys(data=RING), [RING], (RING, Keys(token=RING))])
def test_a_ring_shows_no_secret(thing):
    for text in (repr(thing), str(thing), f"{thing}"):
        assert SECRET not in text and OTHER not in text


# Making


def test_new_secrets_are_good_enough_and_never_the_same():
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    for secret in made:
        keys.check_secret(secret)


def test_fresh_rings_can_be_used_at_once():
    rings = fresh(("A_KEYS", "B_KEYS"))
    assert set(rings) == {"A_KEYS", "B_KEYS"}
    assert all(parse_ring(ring).ids == ("1",) for ring in rings.values())
    assert rings["A_KEYS"] != rings["B_KEYS"]


def test_keys_are_made_once_and_read_again(tmp_path):
    file = tmp_path / "keys.env"
    first = kept(file, ("A_KEYS", "B_KEYS"))
    assert set(first) == {"A_KEYS", "B_KEYS"}
    before = file.read_bytes()
    assert kept(file, ("A_KEYS", "B_KEYS")) == first
    assert file.read_bytes() == before
    assert {each.name for each in tmp_path.iterdir()} == {"keys.env", "keys.check"}


def test_the_file_of_keys_is_for_its_owner_alone(tmp_path):
    file = tmp_path / "keys.env"
    kept(file, ("A_KEYS",))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_name_that_came_later_is_added_and_the_others_stay(tmp_path):
    file = tmp_path / "keys.env"
    first = kept(file, ("A_KEYS",))
    both = kept(file, ("A_KEYS", "B_KEYS"))
    assert both["A_KEYS"] == first["A_KEYS"]
    assert kept(file, ("A_KEYS", "B_KEYS")) == both
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_a_run_that_was_killed_left_is_not_taken_for_keys(tmp_path):
    (tmp_path / "keys.env.unfinished").write_text("A_KEYS=1:cut-o")
    rings = kept(tmp_path / "keys.env", ("A_KEYS",))
    assert parse_ring(rings["A_KEYS"])


def test_a_ring_that_was_rotated_by_hand_is_kept(tmp_path):
    file = tmp_path / "keys.env"
    file.write_text(f"A_KEYS=2:{SECRET},1:{OTHER}\n")
    assert kept(file, ("A_KEYS",)) == {"A_KEYS": f"2:{SECRET},1:{OTHER}"}


def test_a_ring_may_be_rotated_step_by_step(tmp_path):
    file = tmp_path / "keys.env"
    for ring in (f"1:{OTHER}", f"1:{OTHER},2:{SECRET}", f"2:{SECRET},1:{OTHER}", f"2:{SECRET}"):
        file.write_text(f"A_KEYS={ring}\n")
        assert kept(file, ("A_KEYS",)) == {"A_KEYS": ring}


@pytest.mark.parametrize("left", [None, "", "B_KEYS=1:x\n", f"A_KEYS=1:{OTHER}\n", "junk"])
def test_keys_that_were_lost_are_not_replaced_by_others(tmp_path, left):
    file = tmp_path / "keys.env"
    file.write_text(f"A_KEYS=1:{SECRET}\n")
    kept(file, ("A_KEYS",))
    file.unlink() if left is None else file.write_text(left)
    with pytest.raises(SettingsError, match="does not hold the A_KEYS") as refused:
        kept(file, ("A_KEYS",))
    assert SECRET not in str(refused.value) and OTHER not in str(refused.value)


def test_the_marks_that_are_kept_do_not_tell_the_secrets(tmp_path):
    rings = kept(tmp_path / "keys.env", ("A_KEYS",))
    assert rings["A_KEYS"].partition(":")[2] not in (tmp_path / "keys.check").read_text()
