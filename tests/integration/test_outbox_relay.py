"""The relay on real servers: each subject's events in order, none missing, whatever happens."""

import logging
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kombu import Connection, Queue
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from config.clock import utc_now
from config.database import connect
from config.messaging.held import FIRST_PAUSE, LONGEST_PAUSE
from config.messaging.publisher import Fate, Publisher
from config.messaging.relay import BATCH
from config.messaging.turn import TURN
from config.messaging.wake import Waker, wake_after_commit
from config.metrics import OUTBOX_UNROUTABLE, OUTBOX_WAITING
from patient.models import Outbox, RelayTurn
from tests.broker_proxy import broker_proxy
from tests.integration.outbox import Post, Subscriber, at_work, open_post, wait_for

WRITERS, EVENTS_EACH, SUBJECTS = 20, 40, 15
AFTERWARDS = "afterwards"


@pytest.fixture
def post(addresses: dict[str, str]) -> Iterator[Post]:
    with open_post(addresses) as post:
        yield post


def test_what_was_committed_arrives_and_is_marked(post: Post) -> None:
    with post.subscriber() as subscriber, at_work(post.relay()):
        ids = [post.write("1"), post.write("2"), post.write("1")]
        wait_for(lambda: post.unpublished == 0)
        assert sorted(event["id"] for event in subscriber.take()) == sorted(ids)
        assert subscriber.first_deliveries == {"1": [1, 2], "2": [1]}


def test_a_row_that_is_committed_late_is_not_passed_over(post: Post) -> None:
    """Its position is lower than those that were published meanwhile."""
    with post.subscriber() as subscriber, at_work(post.relay()):
        with Session(post.engine) as late, late.begin():
            post.add(late, "late", 1)
            later = post.write("later")
            wait_for(lambda: post.is_published(later))
        wait_for(lambda: "late" in subscriber.first_deliveries)


def test_events_of_a_subject_arrive_in_order_when_thousands_wait(post: Post) -> None:
    with Session(post.engine) as session, session.begin():
        for sequence in range(1, 11):
            for subject in range(100):
                post.add(session, str(subject), sequence)
        for sequence in range(1, 301):
            post.add(session, "one", sequence)
    with post.subscriber() as subscriber, at_work(post.relay()):
        wait_for(lambda: post.unpublished == 0, seconds=30)
        told = subscriber.first_deliveries
        assert told.pop("one") == list(range(1, 301))
        assert set(map(tuple, told.values())) == {tuple(range(1, 11))} and len(told) == 100


def test_many_events_take_as_many_statements_as_one(post: Post) -> None:
    for subject in range(50):
        post.write(str(subject))
    told, relay = [], post.relay()
    relay._turn.take()
    event.listen(post.engine, "before_cursor_execute", lambda *each: told.append(each[2]))
    relay._publish_all(relay._new_publisher())
    assert [statement.split()[0] for statement in told] == ["SELECT", "UPDATE"]
    assert post.unpublished == 0
    relay.close()


def test_killed_between_publishing_and_marking_it_is_published_again_under_its_id(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(positions: object) -> None:
        raise SystemExit

    with post.subscriber() as subscriber:
        event_id, first = post.write("1"), post.relay()
        with monkeypatch.context() as blow, pytest.raises(SystemExit):
            blow.setattr(first._rows, "mark", killed)
            first.run()
        first.close()
        with at_work(post.relay()):
            wait_for(lambda: post.unpublished == 0)
        assert [event["id"] for event in subscriber.take()] == [event_id, event_id]


# Several relays


def write_much(post: Post, *, pause: float = 0.02) -> list[threading.Thread]:
    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(EVENTS_EACH):
            post.write(str(chance.randrange(SUBJECTS)))
            time.sleep(chance.uniform(0, pause))

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(WRITERS)]
    for writer in writers:
        writer.start()
    return writers


def check_all_came_in_order(
    post: Post, subscriber: Subscriber, writers: list[threading.Thread]
) -> None:
    for writer in writers:
        writer.join()
    wait_for(lambda: post.unpublished == 0, seconds=30)
    told = subscriber.first_deliveries
    told.pop(AFTERWARDS, None)
    assert sum(map(len, told.values())) == WRITERS * EVENTS_EACH
    assert all(seen == list(range(1, len(seen) + 1)) for seen in told.values())


def test_two_relays_publish_everything_once_while_twenty_write(post: Post) -> None:
    with post.subscriber() as subscriber, at_work(post.relay()), at_work(post.relay()):
        check_all_came_in_order(post, subscriber, write_much(post))
        assert len(subscriber.events) == WRITERS * EVENTS_EACH


