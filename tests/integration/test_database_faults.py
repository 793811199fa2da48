"""A database that is cut off, silent, or busy: retried or refused in time, never half done."""

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest
from nameko_sqlalchemy.database import DatabaseWrapper, Session
from sqlalchemy import Engine, func, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

from config import mysql
from config.database import Transactions, connect
from config.encryption import VAULT
from config.idempotency import Store
from config.messaging.call import Call, DeadlineExceeded
from config.messaging.outbox import OutboxRelay
from config.messaging.relay import Relay
from config.migration import upgrade
from config.programs import catalogue
from config.service_database import Database
from patient.models import Answer, Outbox, PatientBase, RelayTurn
from schemas import errors
from tests.e2e.gateways import own_databases
from tests.tcp_proxy import TcpProxy, tcp_proxy
from tests.vaults import vault_for
from tests.waiting import PATIENCE

OURS = vault_for("patient")
POOL = 2
# A deadline that is to pass.
SECONDS = 1.0
# What keeps somebody waiting here does so for longer than that.
LATE = PATIENCE / 2
COMMIT = b"\x03COMMIT"


@dataclass(frozen=True)
class House:
    """A patient database; ``engine`` reaches it through ``proxy``, ``direct`` without."""

    engine: Engine
    direct: Engine
    proxy: TcpProxy

    def store(self, *, key: str | None = None, seconds: float = PATIENCE) -> Store:
        call = Call(
            correlation_id="c", deadline=time.time() + seconds, key=key or uuid.uuid4().hex,
            context={},
        )
        sessions = DatabaseWrapper(
            sessionmaker(bind=self.engine, class_=Session, info={VAULT: OURS})
        )
        transactions = Transactions(
            sessions, deadline=lambda: call.deadline, unavailable=errors.Unavailable
        )
        return Store(
            transactions, call=lambda: call, answers=Answer, errors=errors, vault=OURS
        )

    def effects(self, subject: str) -> int:
        with self.direct.connect() as connection:
            mine = select(func.count()).select_from(Outbox).filter_by(subject=subject)
            return connection.scalar(mine) or 0

    def kill_connections(self) -> None:
        """All that go through the proxy."""
        theirs = text(
            "SELECT id FROM information_schema.processlist"
            " WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        with self.direct.connect() as connection:
            for number in connection.scalars(theirs).all():
                connection.execute(text(f"KILL {number}"))


@pytest.fixture(scope="module")
def address(addresses: dict[str, str]) -> Iterator[str]:
    with own_databases(addresses, "faults") as url:
        server = make_url(url)
        own = server.set(database=f"{server.database}_patient")
        upgrade(scripts=catalogue().databases["patient"], url=own, vault=OURS)
        yield own.render_as_string(hide_password=False)


@pytest.fixture
def house(address: str) -> Iterator[House]:
    with tcp_proxy(address) as proxy:
        engine, direct = connect(proxy.uri, pool_size=POOL), connect(address)
        yield House(engine, direct, proxy)
        engine.dispose()
        direct.dispose()


def write(session: Session, subject: str) -> dict[str, str]:
    """An effect that can be counted."""
    session.execute(
        insert(Outbox).values(
            id=str(uuid.uuid4()), name="n", subject=subject, sequence=1, body="{}",
            published_at=datetime.now(UTC),
        )
    )
    return {"subject": subject}


def change(house: House, subject: str, **how: object) -> dict[str, str]:
    """With the key ``subject``."""
    store = house.store(key=subject, **how)  # type: ignore[arg-type]
    answer: dict[str, str] = store.change(
        ("write", subject), lambda session: write(session, subject)
    )
    return answer


@contextmanager
def refused_in_time() -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(errors.Unavailable):
        yield
    assert time.monotonic() - began < LATE


def read(house: House, **how: float) -> int:
    return house.store(**how).transact(lambda session: session.scalars(select(1)).one())


def told(session: Session) -> tuple[int, int]:
    """What the server has been told on this connection, this included: statements, and pings."""
    counted = text(
        "SHOW SESSION STATUS WHERE variable_name IN ('Questions', 'Com_admin_commands')"
    )
    pings, statements = (int(row[1]) for row in session.execute(counted))
    return statements, pings


def test_a_connection_that_was_just_used_is_told_the_work_and_the_commit_and_no_more(
    house: House,
) -> None:
    transact = house.store().transact
    (before, pings), after = transact(told), transact(told)
    assert after == (before + len(["COMMIT", "SHOW"]), pings)


def test_a_read_alone_is_all_that_the_server_is_told(address: str) -> None:
    engine = connect(address, pool_size=1, statements_alone=True)
    with Session(engine) as first:
        before, pings = told(first)
        first.commit()
    with Session(engine) as second:
        assert told(second) == (before + 1, pings)
    engine.dispose()


@pytest.mark.parametrize("alone", [False, True], ids=["in transactions", "by statements"])
def test_no_connection_locks_what_lies_between_rows(address: str, alone: bool) -> None:
    engine = connect(address, pool_size=1, statements_alone=alone)
    with engine.connect() as connection:
        shown = connection.execute(text("SHOW VARIABLES LIKE '%x_isolation'")).all()
        shown += connection.execute(text("SHOW VARIABLES LIKE 'transaction_isolation'")).all()
    assert {level for _, level in shown} == {"READ-COMMITTED"}
    engine.dispose()


def test_a_service_reads_by_statements_and_changes_in_transactions_both_connected_before(
    address: str,
) -> None:
    config = {
        "AMQP_URI": "", "TLS_CA_FILE": None, "DB_URIS": {"patient:PatientBase": address},
        "DATABASES": {"patient:PatientBase": "patient"}, "CALL_SECONDS": PATIENCE,
        "DATA_KEYS": OURS.data_keys, "INDEX_KEYS": OURS.index_keys,
    }
    container = Mock(config=config, service_name="patient", max_workers=1, shared_extensions={})
    database = Database(PatientBase, answers=Answer, errors=errors).bind(container, "store")
    database.setup()
    pools = [database.engine.pool, database.reading.pool]
    assert [pool.checkedin() for pool in pools] == [1, 1]  # type: ignore[attr-defined]
    store, shown = database.get_dependency(Mock(data={})), text("SELECT @@autocommit")
    assert store.read(lambda session: session.scalar(shown)) == 1
    assert store.transact(lambda session: session.scalar(shown)) == 0
    database.stop()
    assert database.reading.pool.checkedin() == 0  # type: ignore[attr-defined]


def test_the_connection_that_was_used_last_is_used_next(address: str) -> None:
    engine, number = connect(address, pool_size=2), text("SELECT CONNECTION_ID()")
    with engine.connect() as last, engine.connect() as other:
        other.execute(number)
        told = last.scalar(number)
    with engine.connect() as used:
        assert used.scalar(number) == told
    engine.dispose()


def test_a_connection_that_was_not_used_for_a_while_is_asked_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    transact = house.store().transact
    _, before = transact(told)
    monkeypatch.setattr(mysql, "HEARD_SECONDS", 0)
    assert transact(told)[1] == before + 1


def test_what_was_not_committed_is_gone_when_the_connection_is_used_again(house: House) -> None:
    class Bug(Exception):
        pass

    def fail(session: Session) -> None:
        write(session, "unfinished")
        raise Bug

    with pytest.raises(Bug):
        house.store().transact(fail)
    assert read(house) == 1
    assert house.effects("unfinished") == 0


def test_a_change_whose_commit_was_not_answered_is_made_once(house: House) -> None:
    house.proxy.lose_answer_to(COMMIT)
    assert change(house, "once") == {"subject": "once"}
    assert house.proxy.has_lost
    assert house.effects("once") == 1


def test_a_change_whose_time_ran_out_at_the_commit_is_told_of_when_asked_again(
    house: House,
) -> None:
    read(house)
    house.proxy.freeze_at(COMMIT)
    with refused_in_time():
        change(house, "unknown", seconds=SECONDS)
    house.proxy.thaw()
    assert change(house, "unknown") == {"subject": "unknown"}
    assert house.effects("unknown") == 1


def test_connections_that_were_killed_meanwhile_are_not_noticed(house: House) -> None:
    for number in range(3):
        assert change(house, f"change {number}")
        house.kill_connections()
    assert read(house) == 1


def test_a_read_on_a_connection_that_was_killed_a_moment_ago_is_done_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is, nobody asks whether it is still there.
    monkeypatch.setattr(mysql, "HEARD_SECONDS", 3600)
    alone = connect(house.proxy.uri, pool_size=1, statements_alone=True)
    reading, tries = replace(house, engine=alone), []

    def look(session: Session) -> int:
        tries.append(1)
        return session.scalars(select(1)).one()

    assert reading.store().read(look) == 1
    house.kill_connections()
    tries.clear()
    assert reading.store().read(look) == 1
    assert len(tries) > 1, "it was noticed before"
    alone.dispose()


def test_a_change_on_a_connection_that_was_killed_a_moment_ago_is_made_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysql, "HEARD_SECONDS", 3600)
    change(house, "a moment ago")
    house.kill_connections()
    decided: list[str] = []

    def decide(session: Session) -> dict[str, str]:
        decided.append("now")
        return write(session, "now")

    assert house.store(key="now").change(("write", "now"), decide) == {"subject": "now"}
    assert decided == ["now"], "it was noticed by the statement before"
    assert house.effects("now") == 1


