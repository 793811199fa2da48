"""The trail is written before anybody answers, by few commits, through failures, once."""

import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from config.audit import reader
from config.audit.chain import Entry
from config.audit.models import AuditBase, Record
from config.audit.trail import MOST_WAITING, NotRecorded, Trail
from config.audit.verify import examine
from config.database import connect
from config.keys import KeyRing, fresh, parse_ring
from config.migration import downgrade, upgrade
from config.programs import catalogue
from tests.broker_proxy import broker_proxy
from tests.waiting import PATIENCE

SECONDS = PATIENCE
RING = parse_ring(fresh(("AUDIT_KEYS",))["AUDIT_KEYS"])
on_mariadb = pytest.mark.parametrize("database_urls", ["mariadb"], indirect=True)


@pytest.fixture
def url(database_urls: dict[str, URL]) -> Iterator[str]:
    """An audit database of its own for each test: what one breaks, another would find."""
    own = database_urls["audit"]
    if own.get_backend_name() != "sqlite":
        own = own.set(database=f"{own.database}_{uuid.uuid4().hex[:8]}")
    upgrade(scripts=catalogue().databases["audit"], url=own)
    address = own.render_as_string(hide_password=False)
    yield address
    if own.get_backend_name() != "sqlite":
        engine = connect(address)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE `{own.database}`"))
        engine.dispose()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = connect(url)
    yield engine
    engine.dispose()


@pytest.fixture
def trail(url: str) -> Iterator[Trail]:
    trail = Trail(url, RING)
    yield trail
    trail.close()


def entry(correlation: str = "c", **fields: Any) -> Entry:
    usual = {"actor_role": "staff", "action": "thing.get", "outcome": "200"}
    return Entry(**{**usual, "correlation_id": correlation, **fields})


def recorded(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(Record.correlation_id).order_by(Record.position)))


def unbroken(engine: Engine, *, chains: int = 1) -> bool:
    examination = examine(engine, RING, tell=lambda rows: None)
    return (examination.findings(), examination.chains) == ([], chains)


def on_insert(trail: Trail, act: Callable[[Any, Callable[[], object]], None]) -> None:
    """``act(connection, insert)`` before each insertion, which commits by itself on MariaDB."""

    def before(
        connection: Any, cursor: Any, statement: str, parameters: Any, *rest: object
    ) -> None:
        if statement.startswith("INSERT"):
            act(connection, lambda: cursor.execute(statement, parameters))

    event.listen(trail._ledger._engine, "before_cursor_execute", before)


def wait_until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def test_the_migrated_table_is_that_of_the_model_and_can_go_back(url: str, engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, AuditBase.metadata) == []
    downgrade(scripts=catalogue().databases["audit"], url=engine.url)
    upgrade(scripts=catalogue().databases["audit"], url=engine.url)


def test_what_was_recorded_is_there_as_it_was_said(trail: Trail, engine: Engine) -> None:
    said = entry(actor_account=7, resource="thing/5", subject="person/12", outcome="404")
    trail.record(said, seconds=SECONDS)
    with Session(engine) as session:
        (row,) = reader.find(session, limit=10)
        assert {name: getattr(row, name) for name in vars(said)} == vars(said)
        assert (row.number, row.key_id, row.witness) == (1, "1", "")


def test_nothing_is_answered_before_the_commit(trail: Trail, engine: Engine) -> None:
    trail.record(entry("first"), seconds=SECONDS)
    reached, go_on = threading.Event(), threading.Event()

    def pause(*insertion: object) -> None:
        reached.set()
        go_on.wait(SECONDS)

    on_insert(trail, pause)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(trail.record, entry("second"), seconds=SECONDS)
        assert reached.wait(SECONDS)
        assert not answer.done()
        go_on.set()
        answer.result(SECONDS)
    assert recorded(engine) == ["first", "second"]


