"""How long a database is waited for: a limit of its own, or what is left of the work."""

import time

import pytest
from sqlalchemy import QueuePool

from config.database import connect
from config.mysql import GRACE_SECONDS, LOCK_WAIT_SECONDS, STEP_SECONDS, bounded, within


@pytest.fixture
def pool() -> QueuePool:
    engine = connect("mysql+pymysql://clinic@127.0.0.1:1/clinic", pool_size=1)
    assert isinstance(engine.pool, QueuePool)
    return engine.pool


def test_without_a_deadline_the_limits_are_as_they_were_set() -> None:
    assert (within(5), within(None)) == (5, None)


def test_what_is_left_shortens_a_limit_and_never_lengthens_it() -> None:
    with bounded(time.time() + 1):
        assert 1 < (within(5) or 0) <= 1 + GRACE_SECONDS
        assert 1 < (within(None) or 0) <= 1 + GRACE_SECONDS
        assert within(0.5) == 0.5


def test_past_the_deadline_what_was_begun_has_a_moment_to_end() -> None:
    with bounded(time.time() - 60):
        assert within(5) == STEP_SECONDS


def test_a_deadline_holds_only_inside_and_gives_way_to_an_inner_one() -> None:
    with bounded(time.time() - 60):
        with bounded(time.time() + 60):
            assert within(5) == 5
        assert within(5) == STEP_SECONDS
    assert within(5) == 5


def test_the_libraries_ask_for_their_limits_each_time(pool: QueuePool) -> None:
    # Attributes of their own: another version may call them otherwise.
    assert pool.timeout() == LOCK_WAIT_SECONDS
    with bounded(time.time() - 60):
        assert pool.timeout() == STEP_SECONDS