def test_a_transaction_whose_connection_is_killed_runs_again_from_its_start(house: House) -> None:
    subject, tries = "killed", []

    def work(session: Session) -> dict[str, str]:
        told = write(session, subject)
        if not tries:
            house.kill_connections()
        tries.append(1)
        return told | {"at": str(session.scalar(text("SELECT 1")))}

    house.store(key=subject).change(("write", subject), work)
    assert len(tries) == 2
    assert house.effects(subject) == 1


def test_nothing_is_left_of_a_transaction_that_was_cut_off(house: House) -> None:
    def work(session: Session) -> None:
        write(session, "half")
        house.proxy.cut()
        session.scalar(text("SELECT 1"))

    with refused_in_time():
        house.store(key="half", seconds=SECONDS).change(("write", "half"), work)
    assert house.effects("half") == 0
    house.proxy.restore()
    assert change(house, "half")
    assert house.effects("half") == 1


def test_a_database_that_was_away_is_used_again_by_the_same_process(house: House) -> None:
    read(house)
    house.proxy.cut()
    with refused_in_time():
        read(house, seconds=SECONDS)
    house.proxy.restore()
    assert read(house) == 1


@pytest.mark.parametrize("known", [True, False], ids=["pooled connections", "new connections"])
def test_a_silent_database_costs_nobody_more_than_the_deadline(house: House, known: bool) -> None:
    everybody = 4 * POOL
    with ThreadPoolExecutor(everybody) as crowd:
        if known:
            list(crowd.map(lambda _: read(house), range(everybody)))
        house.proxy.freeze()

        def refused(_: int) -> bool:
            with refused_in_time():
                read(house, seconds=SECONDS)
            return True

        # Some of them wait for a connection of the pool.
        assert all(crowd.map(refused, range(everybody)))
    house.proxy.thaw()
    assert read(house) == 1