def test_sixty_four_at_once_are_few_commits(trail: Trail, engine: Engine) -> None:
    trail.record(entry("warm"), seconds=SECONDS)
    commits: list[object] = []
    on_insert(trail, lambda *insertion: commits.append(insertion))
    side_by_side(trail, [str(number) for number in range(64)])
    assert sorted(recorded(engine)) == sorted(["warm", *map(str, range(64))])
    assert len(commits) <= 16
    assert unbroken(engine)


@on_mariadb
def test_a_batch_is_all_that_the_server_is_told(trail: Trail) -> None:
    trail.record(entry(), seconds=SECONDS)
    connection = trail._ledger._connection
    assert connection is not None

    def statements() -> int:
        with connection.begin():
            counted = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Questions'")
            return int(counted.one()[1])

    before = statements()
    trail.record(entry(), seconds=SECONDS)
    assert statements() == before + len(["INSERT", "SHOW"])


def test_what_is_told_of_many_people_goes_in_batches_of_bounded_size(
    trail: Trail, engine: Engine
) -> None:
    """SQLite takes 32,766 parameters with one statement, MariaDB 16 MB."""
    go_on = threading.Event()
    on_insert(trail, lambda *insertion: go_on.wait(SECONDS))
    people = [entry() for _ in range(100)]
    with ThreadPoolExecutor(41) as pool:
        first = pool.submit(trail.record, entry(), seconds=SECONDS)
        wait_until(lambda: trail._writer is not None and not trail._waiting)
        told = [pool.submit(trail.record, *people, seconds=SECONDS) for _ in range(40)]
        wait_until(lambda: len(trail._waiting) == 40)
        go_on.set()
        for each in (first, *told):
            each.result(SECONDS)
    assert len(recorded(engine)) == 4001
    assert unbroken(engine)


def side_by_side(trail: Trail, correlations: list[str]) -> None:
    gate = threading.Barrier(len(correlations))

    def record(correlation: str) -> None:
        gate.wait(SECONDS)
        trail.record(entry(correlation), seconds=SECONDS)

    with ThreadPoolExecutor(len(correlations)) as pool:
        list(pool.map(record, correlations))


def test_several_entries_of_one_answer_are_recorded_together(trail: Trail, engine: Engine) -> None:
    trail.record(entry("a"), entry("b"), entry("c"), seconds=SECONDS)
    trail.record(seconds=SECONDS)
    assert recorded(engine) == ["a", "b", "c"]


