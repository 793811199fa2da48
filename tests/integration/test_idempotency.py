"""One key, one effect, one answer: on MariaDB, where rows are locked, and on SQLite."""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from nameko_sqlalchemy.database import DatabaseWrapper, Session
from sqlalchemy import Engine, event, select, update
from sqlalchemy.engine import URL
from sqlalchemy.orm import sessionmaker

from config.answers import KEPT_FOR, forget_answers_about, forget_some_answers
from config.database import Transactions, connect
from config.encryption import VAULT, Unreadable
from config.idempotency import Store
from config.messaging.call import Call
from config.migration import upgrade
from config.programs import catalogue
from patient.models import Answer, Outbox
from schemas import errors
from tests.vaults import vault_for
from tests.waiting import PATIENCE

OURS = vault_for("patient")


@pytest.fixture
def engine(database_urls: dict[str, URL]) -> Iterator[Engine]:
    url = database_urls["patient"]
    upgrade(scripts=catalogue().databases["patient"], url=url, vault=OURS)
    engine = connect(url.render_as_string(hide_password=False), pool_size=10)
    yield engine
    engine.dispose()


class Caller:
    """Sends changes with one key, as a client that sends again would."""

    def __init__(
        self, engine: Engine, *, key: str | None = None, seconds: float = PATIENCE
    ) -> None:
        self.context: dict[str, Any] = {}
        self.call = Call(
            correlation_id="c",
            deadline=time.time() + seconds,
            key=key or uuid.uuid4().hex,
            context=self.context,
        )
        sessions = DatabaseWrapper(
            sessionmaker(bind=engine, class_=Session, info={VAULT: OURS})
        )
        transactions = Transactions(
            sessions, deadline=lambda: self.call.deadline, unavailable=errors.Unavailable
        )
        self.store = Store(
            transactions,
            call=lambda: self.call,
            answers=Answer,
            errors=errors,
            vault=OURS,
            subject="subject",
        )

    @property
    def replayed(self) -> bool:
        return bool(self.context.get("replayed"))


def write(session: Session) -> dict[str, str]:
    """An effect that can be counted: a row, and its id as the answer."""
    number = str(uuid.uuid4())
    # Published already, so that no relay that runs beside takes it for an event.
    done = datetime.now(UTC)
    row = Outbox(id=number, name="n", subject=number, sequence=1, body="{}", published_at=done)
    session.add(row)
    return {"id": row.id}


def written(engine: Engine, answer: dict[str, str]) -> bool:
    with Session(engine) as session:
        return session.scalar(select(Outbox).filter_by(id=answer["id"])) is not None


def refuse(session: Session) -> dict[str, str]:
    write(session)
    raise errors.SlotTaken()


def test_the_same_key_and_request_act_once_and_answer_alike(engine: Engine) -> None:
    first = Caller(engine)
    answer = first.store.change(("create", {"a": 1}), write)
    again = Caller(engine, key=first.call.key)
    assert again.store.change(("create", {"a": 1}), refuse) == answer
    assert (first.replayed, again.replayed) == (False, True)
    assert written(engine, answer)


def test_another_key_acts_again(engine: Engine) -> None:
    answers = [Caller(engine).store.change(("create", {}), write) for _ in range(2)]
    assert answers[0] != answers[1]


@pytest.mark.parametrize("other", [("create", {"a": 2}), ("update", {"a": 1})])
def test_the_same_key_with_another_request_is_refused(engine: Engine, other: Any) -> None:
    first = Caller(engine)
    first.store.change(("create", {"a": 1}), write)
    with pytest.raises(errors.IdempotencyKeyReused):
        Caller(engine, key=first.call.key).store.change(other, write)