@pytest.mark.parametrize("blow", ["killed", "frozen"])
def test_when_a_relay_is_gone_the_other_takes_over(post: Post, tmp_path: Path, blow: str) -> None:
    with post.subscriber() as subscriber, post.process(tmp_path / "log") as process:
        wait_for(lambda: post.holder)
        first = post.holder
        with at_work(post.relay()):
            writers = write_much(post, pause=0.2)
            wait_for(lambda: len(subscriber.take()) > 100)
            process.send_signal(signal.SIGKILL if blow == "killed" else signal.SIGSTOP)
            struck = time.monotonic()
            wait_for(lambda: post.holder != first)
            assert time.monotonic() - struck < TURN.total_seconds() + 3
            post.write(AFTERWARDS)
            wait_for(lambda: AFTERWARDS in subscriber.first_deliveries)
            if blow == "frozen":
                process.send_signal(signal.SIGCONT)
            check_all_came_in_order(post, subscriber, writers)
    assert len(subscriber.events) <= WRITERS * EVENTS_EACH + 1 + BATCH


def test_a_relay_that_is_stopped_after_any_statement_leaves_no_row_locked(post: Post) -> None:
    uri = post.engine.url.render_as_string(hide_password=False)
    own = connect(uri, pool_size=1, statements_alone=True)
    done: set[str] = set()

    @event.listens_for(own, "after_cursor_execute")
    def look(connection: object, cursor: object, statement: str, *_: object) -> None:
        done.add(statement.split()[0])
        with post.engine.begin() as other:
            for column in (Outbox.position, RelayTurn.id):
                other.execute(select(column).with_for_update(nowait=True))

    post.write("1")
    with at_work(replace(post, engine=own).relay()):
        wait_for(lambda: post.unpublished == 0)
    own.dispose()
    assert done == {"INSERT", "SELECT", "UPDATE"}


def test_a_relay_that_stops_gives_its_turn_to_the_next(post: Post) -> None:
    with at_work(post.relay()):
        wait_for(lambda: post.holder)
        ending = time.monotonic()
    assert time.monotonic() - ending < 1
    assert post.holder is None


# Being woken


def test_a_commit_wakes_the_relay(post: Post) -> None:
    waker = Waker(post.broker, source=post.source)
    thread = threading.Thread(target=waker.run)
    thread.start()
    try:
        with post.subscriber(), at_work(post.relay(poll_seconds=60)):
            wait_for(lambda: post.holder)
            sessions = type("Sessions", (Session,), {})
            wake_after_commit(sessions, waker)
            ids = []
            for number in range(3):
                with sessions(post.engine) as session, session.begin(), session.begin_nested():
                    ids.append(post.add(session, str(number), 1))
                wait_for(lambda: post.is_published(ids[-1]))
    finally:
        waker.stop()
        thread.join()


@pytest.mark.parametrize("done", ["rolled back", "of no event"])
def test_nothing_is_told_of_a_transaction_without_events(post: Post, done: str) -> None:
    told: list[None] = []
    sessions = type("Sessions", (Session,), {})
    wake_after_commit(sessions, type("Deaf", (), {"tell": lambda self: told.append(None)})())
    with sessions(post.engine) as session:
        if done == "rolled back":
            post.add(session, "1", 1)
            session.rollback()
        session.execute(text("SELECT 1"))
        session.commit()
    assert told == []


def test_a_commit_does_not_wait_for_a_broker_that_says_nothing(post: Post) -> None:
    with broker_proxy(post.broker) as proxy:
        proxy.freeze()
        waker = Waker(proxy.uri, source=post.source)
        thread = threading.Thread(target=waker.run)
        thread.start()
        begun = time.monotonic()
        for _ in range(1000):
            waker.tell()
        assert time.monotonic() - begun < 0.5
        waker.stop()
        thread.join(10)
        assert not thread.is_alive()


# What cannot be published


def queue_name() -> str:
    return f"test-{uuid.uuid4().hex}"


def told_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.levelname == "ERROR"]


def test_what_somebody_awaits_and_no_queue_takes_is_kept_and_told_of(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="outbox")
    metric, name = OUTBOX_UNROUTABLE.labels(post.source), queue_name()
    with at_work(post.relay(awaited={"erased": (name,)})):
        kept, behind = post.write("1", "erased"), post.write("1")
        other = post.write("2")
        wait_for(lambda: post.is_published(other))
        wait_for(lambda: metric._value.get() == 1)
        assert not post.is_published(kept) and not post.is_published(behind)
        (line,) = told_of(caplog)
        assert "clinic topology" in line.message and line.__dict__["event"] == "erased"
        with post.subscriber(name) as subscriber:
            wait_for(lambda: post.unpublished == 0)
            assert subscriber.first_deliveries == {"1": [1, 2]}
        wait_for(lambda: metric._value.get() == 0)