def test_several_processes_write_side_by_side_each_in_a_chain_of_its_own(
    url: str, engine: Engine
) -> None:
    trails = [Trail(url, RING) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for number in range(10):
            list(pool.map(lambda each: each.record(entry(), seconds=SECONDS), trails))
    for each in trails:
        each.close()
    assert len(recorded(engine)) == 40
    assert unbroken(engine, chains=4)


def test_the_head_is_logged_with_the_first_entry_and_at_the_end(
    url: str, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="audit")
    trail = Trail(url, RING)
    for _ in range(5):
        trail.record(entry(), seconds=SECONDS)
    trail.close()
    logged = [(line.chain, line.number, line.mac) for line in caplog.records]  # type: ignore
    with engine.connect() as connection:
        (head,) = reader.heads(connection)
    assert [number for _, number, _ in logged] == [1, 5]
    assert logged[-1] == (head.chain, head.number, head.mac)


def test_a_closed_trail_records_no_more_and_closes_again(trail: Trail) -> None:
    trail.record(entry(), seconds=SECONDS)
    for _ in range(2):
        trail.close()
    with pytest.raises(NotRecorded):
        trail.record(entry(), seconds=SECONDS)


def test_what_waits_is_written_before_the_end(trail: Trail, engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(trail.record, entry(), seconds=SECONDS) for _ in range(8)]
        wait_until(lambda: len(recorded(engine)) > 0)
        trail.close()
        done = [each for each in waiting if not each.exception(SECONDS)]
    assert len(recorded(engine)) == len(done)


def test_a_trail_without_a_key_does_not_start() -> None:
    with pytest.raises(ValueError, match="key"):
        Trail("sqlite://", KeyRing())


# Failures


@on_mariadb
def test_while_the_database_is_away_nothing_is_recorded_and_afterwards_the_chain_goes_on(
    url: str, engine: Engine
) -> None:
    with broker_proxy(url) as proxy:
        trail = Trail(proxy.uri, RING)
        trail.record(entry("before"), seconds=SECONDS)
        proxy.cut()
        for number in range(3):
            with pytest.raises(NotRecorded):
                trail.record(entry(f"during {number}"), seconds=SECONDS)
        proxy.restore()
        wait_until(lambda: is_recorded(trail, "after"))
        trail.close()
    found = recorded(engine)
    assert found[0] == "before" and "after" in found
    assert {"during 0", "during 1", "during 2"} <= set(found), "told later, and not forgotten"
    assert unbroken(engine)


def is_recorded(trail: Trail, correlation: str) -> bool:
    try:
        trail.record(entry(correlation), seconds=SECONDS)
    except NotRecorded:
        return False
    return True


@on_mariadb
def test_a_database_that_says_nothing_is_not_waited_for_longer_than_asked(url: str) -> None:
    with broker_proxy(url) as proxy:
        trail = Trail(proxy.uri, RING)
        trail.record(entry(), seconds=SECONDS)
        proxy.freeze()
        began = time.monotonic()
        with pytest.raises(NotRecorded):
            trail.record(entry(), seconds=0.5)
        assert 0.5 <= time.monotonic() - began < PATIENCE / 2
        proxy.cut()
        trail.close()


@on_mariadb
@pytest.mark.parametrize("committed", [True, False], ids=["committed", "rolled back"])
def test_a_commit_of_unknown_outcome_is_settled_and_leaves_no_gap_and_no_double(
    committed: bool, trail: Trail, engine: Engine
) -> None:
    trail.record(entry("first"), seconds=SECONDS)
    kills: list[int] = []

    def lose_the_connection_once(connection: Any, insert: Callable[[], object]) -> None:
        if not kills:
            kills.append(connection.connection.dbapi_connection.thread_id())
            if committed:
                insert()
            with engine.connect() as other:
                other.exec_driver_sql(f"KILL {kills[0]}")

    on_insert(trail, lose_the_connection_once)
    trail.record(entry("second"), seconds=SECONDS)
    trail.record(entry("third"), seconds=SECONDS)
    assert len(kills) == 1
    assert recorded(engine) == ["first", "second", "third"]
    assert unbroken(engine)


def test_a_stranger_with_the_same_number_does_not_stop_the_trail(
    trail: Trail, engine: Engine
) -> None:
    trail.record(entry("first"), seconds=SECONDS)
    with Session(engine) as session, session.begin():
        (row,) = reader.find(session, limit=1)
        forged = {name: getattr(row, name) for name in Record.__table__.columns.keys()}
        session.add(Record(**{**forged, "position": None, "number": 2, "witness": None}))
    trail.record(entry("second"), seconds=SECONDS)
    assert recorded(engine) == ["first", "first", "second"]
    (finding,) = examine(engine, RING, tell=lambda rows: None).findings()
    assert (finding.number, finding.what) == (2, "edited")


def test_an_error_of_our_own_does_not_end_the_writing(
    trail: Trail, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(NotRecorded):
        trail.record(entry(at="not an instant"), seconds=0.5)
    assert "writer failed" in caplog.text
    trail.record(entry("next"), seconds=SECONDS)
    assert recorded(engine) == ["next"]
    assert unbroken(engine)


@on_mariadb
def test_no_more_wait_than_there_is_room_for(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_WAITING <= 10_000
    monkeypatch.setattr("config.audit.trail.MOST_WAITING", 2)
    with broker_proxy(url) as proxy:
        proxy.freeze()
        trail = Trail(proxy.uri, RING)
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(trail.record, entry(), seconds=10.0)]
            wait_until(lambda: trail._writer is not None and not trail._waiting)
            waiting += [pool.submit(trail.record, entry(), seconds=10.0) for _ in range(2)]
            wait_until(lambda: len(trail._waiting) == 2)
            with pytest.raises(NotRecorded):
                trail.record(entry(), seconds=SECONDS)
            assert not any(each.done() for each in waiting), "it waited as long as they did"
            proxy.cut()
            assert all(isinstance(each.exception(SECONDS), NotRecorded) for each in waiting)
        proxy.cut()
        trail.close()


# Rights


@on_mariadb
def test_a_user_who_may_only_insert_and_select_is_enough_and_can_change_nothing(
    url: str, engine: Engine
) -> None:
    user, database = f"audit_{uuid.uuid4().hex[:8]}", engine.url.database
    with engine.connect() as connection:
        connection.execute(text(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'Kq7-vxR2mZp9'"))
        connection.execute(
            text(f"GRANT SELECT, INSERT ON `{database}`.audit TO '{user}'@'127.0.0.1'")
        )
    own = engine.url.set(username=user, password="Kq7-vxR2mZp9")
    address = own.render_as_string(hide_password=False)
    try:
        trail = Trail(address, RING)
        side_by_side(trail, ["a", "b", "c"])
        trail.close()
        refused = connect(address)
        for change in ("UPDATE audit SET outcome = '404'", "DELETE FROM audit", "DROP TABLE audit"):
            with refused.connect() as connection, pytest.raises(OperationalError) as told:
                connection.execute(text(change))
            assert told.value.orig is not None and told.value.orig.args[0] == 1142
        assert unbroken(refused)
        refused.dispose()
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP USER '{user}'@'127.0.0.1'"))


# Under the event loops that patch threads

PATCHED = """
import sys, warnings
warnings.simplefilter("ignore")
if sys.argv[3] == "gevent":
    from gevent import monkey; monkey.patch_all()
else:
    import eventlet; eventlet.monkey_patch()
import threading
from config.audit.chain import Entry
from config.audit.trail import Trail
from config.keys import parse_ring
trail = Trail(sys.argv[1], parse_ring(sys.argv[2]))

def record():
    entry = Entry(actor_role="staff", action="get", outcome="200", correlation_id="c")
    trail.record(entry, seconds=60)

threads = [threading.Thread(target=record) for _ in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join()
trail.close()
"""


@pytest.mark.parametrize("loop", ["gevent", "eventlet"])
def test_it_writes_under(loop: str, url: str, engine: Engine) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PATCHED, url, f"1:{RING.secrets[0][1]}", loop],
        capture_output=True, text=True, timeout=2 * PATIENCE,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Record)) == 64
    assert unbroken(engine)


# Reading


def test_others_write_while_the_trail_is_verified(trail: Trail, engine: Engine) -> None:
    trail.record(entry("before"), seconds=SECONDS)
    examination = examine(
        engine, RING, tell=lambda rows: trail.record(entry("meanwhile"), seconds=SECONDS)
    )
    assert (examination.rows, examination.findings()) == (1, [])
    assert recorded(engine) == ["before", "meanwhile"]


def test_the_newest_are_found_first_by_subject_account_and_time_a_page_at_a_time(
    trail: Trail, engine: Engine
) -> None:
    for number in range(6):
        said = entry(str(number), subject=f"person/{number % 2}", actor_account=number % 3)
        trail.record(said, seconds=SECONDS)
    with Session(engine) as session:
        def found(**wanted: Any) -> list[str]:
            return [row.correlation_id for row in reader.find(session, limit=3, **wanted)]

        assert found() == ["5", "4", "3"]
        page = reader.find(session, limit=3)
        assert found(before=page[-1].position) == ["2", "1", "0"]
        assert found(subject="person/1") == ["5", "3", "1"]
        assert found(subject="person/1", account=0) == ["3"]
        rows = {row.correlation_id: row.at for row in reader.find(session, limit=6)}
        assert found(since=rows["1"], until=rows["3"]) == ["2", "1"]
