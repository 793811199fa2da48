"""Accounts and sessions when several ask at once, decided by MariaDB."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.engine import make_url

from config.clock import utc_now
from config.database import connect
from gateway import sign_in
from gateway.accounts import Accounts
from gateway.administration import change
from gateway.first_people import make_first_administrator
from gateway.models import Account, FamiliarAddress, Session
from gateway.office import Office
from gateway.registration import register
from schemas.accounts import ADMIN, PATIENT, STAFF
from schemas.errors import SchedulingError, Unauthenticated
from tests.unit.gateway.fakes import (
    ADA,
    ADAS_PASSWORD,
    FakePool,
    Patients,
    embedded_in,
    migrate,
    new_account,
    office_on,
    visit_to,
)
from tests.waiting import PATIENCE

OTHER = "jumpy otter 58"
ROUNDS = 8
_numbers = count(1)


@pytest.fixture(scope="module")
def patients() -> Patients:
    return Patients()


@pytest.fixture(scope="module")
def office(
    addresses: dict[str, str], patients: Patients, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Office]:
    """On a database of its own: administrators are counted in all of it."""
    url = make_url(addresses["DATABASE_URL"])
    own = url.set(database=f"{url.database}_accounts").render_as_string(hide_password=False)
    settings = embedded_in(
        tmp_path_factory.mktemp("office"), amqp_uri=addresses["AMQP_URI"], database_url=own
    )
    migrate(settings)
    made = office_on(settings, FakePool(patient_create=patients))
    yield replace(made, settings=settings)
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE `{settings.database('gateway').database}`"))
    server.dispose()


@pytest.fixture
def email() -> str:
    """An address nobody else has."""
    return f"ada-{next(_numbers)}@example.org"


@pytest.fixture
def ada(office: Office, email: str) -> int:
    hashed = office.passwords.hash(ADAS_PASSWORD, seconds=PATIENCE)
    return new_account(office, PATIENT, subject=7, email=email, password_hash=hashed)


def outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except SchedulingError as refused:
        return refused.code


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each returned, or the code of the error it raised; they begin together."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        gate.wait(PATIENCE)
        return outcome(work)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def enter(office: Office, email: str, password: str = ADAS_PASSWORD) -> dict[str, Any]:
    return sign_in.sign_in(visit_to(office), email=email, password=password)


def refresh(office: Office, token: str) -> dict[str, Any]:
    return sign_in.refresh(visit_to(office), token=token)


def alive(office: Office, pair: dict[str, Any]) -> bool:
    try:
        return visit_to(office, token=pair["accessToken"]).signed_in is not None
    except Unauthenticated:
        return False


def disable(office: Office, account_id: int) -> str:
    change(visit_to(office), account_id, {"disabled": True}, now=utc_now())
    return "disabled"


def rows(office: Office, table: Any, **where: Any) -> list[Any]:
    wanted = select(table).filter_by(**where)
    return visit_to(office).run(lambda transaction: list(transaction.scalars(wanted)))


# Sessions


@pytest.mark.parametrize("times", [2, 8])
def test_of_those_who_use_a_refresh_token_at_once_one_gets_the_next_and_loses_it_again(
    office: Office, ada: int, email: str, times: int
) -> None:
    for _ in range(ROUNDS):
        pair = enter(replace(office, limits=office_on(office.settings).limits), email)
        answers = at_once(*[lambda: refresh(office, pair["refreshToken"])] * times)
        got = [answer for answer in answers if isinstance(answer, dict)]
        assert len(got) == 1 and answers.count("unauthenticated") == times - 1
        assert not alive(office, pair) and not alive(office, got[0])
        assert outcome(lambda: refresh(office, got[0]["refreshToken"])) == "unauthenticated"


@pytest.mark.parametrize("how", ["disabled", "signed out", "password"])
def test_a_session_that_is_refreshed_while_it_ends_is_over(
    office: Office, email: str, how: str
) -> None:
    hashed = office.passwords.hash(ADAS_PASSWORD, seconds=PATIENCE)
    for number in range(ROUNDS):
        address = f"{number}-{email}"
        account_id = new_account(office, STAFF, email=address, password_hash=hashed)
        fresh = replace(office, limits=office_on(office.settings).limits)
        pair, mine = enter(fresh, address), enter(fresh, address)
        ends = {
            "disabled": lambda: disable(office, account_id),
            "signed out": lambda: sign_in.sign_out(visit_to(office, token=pair["accessToken"])),
            "password": lambda: sign_in.change_password(
                visit_to(fresh, token=mine["accessToken"]), current=ADAS_PASSWORD, new=OTHER
            ),
        }
        answer, _ = at_once(lambda: refresh(office, pair["refreshToken"]), ends[how])
        assert not alive(office, pair)
        if isinstance(answer, dict):
            assert outcome(lambda: refresh(office, answer["refreshToken"])) == "unauthenticated"


@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_who_signs_in_beside_the_end_of_their_account_is_not_signed_in(
    office: Office, email: str, how: str
) -> None:
    hashed = office.passwords.hash(ADAS_PASSWORD, seconds=PATIENCE)

    def remove(subject: int) -> str:
        visit_to(office).run(
            lambda transaction: Accounts(transaction).close_for(PATIENT, subject)
        )
        return "removed"

    for number in range(ROUNDS):
        address, subject = f"{number}-{email}", 10**6 + next(_numbers)
        account_id = new_account(
            office, PATIENT, subject=subject, email=address, password_hash=hashed
        )
        ending = {
            "disabled": lambda: disable(office, account_id), "removed": lambda: remove(subject)
        }
        fresh = replace(office, limits=office_on(office.settings).limits)
        *answers, ended = at_once(*[lambda: enter(fresh, address)] * 3, ending[how])
        assert ended == how
        for answer in answers:
            assert answer == "bad_credentials" or not alive(office, answer)
        begun = rows(office, Session, account_id=account_id)
        assert all(session.ended_at for session in begun)


def test_logins_that_the_request_and_the_event_of_an_erasure_end_at_once_are_gone(
    office: Office,
) -> None:
    def close(subject: int) -> list[int]:
        return visit_to(office).run(
            lambda transaction: Accounts(transaction).close_for(PATIENT, subject)
        )

    for _ in range(ROUNDS):
        subject = 10**6 + next(_numbers)
        ids = {new_account(office, PATIENT, subject=subject) for _ in range(2)}
        told = at_once(*[partial(close, subject)] * 4)
        assert all(isinstance(each, list) and ids.issuperset(each) for each in told), told
        assert rows(office, Account, subject_id=subject) == []


def test_one_may_sign_in_several_times_at_once(office: Office, ada: int, email: str) -> None:
    answers = at_once(*[lambda: enter(office, email)] * 8)
    assert all(alive(office, answer) for answer in answers)
    assert len(rows(office, FamiliarAddress, account_id=ada)) == 1


def test_of_two_changes_of_a_password_at_once_one_session_is_left(
    office: Office, ada: int, email: str
) -> None:
    first, second = (enter(office, email) for _ in range(2))
    news = ("another heron 32", "another otter 59")

    def changed(pair: dict[str, Any], new: str) -> str:
        visit = visit_to(office, token=pair["accessToken"])
        sign_in.change_password(visit, current=ADAS_PASSWORD, new=new)
        return new

    answers = at_once(lambda: changed(first, news[0]), lambda: changed(second, news[1]))
    (password,) = set(answers) & set(news)
    assert [alive(office, first), alive(office, second)] == [each == password for each in answers]
    assert alive(office, enter(office, email, password))


# The last administrator


@pytest.mark.parametrize("many", [2, 5])
def test_administrators_who_disable_each_other_leave_one(office: Office, many: int) -> None:
    for _ in range(ROUNDS):
        ids = [new_account(office, ADMIN) for _ in range(many)]
        answers = at_once(*[lambda each=each: disable(office, each) for each in ids])
        assert sorted(answers) == ["disabled"] * (many - 1) + ["last_administrator"]
        (last,) = rows(office, Account, role=ADMIN, disabled=False)
        assert last.id in ids
        # Makes room for the next round.
        visit_to(office).run(
            lambda transaction: transaction.execute(
                text("UPDATE account SET disabled = 1 WHERE id = :id"), {"id": last.id}
            )
        )


def test_a_demotion_is_not_undone_by_a_change_beside_it(office: Office) -> None:
    new_account(office, ADMIN)
    for _ in range(ROUNDS):
        other = new_account(office, ADMIN)
        at_once(
            lambda: change(visit_to(office), other, {"role": STAFF}, now=utc_now()),
            lambda: change(visit_to(office), other, {"password": OTHER}, now=utc_now()),
        )
        (row,) = rows(office, Account, id=other)
        if row.role == ADMIN:
            # Then it was the demotion that was refused.
            change(visit_to(office), other, {"role": STAFF}, now=utc_now())
    remaining = rows(office, Account, role=ADMIN, disabled=False)
    assert len(remaining) == 1


def test_gateways_that_start_together_make_one_first_administrator(
    office: Office, email: str
) -> None:
    for number in range(ROUNDS):
        visit_to(office).run(
            lambda transaction: transaction.execute(update(Account).values(role=STAFF))
        )
        settings = replace(
            office.settings, admin_email=f"{number}-{email}", admin_password=ADAS_PASSWORD
        )
        starting = replace(office, settings=settings)
        # In a thread each; one that failed would be a warning, and so an error.
        at_once(*[partial(make_first_administrator, starting)] * 8)
        for thread in threading.enumerate():
            if thread.name == "first administrator":
                thread.join(PATIENCE)
        assert len(rows(office, Account, role=ADMIN)) == 1


# Registration


def send(office: Office, email: str, *, key: str | None, password: str = ADAS_PASSWORD) -> int:
    body = {**ADA, "email": email, "password": password}
    return int(register(visit_to(office, key=key), body).value["id"])


@pytest.mark.parametrize(
    ("keys", "passwords"),
    [
        (("a", "b"), (ADAS_PASSWORD, ADAS_PASSWORD)),
        (("a", "b"), (ADAS_PASSWORD, OTHER)),
        ((None, None), (ADAS_PASSWORD, ADAS_PASSWORD)),
        (("a", "a"), (ADAS_PASSWORD, ADAS_PASSWORD)),
        (("a", "a"), (ADAS_PASSWORD, OTHER)),
    ],
)
def test_registrations_of_one_address_at_once_make_one_account(
    office: Office, patients: Patients, email: str, keys: tuple[str], passwords: tuple[str]
) -> None:
    for number in range(ROUNDS):
        address = f"{number}-{email}"
        fresh = replace(office, limits=office_on(office.settings).limits)
        answers = at_once(
            *[
                lambda key=key, word=word: send(fresh, address, key=key, password=word)
                for key, word in zip(keys * 2, passwords * 2, strict=True)
            ]
        )
        made = {answer for answer in answers if isinstance(answer, int)}
        assert len(made) == 1
        assert set(answers) - made <= {"email_taken", "request_in_flight"}
        key = visit_to(office).office.vault.index("email", address)
        (account,) = rows(office, Account, email_key=key)
        assert {account.subject_id} == made
        assert patients.records[address]["id"] in made