def test_a_refusal_has_no_effect_and_stays_a_refusal(engine: Engine) -> None:
    first, effects = Caller(engine), []

    def refuse_after_writing(session: Session) -> None:
        effects.append(write(session))
        session.flush()
        raise errors.SlotTaken()

    with pytest.raises(errors.SlotTaken):
        first.store.change(("create", {}), refuse_after_writing)
    again = Caller(engine, key=first.call.key)
    with pytest.raises(errors.SlotTaken):
        again.store.change(("create", {}), write)
    assert again.replayed
    assert not written(engine, effects[0])


def test_who_is_overtaken_while_a_refusal_is_taken_back_gets_the_answer_of_the_other(
    engine: Engine,
) -> None:
    first, request = Caller(engine), ("create", {})
    other, answers = Caller(engine, key=first.call.key), []

    def refuse_and_be_overtaken(session: Session) -> None:
        def overtake(_: Session) -> None:
            answers.append(other.store.change(request, write))

        event.listen(session, "after_rollback", overtake, once=True)
        refuse(session)

    assert [first.store.change(request, refuse_and_be_overtaken)] == answers
    assert (first.replayed, other.replayed) == (True, False)
    assert written(engine, answers[0])


def test_a_failure_that_decided_nothing_can_be_tried_again_with_its_key(engine: Engine) -> None:
    first = Caller(engine)

    def fail(session: Session) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        first.store.change(("create", {}), fail)
    answer = Caller(engine, key=first.call.key).store.change(("create", {}), write)
    assert written(engine, answer)


def test_a_known_answer_is_given_without_preparing_for_another(engine: Engine) -> None:
    first, request = Caller(engine), ("book", {})
    answer = first.store.change_after(lambda: "asked", request, lambda session, _: write(session))

    def ask_in_vain() -> str:
        raise errors.Unavailable("patient")

    again = Caller(engine, key=first.call.key)
    kept = again.store.change_after(ask_in_vain, request, lambda session, _: write(session))
    assert kept == answer


def test_answers_are_forgotten_after_24_hours_and_not_before(engine: Engine) -> None:
    caller = Caller(engine)
    caller.store.change(("create", {}), write)
    minute = timedelta(minutes=1)
    for age, known in ((KEPT_FOR - minute, True), (KEPT_FOR + minute, False)):
        with Session(engine) as session, session.begin():
            forget_some_answers(session, Answer, now=datetime.now(UTC) + age)
        kept = caller.store.transact(
            lambda session: session.scalar(select(Answer).filter_by(key=caller.store._key()))
        )
        assert (kept is not None) is known


# Answers hold what was asked about people.


def kept_row(engine: Engine, caller: Caller) -> Any:
    mine = select(Answer.__table__).where(Answer.key == caller.store._key())
    with engine.connect() as connection:
        return connection.execute(mine).one()


def test_neither_key_nor_request_nor_answer_is_kept_in_plain(engine: Engine) -> None:
    caller = Caller(engine, key=f"marker-{uuid.uuid4().hex}")
    caller.store.change(("create", {"name": "marker"}), lambda session: {"name": "marker"})
    with engine.connect() as connection:
        cells = [cell for row in connection.execute(select(Answer.__table__)) for cell in row]
    assert not [cell for cell in cells if "marker" in repr(cell)]
    plain = hashlib.sha256(b'["create",{"name":"marker"}]').hexdigest()
    assert kept_row(engine, caller).fingerprint != plain


def test_an_answer_put_under_another_key_is_not_given(engine: Engine) -> None:
    first, other = Caller(engine), Caller(engine)
    for caller in (first, other):
        caller.store.change(("create", {}), write)
    stolen = kept_row(engine, first).answer

    def put(session: Session) -> None:
        session.execute(update(Answer).filter_by(key=other.store._key()).values(answer=stolen))

    other.store.transact(put)
    with pytest.raises(Unreadable):
        Caller(engine, key=other.call.key).store.change(("create", {}), write)