def test_what_two_queues_await_is_kept_while_one_of_them_is_missing(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """The other one, and a subscriber to everything, would each take it alone."""
    names = queue_name(), queue_name()
    with post.subscriber(), post.subscriber(names[0]) as first:
        with at_work(post.relay(awaited={"erased": names})):
            post.write("1", "erased")
            post.write("1")
            other = post.write("2")
            wait_for(lambda: post.is_published(other) and told_of(caplog))
            assert post.unpublished == 2
            assert "1" not in first.first_deliveries
            with post.subscriber(names[1]) as second:
                wait_for(lambda: post.unpublished == 0)
                for each in (first, second):
                    assert each.first_deliveries["1"] == [1, 2]


def test_a_queue_that_is_there_and_takes_nothing_is_not_enough(post: Post) -> None:
    with Connection(post.broker) as broker:
        queue = Queue(queue_name(), durable=False, auto_delete=True)(broker.default_channel)
        queue.queue_declare()
        with at_work(post.relay(awaited={"erased": (queue.name,)})):
            post.write("1", "erased")
            wait_for(lambda: OUTBOX_UNROUTABLE.labels(post.source)._value.get() == 1)
            queue.bind_to(f"{post.source}.events", routing_key="erased")
            wait_for(lambda: post.unpublished == 0)
        queue.delete()


def test_what_nobody_subscribed_to_is_published_all_the_same(post: Post) -> None:
    with at_work(post.relay(awaited={"erased": (queue_name(),)})):
        told = post.write("1", "updated")
        wait_for(lambda: post.is_published(told))


def test_more_subjects_than_a_batch_that_wait_do_not_hold_up_the_others(post: Post) -> None:
    with Session(post.engine) as session, session.begin():
        for subject in range(3 * BATCH):
            post.add(session, f"kept-{subject}", 1, "erased")
    other = post.write("other")
    with at_work(post.relay(awaited={"erased": (queue_name(),)})):
        wait_for(lambda: post.is_published(other))
        assert post.unpublished == 3 * BATCH
        wait_for(lambda: OUTBOX_WAITING.labels(post.source)._value.get() == 3 * BATCH)


def test_an_event_does_not_overtake_one_whose_pause_ends_before_the_batch_does(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those behind it were read together with it."""
    settle, waves = Publisher.settle, []

    def refuse_first_and_linger(publisher: Publisher) -> dict[str, Fate]:
        fates = settle(publisher)
        waves.append(fates)
        if len(waves) == 2:
            time.sleep(FIRST_PAUSE)
        return fates | ({first: Fate.REFUSED} if len(waves) == 1 else {})

    with post.subscriber() as subscriber:
        first, *_ = (post.write(subject) for subject in ("1", "1", "1", "2", "2"))
        monkeypatch.setattr(Publisher, "settle", refuse_first_and_linger)
        with at_work(post.relay()):
            wait_for(lambda: post.unpublished == 0)
        order = [event["sequence"] for event in subscriber.take() if event["subject"] == "1"]
    assert order == [1, 1, 2, 3]


def test_what_a_full_queue_refuses_comes_when_there_is_room_in_order(post: Post) -> None:
    with post.subscriber(x_max_length=1, x_overflow="reject-publish") as full:
        with at_work(post.relay()):
            for _ in range(3):
                post.write("1")
            wait_for(lambda: full.take() and post.unpublished == 0, seconds=2 * LONGEST_PAUSE)
            assert full.first_deliveries == {"1": [1, 2, 3]}


# When the broker is away


def test_rows_wait_for_a_broker_that_is_away(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="outbox")
    with post.subscriber() as subscriber, broker_proxy(post.broker) as proxy:
        with at_work(post.relay(broker=proxy.uri)):
            wait_for(lambda: post.holder)
            proxy.cut()
            wait_for(lambda: "relay waits" in caplog.messages)
            post.write("1")
            post.write("1")
            assert post.unpublished == 2
            proxy.restore()
            wait_for(lambda: post.unpublished == 0)
            wait_for(lambda: "relay goes on" in caplog.messages)
        assert subscriber.first_deliveries == {"1": [1, 2]}
    assert caplog.messages.count("relay waits") == 1


# Looking for what waits


def test_a_long_history_does_not_slow_the_search(post: Post) -> None:
    with post.engine.begin() as connection:
        for beginning in range(0, 100_000, 5_000):
            connection.execute(Outbox.__table__.insert(), [
                {"id": f"{number:036}", "name": "updated", "subject": str(number), "sequence": 1,
                 "body": "{}", "published_at": utc_now()}
                for number in range(beginning, beginning + 5_000)
            ])
    post.write("new")
    with post.engine.connect() as connection:
        connection.execute(text("ANALYZE TABLE outbox")).all()
        (plan,) = connection.execute(text(
            "EXPLAIN SELECT position, id, name, subject, body FROM outbox WHERE published_at "
            "IS NULL AND subject NOT IN ('1', '2') ORDER BY position LIMIT 100"
        )).mappings()
    assert plan["key"] == "ix_outbox_unpublished" and int(plan["rows"]) < 10
    assert "filesort" not in plan["Extra"]
