"""Copies of records: shown until a minute has passed or something has changed, and never later."""

import json

import pytest

from config.cache import FLOOR_SECONDS, KEPT_SECONDS, Cache, Place
from config.cache_shelf import MOST, Shelf
from config.encryption import Unreadable
from config.redis_trip import Trips
from tests.vaults import vault_for

ADA = Place("patient/7", ("patient/7",))
BO = Place("patient/8", ("patient/8",))
PAGE = Place("patients/abc", ("patients",))
OLD, NEW = {"name": "Ada Byron"}, {"name": "Ada Lovelace"}


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shelf(clock):
    return Shelf(clock)


@pytest.fixture
def cache(shelf, clock):
    return cache_on(shelf, clock)


def cache_on(shelf, clock, name="copies"):
    return Cache(vault_for(name), Trips(None), shelf=shelf, clock=clock)


def look_at(cache, *places):
    (looks,) = Trips(None).ask(cache.look(*places))
    return looks if len(places) > 1 else looks[0]


def shown(cache, place=ADA):
    copy = look_at(cache, place).copy
    return copy.value if copy and copy.current else None


def kept(cache, value=OLD, place=ADA):
    cache.keep(look_at(cache, place), value)


def test_what_was_kept_is_shown_to_all_who_share_it(cache, shelf, clock):
    assert shown(cache) is None
    kept(cache)
    assert shown(cache) == shown(cache_on(shelf, clock)) == OLD
    assert shown(cache, BO) is None


def test_one_look_tells_of_several_places(cache):
    kept(cache)
    kept(cache, NEW, PAGE)
    ada, bo, page = look_at(cache, ADA, BO, PAGE)
    assert (ada.copy.value, bo.copy, page.copy.value) == (OLD, None, NEW)
    assert ada.ticket == page.ticket


def test_after_a_change_nothing_from_before_it_is_shown(cache):
    kept(cache)
    cache.changed("patient/7")
    assert shown(cache) is None
    kept(cache, NEW)
    assert shown(cache) == NEW


def test_who_read_before_a_change_and_keeps_after_it_shows_nobody(cache, shelf, clock):
    slow = look_at(cache, ADA)
    cache_on(shelf, clock).changed("patient/7")
    cache.keep(slow, OLD)
    assert shown(cache) is None


def test_a_slow_reader_does_not_come_back_with_the_next_change_either(cache):
    before, between = look_at(cache, ADA), None
    cache.changed("patient/7")
    between = look_at(cache, ADA)
    cache.changed("patient/7")
    for slow in (between, before):
        cache.keep(slow, OLD)
        assert shown(cache) is None


def test_a_floor_outlasts_all_that_may_be_kept_late(cache, clock):
    slow = look_at(cache, ADA)
    cache.changed("patient/7")
    clock.now += FLOOR_SECONDS - KEPT_SECONDS
    cache.keep(slow, OLD)
    assert shown(cache) is None


def test_a_change_concerns_its_own_floor_alone(cache):
    kept(cache)
    kept(cache, NEW, PAGE)
    cache.changed("patients")
    assert (shown(cache), shown(cache, PAGE)) == (OLD, None)


def test_one_change_may_outdate_several(cache):
    kept(cache)
    kept(cache, NEW, PAGE)
    cache.changed("patient/7", "patients")
    assert shown(cache) is shown(cache, PAGE) is None


def test_after_a_minute_a_copy_is_gone(cache, clock):
    kept(cache)
    clock.now += KEPT_SECONDS - 1
    assert shown(cache) == OLD
    assert look_at(cache, ADA).copy.age(now=clock.now) == KEPT_SECONDS - 1
    clock.now += 1
    assert look_at(cache, ADA).copy is None


def test_a_clock_that_went_back_makes_no_copy_younger_than_new(cache, clock):
    kept(cache)
    assert look_at(cache, ADA).copy.age(now=clock.now - 3600) == 0


