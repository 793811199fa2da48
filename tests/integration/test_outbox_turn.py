"""Taking turns at publishing, on MariaDB and on SQLite."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.engine import URL

from config.clock import utc_now
from config.messaging.turn import TURN, Turn
from patient.models import RelayTurn
from tests.integration.databases import migrated
from tests.vaults import vault_for


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    """Nobody has published here yet."""
    with migrated("patient", database_urls["patient"], vault_for("patient")) as engine:
        with engine.begin() as connection:
            connection.execute(delete(RelayTurn))
        yield engine


def ended(engine: Engine) -> None:
    """As if the turn's time had passed."""
    with engine.begin() as connection:
        past = utc_now() - timedelta(seconds=1)
        connection.execute(update(RelayTurn).values(ends_at=past))


def test_one_has_the_turn_and_keeps_it(engine: Engine) -> None:
    one, other = Turn(engine, RelayTurn), Turn(engine, RelayTurn)
    assert one.take() and not other.take()
    assert one.take() and not other.take()
    assert one.mine and not other.mine


def test_whoever_gives_it_back_makes_way_at_once(engine: Engine) -> None:
    one, other = Turn(engine, RelayTurn), Turn(engine, RelayTurn)
    assert one.take()
    one.give_back()
    assert not one.mine and other.take() and not one.take()


def test_whoever_never_had_it_takes_nothing_away_by_giving_it_back(engine: Engine) -> None:
    one, other = Turn(engine, RelayTurn), Turn(engine, RelayTurn)
    assert one.take() and not other.take()
    other.give_back()
    assert not other.take()


def test_when_it_is_over_another_takes_it_and_the_first_is_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Turn(engine, RelayTurn), Turn(engine, RelayTurn)
    assert one.take()
    ended(engine)
    assert other.take()
    monkeypatch.setattr(one, "_ends", 0.0)
    assert not one.take()
    one.give_back()
    assert other.take() and not one.take()


def test_it_ends_here_no_later_than_there(engine: Engine) -> None:
    turn, before = Turn(engine, RelayTurn), utc_now()
    assert turn.take()
    with engine.connect() as connection:
        ends_at = connection.execute(select(RelayTurn.ends_at)).scalar_one()
    # The servers of these tests are on this machine, and so is their clock.
    assert before + TURN <= ends_at <= utc_now() + TURN


def test_of_many_that_begin_together_one_gets_it(engine: Engine) -> None:
    turns = [Turn(engine, RelayTurn) for _ in range(8)]
    taken: list[bool] = []
    together = threading.Barrier(len(turns))

    def take(turn: Turn) -> None:
        together.wait()
        taken.append(turn.take())

    threads = [threading.Thread(target=take, args=(turn,)) for turn in turns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]