def test_a_database_that_falls_silent_in_a_transaction_costs_no_more_than_the_deadline(
    house: House,
) -> None:
    def work(session: Session) -> None:
        write(session, "silent")
        time.sleep(SECONDS / 2)
        house.proxy.freeze()
        session.scalar(text("SELECT 1"))

    with refused_in_time():
        house.store(key="silent", seconds=SECONDS).change(("write", "silent"), work)
    house.proxy.cut()
    house.proxy.thaw()
    house.proxy.restore()
    assert change(house, "silent")
    assert house.effects("silent") == 1


@contextmanager
def locked(house: House) -> Iterator[None]:
    """Somebody else holds the row that ``touch`` wants."""
    change(house, "held")
    with house.direct.begin() as connection:
        connection.execute(update(Outbox).where(Outbox.subject == "held").values(name="theirs"))
        yield


def touch(session: Session) -> str:
    session.execute(update(Outbox).where(Outbox.subject == "held").values(name="mine"))
    return "touched"


@pytest.mark.parametrize("seconds", [0.5, 2.5], ids=["before", "after"])
def test_a_lock_is_waited_for_until_the_deadline_before_and_after_the_servers_own_limit(
    house: House, seconds: float
) -> None:
    with locked(house):
        began = time.monotonic()
        with pytest.raises(errors.Unavailable):
            house.store(seconds=seconds).transact(touch)
        assert time.monotonic() - began < LATE
    assert house.store().transact(touch) == "touched"


def test_a_lock_that_is_let_go_in_time_is_had(house: House) -> None:
    with ThreadPoolExecutor(1) as aside:
        with locked(house):
            waiting = aside.submit(house.store().transact, touch)
            time.sleep(2.5)
        assert waiting.result() == "touched"


def test_what_comes_too_late_to_be_done_in_time_is_not_begun(house: House) -> None:
    begun: list[Callable[..., object]] = []
    with pytest.raises(errors.Unavailable):
        house.store(seconds=0.02).transact(begun.append)
    assert begun == []


def test_what_was_done_too_late_is_taken_back_and_done_when_asked_again(house: House) -> None:
    def slow(session: Session) -> dict[str, str]:
        told = write(session, "slow")
        time.sleep(3 * SECONDS + 0.05)
        return told

    with pytest.raises(DeadlineExceeded):
        house.store(key="slow", seconds=3 * SECONDS).change(("write", "slow"), slow)
    assert house.effects("slow") == 0
    assert change(house, "slow") == {"subject": "slow"}
    assert house.effects("slow") == 1


def test_a_relay_that_stops_does_not_wait_for_a_frozen_database(house: House) -> None:
    provider = OutboxRelay(PatientBase, outbox=Outbox, turn=RelayTurn, source="patient")
    provider.engine = house.engine
    provider.relay = Relay(
        house.engine, outbox=Outbox, turn=RelayTurn, source="patient", awaited={}, connect=Mock()
    )
    provider.thread, provider.ended = Mock(), Mock()
    assert provider.relay._turn.take()
    house.proxy.freeze()
    began = time.monotonic()
    provider.stop()
    assert time.monotonic() - began < LATE
