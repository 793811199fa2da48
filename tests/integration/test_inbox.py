"""What comes twice has its effect once: on MariaDB, where rows are locked, and on SQLite."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from appointment.background import AppointmentBackground
from appointment.models import Answer, Erasure, Inbox
from appointment.repository import Erasures
from config.clock import utc_now
from config.idempotency import Store
from config.messaging.call import Call
from config.messaging.inbox import BATCH, entered, forget_some_events
from config.messaging.topology import DEAD_LETTER_DAYS
from schemas import errors
from tests.integration.databases import migrated, transactions
from tests.vaults import vault_for
from tests.waiting import PATIENCE

OURS = vault_for("appointment")


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    with migrated("appointment", database_urls["appointment"], OURS) as engine:
        with Session(engine) as session, session.begin():
            for table in (Inbox, Erasure):
                session.query(table).delete()
        yield engine


def store(engine: Engine, event: str, *, handler: str = "a.b") -> Store:
    call = Call(correlation_id="c", deadline=time.time() + PATIENCE, key=event, context={})
    return Store(
        transactions(engine, OURS), call=lambda: call, answers=Answer, errors=errors, vault=OURS,
        inbox=Inbox, handler=handler,
    )


def effect(number: int) -> Callable[[Session], None]:
    """One that fails where it is there already."""
    return lambda session: session.add(
        Erasure(patient_id=number, erased_at=utc_now(), settled_at=None)
    )


def effects(engine: Engine) -> list[int]:
    with Session(engine) as session:
        return sorted(session.scalars(select(Erasure.patient_id)))


def handled(engine: Engine) -> list[tuple[str, str]]:
    with Session(engine) as session:
        return sorted((row.event_id, row.handler) for row in session.scalars(select(Inbox)))


def test_the_same_event_again_does_nothing_and_says_so(engine: Engine) -> None:
    for again in (False, True):
        here = store(engine, "one")
        here.once(effect(1))
        assert here._call().replayed is again
    assert effects(engine) == [1] and handled(engine) == [("one", "a.b")]


def test_another_event_and_another_handler_act_for_themselves(engine: Engine) -> None:
    store(engine, "one").once(effect(1))
    store(engine, "two").once(effect(2))
    store(engine, "one", handler="a.c").once(effect(3))
    store(engine, "ONE").once(effect(4))
    assert effects(engine) == [1, 2, 3, 4]


def test_an_effect_that_fails_leaves_no_trace_and_can_be_tried_again(engine: Engine) -> None:
    def fail(session: Session) -> None:
        effect(1)(session)
        session.flush()
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        store(engine, "one").once(fail)
    assert effects(engine) == [] and handled(engine) == []
    store(engine, "one").once(effect(1))
    assert effects(engine) == [1]


def test_who_comes_while_the_first_is_at_it_waits_and_does_nothing(engine: Engine) -> None:
    begun, go_on = Event(), Event()

    def slowly(session: Session) -> None:
        effect(1)(session)
        begun.set()
        assert go_on.wait(PATIENCE)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store(engine, "one").once, slowly)
        assert begun.wait(PATIENCE)
        second = pool.submit(store(engine, "one").once, effect(2))
        go_on.set()
        for each in (first, second):
            each.result(PATIENCE)
    assert effects(engine) == [1]


def test_many_at_the_same_moment_act_once(engine: Engine) -> None:
    gate = Barrier(8)

    def together(number: int) -> None:
        gate.wait(PATIENCE)
        store(engine, "one").once(effect(number))

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(together, number) for number in range(8)]:
            each.result(PATIENCE)
    assert len(effects(engine)) == 1


def test_what_comes_no_more_is_forgotten_a_batch_at_a_time_and_nothing_else(
    engine: Engine
) -> None:
    now = utc_now()
    old, young = now - timedelta(days=31), now - timedelta(days=29)
    with Session(engine) as session, session.begin():
        for number in range(BATCH + 1):
            entered(session, Inbox, event_id=f"old-{number}", handler="a.b", now=old)
        entered(session, Inbox, event_id="old-0", handler="a.c", now=young)
        entered(session, Inbox, event_id="young", handler="a.b", now=young)
    taken = []
    while not taken or taken[-1]:
        with Session(engine) as session, session.begin():
            taken.append(forget_some_events(session, Inbox, before=now - timedelta(days=30)))
    assert taken == [BATCH, 1, 0]
    assert handled(engine) == [("old-0", "a.c"), ("young", "a.b")]


def test_remembering_an_erasure_twice_is_no_failure_of_its_own(engine: Engine) -> None:
    for event in ("one", "two"):
        store(engine, event).once(
            lambda session: Erasures(session).remember(7, now=utc_now())
        )
    assert effects(engine) == [7]


def test_housekeeping_forgets_what_is_older_than_it_is_told(engine: Engine) -> None:
    now = utc_now()
    with Session(engine) as session, session.begin():
        for days in (39, 41):
            at = now - timedelta(days=days)
            entered(session, Inbox, event_id=f"{days} days", handler="a.b", now=at)
    service = AppointmentBackground()
    service.store, service.clock = store(engine, "timer"), lambda: now
    service.config = {"EVENT_DAYS": 40}
    service.forget_handled_events()
    assert handled(engine) == [("39 days", "a.b")]


def test_what_was_handled_is_known_longer_than_a_dead_letter_of_it_could_be_sent_again(
    engine: Engine
) -> None:
    now = utc_now()
    with Session(engine) as session, session.begin():
        for days in (DEAD_LETTER_DAYS, DEAD_LETTER_DAYS + 2):
            at = now - timedelta(days=days)
            entered(session, Inbox, event_id=f"{days} days", handler="a.b", now=at)
    service = AppointmentBackground()
    service.store, service.clock = store(engine, "timer"), lambda: now
    service.config = {"EVENT_DAYS": 7}
    service.forget_handled_events()
    assert handled(engine) == [(f"{DEAD_LETTER_DAYS} days", "a.b")]
