"""Published events are forgotten after a while, on MariaDB and on SQLite."""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from config.clock import utc_now
from config.messaging import outbox_tables
from config.messaging.outbox_tables import forget_some_events
from patient.models import Outbox
from tests.integration.databases import migrated
from tests.vaults import vault_for

DAYS = 30


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    """Of an outbox that no service writes into."""
    url = database_urls["patient"]
    if url.get_backend_name() != "sqlite":
        url = url.set(database=f"{url.database}_{uuid.uuid4().hex[:8]}")
    with migrated("patient", url, vault_for("patient")) as engine:
        yield engine
        if url.get_backend_name() != "sqlite":
            with engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE `{url.database}`"))


def publish(engine: Engine, subject: str, sequence: int, *, age: timedelta | None) -> None:
    """:param age: since it was published, or none when it was not."""
    with Session(engine) as session, session.begin():
        session.add(Outbox(
            id=f"{subject}/{sequence}", name="updated", subject=subject, sequence=sequence,
            body="{}", published_at=None if age is None else NOW - age,
        ))


NOW: datetime = utc_now()
OLD, YOUNG = timedelta(days=DAYS, seconds=1), timedelta(days=DAYS) - timedelta(seconds=1)


def forget(engine: Engine) -> None:
    after, going_on = None, True
    while going_on:
        with Session(engine) as session, session.begin():
            after = forget_some_events(session, outbox=Outbox, days=DAYS, now=NOW, after=after)
        going_on = after is not None


def kept(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Outbox.id).order_by(Outbox.subject, Outbox.sequence)))


def test_what_is_old_goes_and_what_is_young_stays(engine: Engine) -> None:
    for sequence, age in enumerate((OLD, OLD, YOUNG, YOUNG), 1):
        publish(engine, "1", sequence, age=age)
    forget(engine)
    assert kept(engine) == ["1/3", "1/4"]


def test_the_last_of_a_subject_stays_however_old(engine: Engine) -> None:
    for subject in ("1", "2"):
        for sequence in (1, 2, 3):
            publish(engine, subject, sequence, age=OLD)
    forget(engine)
    assert kept(engine) == ["1/3", "2/3"]


def test_what_is_not_published_stays(engine: Engine) -> None:
    publish(engine, "1", 1, age=OLD)
    publish(engine, "1", 2, age=None)
    publish(engine, "1", 3, age=None)
    forget(engine)
    assert kept(engine) == ["1/2", "1/3"]


def test_no_hole_is_left_by_a_clock_that_was_ahead(engine: Engine) -> None:
    for sequence, age in enumerate((YOUNG, OLD, YOUNG), 1):
        publish(engine, "1", sequence, age=age)
    forget(engine)
    assert kept(engine) == ["1/3"]


def test_many_go_a_batch_at_a_time_past_those_that_stay(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_tables, "BATCH", 3)
    for subject in range(8):
        publish(engine, str(subject), 1, age=OLD)
    for sequence in (1, 2, 3, 4, 5):
        publish(engine, "much", sequence, age=OLD - timedelta(milliseconds=sequence))
    forget(engine)
    assert kept(engine) == [*(f"{subject}/1" for subject in range(8)), "much/5"]