def test_an_answer_about_somebody_who_is_forgotten_becomes_a_refusal(engine: Engine) -> None:
    subject = int(uuid.uuid4().int % 10**9)
    about, other = Caller(engine), Caller(engine)
    about.store.change(("create", {}), lambda session: {"subject": subject, "name": "Ada"})
    kept = other.store.change(("create", {}), lambda session: {"subject": subject + 1})

    def forget(session: Session) -> None:
        gone = errors.PatientNotFound(subject)
        forget_answers_about(session, Answer, subject, instead=gone)

    for _ in range(2):
        about.store.transact(forget)
    again = Caller(engine, key=about.call.key)
    with pytest.raises(errors.PatientNotFound, match=f"There is no patient {subject}."):
        again.store.change(("create", {}), write)
    assert again.replayed
    assert kept_row(engine, about).subject is None
    assert Caller(engine, key=other.call.key).store.change(("create", {}), write) == kept


# SQLite has one writer at a time: there is no row to wait for.
on_mariadb = pytest.mark.parametrize("database_urls", ["mariadb"], indirect=True)


def side_by_side(*work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result() for future in [pool.submit(each) for each in work]]


@on_mariadb
def test_two_requests_with_one_key_at_once_act_once_and_answer_alike(engine: Engine) -> None:
    first, begun = Caller(engine), Event()
    second = Caller(engine, key=first.call.key)

    def slow(session: Session) -> dict[str, str]:
        begun.set()
        time.sleep(0.3)
        return write(session)

    def follow() -> dict[str, str]:
        begun.wait(PATIENCE)
        return second.store.change(("create", {}), refuse)

    answers = side_by_side(lambda: first.store.change(("create", {}), slow), follow)
    assert answers[0] == answers[1]
    assert second.replayed


@on_mariadb
def test_a_request_whose_twin_takes_too_long_is_told_to_come_back(engine: Engine) -> None:
    first, begun, done = Caller(engine), Event(), Event()

    def very_slow(session: Session) -> dict[str, str]:
        begun.set()
        done.wait(PATIENCE)
        return write(session)

    def follow() -> str:
        begun.wait(PATIENCE)
        try:
            with pytest.raises(errors.RequestInFlight):
                Caller(engine, key=first.call.key).store.change(("create", {}), write)
        finally:
            done.set()
        return "told"

    answer, told = side_by_side(lambda: first.store.change(("create", {}), very_slow), follow)
    assert told == "told"
    assert written(engine, answer)


@on_mariadb
def test_a_change_is_tried_again_after_its_connection_is_killed(engine: Engine) -> None:
    caller, tries = Caller(engine), []

    def lose_the_connection_once(session: Session) -> dict[str, str]:
        tries.append(1)
        if len(tries) == 1:
            number = session.connection().exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
            with engine.connect() as other:
                other.exec_driver_sql(f"KILL {number}")
        answer = write(session)
        session.flush()
        return answer

    answer = caller.store.change(("create", {}), lose_the_connection_once)
    assert (len(tries), written(engine, answer)) == (2, True)


@on_mariadb
def test_changes_that_deadlock_are_tried_again_until_both_are_done(engine: Engine) -> None:
    rows = [Caller(engine).store.change(("create", {}), write)["id"] for _ in range(2)]
    gate, tries = Barrier(2), []

    def change(first: str, second: str) -> None:
        def decide(session: Session) -> str:
            tries.append(first)
            for number in (first, second):
                session.execute(update(Outbox).filter_by(id=number).values(body="[]"))
                if len(tries) <= 2 and number == first:
                    gate.wait(PATIENCE)
            return "done"

        assert Caller(engine).store.change(("swap", [first, second]), decide) == "done"

    side_by_side(lambda: change(*rows), lambda: change(*reversed(rows)))
    assert len(tries) == 3, "one of the two was chosen as the victim, and went again"


def test_a_database_that_is_not_there_is_unavailable_and_names_no_address(tmp_path: Path) -> None:
    engine = connect("mysql+pymysql://nobody:secret@127.0.0.1:1/clinic_patient")
    with pytest.raises(errors.Unavailable) as refused:
        Caller(engine, seconds=2).store.change(("create", {}), write)
    assert refused.value.args == ("database",)