def test_who_looked_after_a_change_is_not_served_by_a_read_from_before_it(cache):
    before, bystander = look_at(cache, ADA), look_at(cache, BO)
    assert look_at(cache, ADA).covers(before.ticket)
    cache.changed("patient/7")
    after = look_at(cache, ADA)
    assert not after.covers(before.ticket) and not after.covers(bystander.ticket)
    assert after.covers(after.ticket) and not after.covers(None)


def test_a_full_shelf_begins_anew_and_takes_nothing_from_before(cache, shelf):
    slow = look_at(cache, ADA)
    cache.changed("patient/7")
    for number in range(MOST):
        kept(cache, OLD, Place(f"patient/{number + 10}", ("patient/10",)))
    cache.keep(slow, OLD)
    assert shown(cache) is None
    kept(cache, NEW)
    assert shown(cache) == NEW


# What lies there


def lying(shelf, key="copies:patient/7"):
    _, _, (value,) = shelf.look("", "", key)
    return value


def put(shelf, value, key="copies:patient/7"):
    shelf.keep(key, value, KEPT_SECONDS)


def test_a_copy_tells_nothing_to_who_has_no_key(cache, shelf):
    kept(cache)
    assert b"Ada" not in lying(shelf) and json.dumps(OLD).encode() not in lying(shelf)


@pytest.mark.parametrize("spoil", [
    pytest.param(lambda value: b"", id="nothing"),
    pytest.param(lambda value: value[:20], id="cut in its header"),
    pytest.param(lambda value: value[:40], id="cut after its header"),
    pytest.param(lambda value: value[:-1], id="cut at its end"),
    pytest.param(lambda value: value + b"x", id="longer"),
    pytest.param(lambda value: value[:-1] + bytes([value[-1] ^ 1]), id="a bit turned"),
    pytest.param(lambda value: b"\xff" * 200, id="garbage"),
    pytest.param(lambda value: value[:24] + b"\x7f\xf8" + bytes(6) + value[32:], id="at no time"),
    pytest.param(lambda value: value[:24] + b"\x7f\xf0" + bytes(6) + value[32:], id="at the end"),
    pytest.param(lambda value: value[:24] + b"\x42" + value[25:], id="in the far future"),
    pytest.param(lambda value: b'{"name": "Eve"}', id="what was never sealed"),
])
def test_a_spoilt_copy_is_not_shown_and_the_next_one_takes_its_place(cache, shelf, clock, spoil):
    kept(cache)
    put(shelf, spoil(lying(shelf)))
    copy = look_at(cache, ADA).copy
    if copy and copy.current:
        assert copy.age(now=clock.now) >= 0
        with pytest.raises(Unreadable):
            assert copy.value
    kept(cache, NEW)
    assert shown(cache) == NEW


def test_an_old_copy_with_a_new_header_does_not_open(cache, shelf):
    kept(cache)
    old = lying(shelf)
    cache.changed("patient/7")
    kept(cache, NEW)
    put(shelf, lying(shelf)[:32] + old[32:])
    copy = look_at(cache, ADA).copy
    assert copy.current
    with pytest.raises(Unreadable):
        assert copy.value


def test_a_copy_in_the_place_of_another_does_not_open(cache, shelf):
    kept(cache)
    put(shelf, lying(shelf), key="copies:patient/8")
    with pytest.raises(Unreadable):
        assert look_at(cache, BO).copy.value


def test_what_others_keep_does_not_open_here(cache, shelf, clock):
    kept(cache_on(shelf, clock, "theirs"))
    assert shown(cache) is None
    put(shelf, lying(shelf, "theirs:patient/7"))
    with pytest.raises(Unreadable):
        assert look_at(cache, ADA).copy.value


# Without Redis


def test_without_a_place_to_keep_it_nothing_is_kept_and_nothing_joined():
    cache = Cache(vault_for("copies"), Trips(None))
    kept(cache)
    seen = look_at(cache, ADA)
    assert (seen.ticket, seen.copy) == (None, None) and not seen.covers(seen.ticket)


def test_a_copy_that_was_kept_late_or_put_back_is_none(cache, clock):
    seen = look_at(cache, ADA)
    clock.now += KEPT_SECONDS + 1
    cache.keep(seen, "an old one")
    assert look_at(cache, ADA).copy is None
