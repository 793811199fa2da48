"""Guessing passwords: how soon it is stopped, and that the owner of an account does not feel it."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import httpx
import pytest

from tests.e2e.desk import Desk, Json, Person, login_body, password, problem, stored, unique
from tests.e2e.gateways import gateway_alone
from tests.systems import System, embedded_system

PER_MINUTE = 20
LIMITS = {"AUTH_RATE_LIMIT_PER_MINUTE": str(PER_MINUTE)}
_numbers = count(1)


@pytest.fixture(scope="module", params=["embedded", "gateway"])
def behind_a_proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """In one process, and as two workers that count together in Redis."""
    folder = tmp_path_factory.mktemp("attempts")
    settings = LIMITS | {"TRUSTED_PROXIES": "1"}
    if request.param == "embedded":
        with embedded_system(folder, **settings) as system:
            yield system
    else:
        addresses = request.getfixturevalue("addresses")
        settings["REDIS_URL"] = addresses["REDIS_URL"]
        with gateway_alone(folder, addresses, name="attempts", **settings) as system:
            yield system


@pytest.fixture
def desk(behind_a_proxy: System) -> Iterator[Desk]:
    with ExitStack() as ending:
        yield Desk(behind_a_proxy, ending)


@pytest.fixture
def victim(desk: Desk) -> Person:
    """Somebody who has not signed in yet."""
    sent = login_body("staff")
    made = stored(desk.admin.post("/accounts", json=sent))
    return Person(sent["email"], sent["password"], made["id"], "staff", {}, desk.nobody)


def new_address() -> str:
    number = next(_numbers)
    return f"198.51.{number // 256}.{number % 256}"


def attempt(
    nobody: httpx.Client, address: str, *, email: str, guess: str, proxies: str = "{address}"
) -> httpx.Response:
    headers = {"X-Forwarded-For": proxies.format(address=address)}
    return nobody.post("/auth/login", json={"email": email, "password": guess}, headers=headers)


def assert_stopped(answers: list[httpx.Response], *, before: int = 401) -> None:
    """After twenty, or a few more: the minute slides meanwhile, so one is free now and then."""
    statuses = [answer.status_code for answer in answers]
    assert statuses[:PER_MINUTE] == [before] * PER_MINUTE
    assert 429 in statuses[-3:]
    assert statuses.count(before) <= 2 * PER_MINUTE
    for answer in answers:
        if answer.status_code != before:
            problem(answer, 429, "too_many_attempts")
            assert 1 <= int(answer.headers["Retry-After"]) <= 60


def signs_in(desk: Desk, victim: Person, address: str) -> bool:
    answer = attempt(desk.nobody, address, email=victim.email, guess=victim.password)
    return answer.status_code == 200


def test_a_thousand_guesses_at_one_account_are_stopped_and_its_owner_still_signs_in(
    desk: Desk, victim: Person
) -> None:
    home, attacker = new_address(), new_address()
    assert signs_in(desk, victim, home)
    assert_stopped([
        attempt(desk.nobody, attacker, email=victim.email, guess=password()) for _ in range(1000)
    ])
    # With the right password, too: the attacker would learn of it otherwise.
    assert not all(signs_in(desk, victim, attacker) for _ in range(3))
    assert signs_in(desk, victim, home)
    assert signs_in(desk, victim, new_address())


def test_one_guess_at_a_thousand_accounts_is_stopped(desk: Desk, victim: Person) -> None:
    attacker = new_address()
    assert_stopped([
        attempt(desk.nobody, attacker, email=f"{unique()}@clinic.example", guess="Spring is here 1")
        for _ in range(1000)
    ])
    assert signs_in(desk, victim, new_address())


def test_an_unknown_account_is_throttled_like_a_known_one(desk: Desk, victim: Person) -> None:
    tries = {victim.email: new_address(), f"{unique()}@clinic.example": new_address()}
    answers: dict[str, list[httpx.Response]] = {email: [] for email in tries}
    for _ in range(PER_MINUTE + 15):
        # In turns, so that the minute slides for both alike.
        for email, address in tries.items():
            answers[email].append(attempt(desk.nobody, address, email=email, guess=password()))
    for each in answers.values():
        assert_stopped(each)
    known, unknown = (Counter(each.status_code for each in kind) for kind in answers.values())
    assert abs(known[401] - unknown[401]) <= 2


def test_many_addresses_together_are_stopped_and_the_owner_signs_in_from_home(
    tmp_path: Path,
) -> None:
    settings = {"AUTH_RATE_LIMIT_PER_MINUTE": "2", "TRUSTED_PROXIES": "1"}
    with embedded_system(tmp_path, **settings) as system, system.client() as admin:
        victim = login_body("staff")
        stored(admin.post("/accounts", json=victim))
        home, email = new_address(), victim["email"]

        def owner() -> int:
            return attempt(admin, home, email=email, guess=victim["password"]).status_code

        assert owner() == 200
        began = time.monotonic()
        answers = [
            attempt(admin, new_address(), email=email, guess=password()) for _ in range(60)
        ]
        statuses = Counter(answer.status_code for answer in answers)
        # Ten addresses' worth for all strangers; the first time of the owner counted as theirs. One
        # comes free again every three seconds.
        most = 20 + (time.monotonic() - began) / 3 + 1
        assert statuses.keys() == {401, 429} and 19 <= statuses[401] <= most
        assert owner() == 200


def test_what_a_client_writes_before_the_proxys_own_word_does_not_count(
    desk: Desk, victim: Person
) -> None:
    attacker = new_address()
    assert_stopped([
        attempt(
            desk.nobody, attacker, email=victim.email, guess=password(),
            proxies=f"{new_address()}, {{address}}",
        )
        for _ in range(PER_MINUTE + 30)
    ])


def test_registrations_from_one_address_are_throttled(desk: Desk) -> None:
    # Whether they are any good does not matter.
    headers = {"X-Forwarded-For": new_address()}
    answers = [
        desk.nobody.post("/patients", json={"password": "x"}, headers=headers)
        for _ in range(PER_MINUTE + 30)
    ]
    assert_stopped(answers, before=422)


def test_guesses_at_the_password_of_an_open_session_are_throttled(desk: Desk) -> None:
    sent = login_body("staff")
    stored(desk.admin.post("/accounts", json=sent))
    tokens = attempt(desk.nobody, new_address(), email=sent["email"], guess=sent["password"]).json()
    with desk.system.caller(tokens["accessToken"]) as session:
        answers = [
            session.post("/auth/password", json=a_guess()) for _ in range(PER_MINUTE + 30)
        ]
    assert_stopped(answers, before=422)


def a_guess() -> Json:
    return {"currentPassword": password(), "newPassword": password()}


def test_without_a_trusted_proxy_no_header_makes_another_address(tmp_path: Path) -> None:
    with embedded_system(tmp_path, **LIMITS) as system, system.caller() as nobody:
        email = f"{unique()}@clinic.example"
        answers = [
            attempt(nobody, new_address(), email=email, guess=password())
            for _ in range(PER_MINUTE + 30)
        ]
    assert_stopped(answers)


# The last administrator


def leave_by(**changes: object) -> Callable[[httpx.Client, int], httpx.Response]:
    return lambda admin, number: admin.patch(f"/accounts/{number}", json=changes)


@pytest.mark.parametrize(
    "leave", [leave_by(disabled=True), leave_by(role="staff")], ids=["disabled", "made staff"]
)
def test_the_last_administrator_stays(
    behind_a_proxy: System, leave: Callable[[httpx.Client, int], httpx.Response]
) -> None:
    with behind_a_proxy.client() as admin:
        number = admin.get("/me").json()["accountId"]
        problem(leave(admin, number), 409, "last_administrator")
        assert admin.get("/me").json()["role"] == "admin"
        other = stored(admin.post("/accounts", json=login_body("admin")))["id"]
        assert leave(admin, other).status_code == 200
        problem(leave(admin, number), 409, "last_administrator")
