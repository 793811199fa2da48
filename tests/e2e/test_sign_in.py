"""Signing in and out: which tokens are good, for how long, and what is said when they are not."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import time_machine
from sqlalchemy import bindparam, text
from sqlalchemy.engine import make_url

from config.clock import utc_now
from config.database import connect
from config.environments import kept_values
from config.keys import KeyRing, new_secret, parse_ring
from gateway.tokens import Claims, Pair, Tokens
from tests.e2e.desk import (
    Desk,
    Json,
    Person,
    login,
    login_body,
    password,
    patient_body,
    problem,
    refused_fields,
    register_patient,
    signed_in,
    stored,
    unique,
)
from tests.e2e.gateways import gateway, gateway_alone
from tests.systems import System, free_port

ACCESS_SECONDS = 120 * 60
SESSION_DAYS = 14
CROWD = 24
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def alone(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A gateway of two workers with its databases: neither Redis nor broker can be reached."""
    with gateway_alone(tmp_path_factory.mktemp("alone"), addresses, name="alone") as system:
        yield system


@pytest.fixture(params=["embedded", "stack", "alone"])
def anywhere(request: pytest.FixtureRequest) -> System:
    """In each mode, and where only the database is left."""
    found: System = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def desk(anywhere: System) -> Iterator[Desk]:
    with ExitStack() as ending:
        yield Desk(anywhere, ending)


@pytest.fixture
def staff(desk: Desk) -> Person:
    return desk.staff()


def assert_unauthenticated(answer: httpx.Response) -> Json:
    said = problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    return said


def me(system: System, token: str) -> httpx.Response:
    with system.caller(token) as client:
        return client.get("/me")


# The answers


def test_who_signs_in_gets_a_pair_of_tokens_and_is_told_who_they_are(desk: Desk) -> None:
    sent = login_body("staff")
    account = stored(desk.admin.post("/accounts", json=sent))
    answer = desk.nobody.post(
        "/auth/login", json={"email": sent["email"].upper(), "password": sent["password"]}
    )
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    tokens = answer.json()
    assert tokens == {
        "accessToken": tokens["accessToken"],
        "tokenType": "Bearer",
        "expiresIn": ACCESS_SECONDS,
        "refreshToken": tokens["refreshToken"],
        "role": "staff",
        "subjectId": None,
    }
    assert me(desk.system, tokens["accessToken"]).json() == {
        "accountId": account["id"], "role": "staff", "subjectId": None, "email": sent["email"]
    }


def test_who_registers_can_sign_in_as_the_patient_they_are(system: System) -> None:
    sent = patient_body(password=password())
    with system.caller() as nobody:
        record = stored(nobody.post("/patients", json=sent))
    assert "password" not in record
    tokens = login(system, sent["email"], sent["password"])
    assert (tokens["role"], tokens["subjectId"]) == ("patient", record["id"])


def test_a_password_is_taken_from_every_keyboard_and_with_its_blanks(desk: Desk) -> None:
    composed, apart = "  Zo\u00eb's gr\u00fcne Kanne ", "  Zoe\u0308's gru\u0308ne Kanne "
    sent = login_body("staff", password=apart)
    stored(desk.admin.post("/accounts", json=sent))
    assert login(desk.system, sent["email"], composed)["role"] == "staff"
    refused = {"email": sent["email"], "password": composed.strip()}
    problem(desk.nobody.post("/auth/login", json=refused), 401, "bad_credentials")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"email", "password"}),
        ({"email": "nobody", "password": "x"}, {"email"}),
        ({"email": "a@clinic.example", "password": ""}, {"password"}),
        ({"email": "a@clinic.example", "password": 7}, {"password"}),
        ({"email": "a@clinic.example", "password": "x" * 1025}, {"password"}),
        ({"email": "a@clinic.example", "password": "\ud800"}, {"password"}),
        ({"email": "a@clinic.example", "password": "x", "role": "admin"}, {"role"}),
    ],
)
def test_a_sign_in_with_bad_fields_is_refused_by_their_names(
    system: System, body: Json, fields: set[str]
) -> None:
    # In ASCII: the only way to write a lone surrogate.
    content, headers = json.dumps(body).encode("ascii"), {"Content-Type": "application/json"}
    with system.caller() as nobody:
        answer = nobody.post("/auth/login", content=content, headers=headers)
    assert refused_fields(answer) == fields


def test_unknown_wrong_and_disabled_are_answered_alike(desk: Desk, staff: Person) -> None:
    disabled = desk.staff()
    desk.disable(disabled)
    tries = [
        {"email": f"{unique()}@clinic.example", "password": staff.password},
        {"email": staff.email, "password": password()},
        {"email": disabled.email, "password": disabled.password},
    ]
    answers = [desk.nobody.post("/auth/login", json=sent) for sent in tries]
    bodies = [problem(answer, 401, "bad_credentials") for answer in answers]
    assert len({str({**body, "correlationId": ""}) for body in bodies}) == 1
    assert len({(str(sorted(answer.headers)), answer.headers["WWW-Authenticate"])
                for answer in answers}) == 1


def test_the_answer_takes_as_long_for_an_unknown_address_as_for_a_known_one(
    desk: Desk, staff: Person
) -> None:
    disabled = desk.staff()
    desk.disable(disabled)
    emails = {
        "unknown": lambda: f"{unique()}@clinic.example",
        "known": lambda: staff.email,
        "disabled": lambda: disabled.email,
    }

    def ratio() -> float:
        """Of the slowest median to the quickest; in turns, so that all meet the same machine."""
        seconds: dict[str, list[float]] = {kind: [] for kind in emails}
        for _ in range(15):
            for kind, email in emails.items():
                sent = {"email": email(), "password": password()}
                answer = desk.nobody.post("/auth/login", json=sent)
                seconds[kind].append(answer.elapsed.total_seconds())
        medians = [sorted(each)[7] for each in seconds.values()]
        return max(medians) / min(medians)

    # A difference that is there is there every time; another program's load is not.
    assert any(ratio() < 1.3 for _ in range(3))


# Refreshing


def test_a_refresh_gives_the_next_pair_and_the_former_access_token_stays_good(
    desk: Desk, staff: Person
) -> None:
    first = login(desk.system, staff.email, staff.password)
    answer = desk.nobody.post("/auth/refresh", json={"refreshToken": first["refreshToken"]})
    second = answer.json()
    assert (answer.status_code, second.keys()) == (200, first.keys())
    assert second["refreshToken"] != first["refreshToken"]
    for tokens in (first, second):
        assert me(desk.system, tokens["accessToken"]).status_code == 200


def test_a_refresh_token_used_twice_ends_the_session_and_no_other(
    desk: Desk, staff: Person
) -> None:
    first = login(desk.system, staff.email, staff.password)
    second = refreshed(desk, first)
    third = refreshed(desk, second)
    assert_unauthenticated(
        desk.nobody.post("/auth/refresh", json={"refreshToken": second["refreshToken"]})
    )
    for tokens in (first, second, third):
        assert_unauthenticated(me(desk.system, tokens["accessToken"]))
    assert_unauthenticated(
        desk.nobody.post("/auth/refresh", json={"refreshToken": third["refreshToken"]})
    )
    assert staff.client.get("/me").status_code == 200


def test_of_twenty_refreshes_at_once_with_one_token_one_succeeds_at_most(
    desk: Desk, staff: Person
) -> None:
    tokens = login(desk.system, staff.email, staff.password)

    def refresh(_: int) -> int:
        with desk.system.caller() as own:
            sent = {"refreshToken": tokens["refreshToken"]}
            return own.post("/auth/refresh", json=sent).status_code

    with ThreadPoolExecutor(20) as crowd:
        statuses = sorted(crowd.map(refresh, range(20)))
    assert statuses == [200] + [401] * 19
    assert_unauthenticated(me(desk.system, tokens["accessToken"]))


def refreshed(desk: Desk, tokens: Json) -> Json:
    answer = desk.nobody.post("/auth/refresh", json={"refreshToken": tokens["refreshToken"]})
    assert answer.status_code == 200, answer.text
    following: Json = answer.json()
    return following


# Tokens that are not good


def token_keys(system: System) -> KeyRing:
    """With which the system signs: where it is set, or kept."""
    kept = Path(system.environ["DATA_DIR"]) / "keys.env"
    return parse_ring(system.environ.get("TOKEN_KEYS") or kept_values(kept)["TOKEN_KEYS"])


def signer(ring: KeyRing) -> Tokens:
    lasting = timedelta(seconds=ACCESS_SECONDS), timedelta(days=SESSION_DAYS)
    return Tokens(ring, access=lasting[0], refresh=lasting[1])


def session_of(desk: Desk, staff: Person) -> tuple[Tokens, Claims]:
    """A signer with the system's own keys, and a session to sign for."""
    tokens = signer(token_keys(desk.system))
    access = login(desk.system, staff.email, staff.password)["accessToken"]
    return tokens, tokens.claims_of_access(access)


def test_an_access_token_is_good_for_its_minutes_and_not_longer(desk: Desk, staff: Person) -> None:
    tokens, session = session_of(desk, staff)
    now, lasting = utc_now(), timedelta(seconds=ACCESS_SECONDS)
    assert me(desk.system, made_at(now - lasting + MINUTE, tokens, session)).status_code == 200
    assert_unauthenticated(me(desk.system, made_at(now - lasting - MINUTE, tokens, session)))
    assert_unauthenticated(me(desk.system, made_at(now + 10 * MINUTE, tokens, session)))


def pair_of(tokens: Tokens, session: Claims) -> Pair:
    return tokens.issue(session.session_id, account_id=session.account_id, refreshes=0)


def made_at(moment: object, tokens: Tokens, session: Claims) -> str:
    with time_machine.travel(moment, tick=False):  # type: ignore[arg-type]
        return pair_of(tokens, session).access


def test_a_refresh_token_is_good_for_its_days_and_not_longer(desk: Desk, staff: Person) -> None:
    tokens, session = session_of(desk, staff)
    with time_machine.travel(utc_now() - timedelta(days=SESSION_DAYS, minutes=1), tick=False):
        old = pair_of(tokens, session).refresh
    assert_unauthenticated(desk.nobody.post("/auth/refresh", json={"refreshToken": old}))
    # Refused for its age alone: the session goes on, and its own token is still the next one.
    fresh_one = pair_of(tokens, session).refresh
    assert refreshed(desk, {"refreshToken": fresh_one})["role"] == "staff"


def test_a_token_of_one_purpose_is_none_of_the_other(desk: Desk, staff: Person) -> None:
    tokens = login(desk.system, staff.email, staff.password)
    assert_unauthenticated(me(desk.system, tokens["refreshToken"]))
    swapped = {"refreshToken": tokens["accessToken"]}
    assert_unauthenticated(desk.nobody.post("/auth/refresh", json=swapped))
    assert me(desk.system, tokens["accessToken"]).status_code == 200


def test_a_token_signed_with_another_key_is_refused(desk: Desk, staff: Person) -> None:
    own, session = session_of(desk, staff)
    ring = token_keys(desk.system)
    strangers = KeyRing(((ring.current, new_secret()),))
    assert me(desk.system, pair_of(own, session).access).status_code == 200
    assert_unauthenticated(me(desk.system, pair_of(signer(strangers), session).access))


def test_a_token_for_a_session_that_never_was_is_refused(desk: Desk, staff: Person) -> None:
    """Of an account that there is."""
    pair = pair_of(signer(token_keys(desk.system)), Claims("0" * 32, staff.account))
    assert_unauthenticated(me(desk.system, pair.access))
    assert_unauthenticated(desk.nobody.post("/auth/refresh", json={"refreshToken": pair.refresh}))


def test_a_token_changed_in_any_of_its_parts_is_refused(desk: Desk, staff: Person) -> None:
    token = login(desk.system, staff.email, staff.password)["accessToken"]
    payload, moment, signature = token.split(".")
    another, _, _ = desk.system.admin_token.split(".")
    bad = [
        *(changed(token, at) for at in (0, len(payload) // 2, len(payload) + 2, len(token) - 10)),
        f"{another}.{moment}.{signature}", f"{payload}.{moment}.", f"{payload}.{moment}", payload,
        f"{token}{token}", "null", "x" * 4000,
    ]
    for each in bad:
        assert_unauthenticated(me(desk.system, each))
    assert me(desk.system, token).status_code == 200


def changed(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1:]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "{token}", "Basic {token}", "Bearer {token} x", "Bearer  x {token}",
     "Bearer {token},Bearer {token}", 'Bearer "{token}"'],
)
def test_an_authorization_that_is_no_bearer_token_is_refused_and_not_taken_for_nobody(
    system: System, header: str
) -> None:
    sent = {"Authorization": header.format(token=system.admin_token)}
    with system.caller() as nobody:
        assert_unauthenticated(nobody.get("/me", headers=sent))
        answer = nobody.post("/patients", json=patient_body(password=password()), headers=sent)
        assert_unauthenticated(answer)


def test_the_word_bearer_may_be_in_any_case(system: System) -> None:
    with system.caller() as nobody:
        for word in ("bearer", "BEARER"):
            sent = {"Authorization": f"{word} {system.admin_token}"}
            assert nobody.get("/me", headers=sent).status_code == 200


# The end of a session


def log_out(desk: Desk, person: Person) -> None:
    assert person.client.post("/auth/logout").status_code == 204


def disable(desk: Desk, person: Person) -> None:
    desk.disable(person)


def change_role(desk: Desk, person: Person) -> None:
    answer = desk.admin.patch(f"/accounts/{person.account}", json={"role": "admin"})
    assert answer.json()["role"] == "admin"


def set_password(desk: Desk, person: Person) -> None:
    answer = desk.admin.patch(f"/accounts/{person.account}", json={"password": password()})
    assert answer.status_code == 200


def change_own_password(desk: Desk, person: Person) -> None:
    elsewhere = desk.again(person)
    sent = {"currentPassword": person.password, "newPassword": password()}
    assert elsewhere.client.post("/auth/password", json=sent).status_code == 204
    assert elsewhere.client.get("/me").status_code == 200


ENDS = [log_out, disable, change_role, set_password, change_own_password]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_session_that_ends_is_over_with_the_next_request_whoever_takes_it(
    desk: Desk, end: Callable[[Desk, Person], None]
) -> None:
    person = desk.staff()
    tokens = login(desk.system, person.email, person.password)
    session = Person(**{**vars(person), "client": desk.system.caller(tokens["accessToken"])})
    with ExitStack() as ending:
        ending.enter_context(session.client)
        crowd = [
            ending.enter_context(desk.system.caller(tokens["accessToken"])) for _ in range(CROWD)
        ]
        words = [f"crowd-{unique()}" for _ in crowd]
        with ThreadPoolExecutor(CROWD) as side_by_side:
            before = list(side_by_side.map(ask, crowd, words))
            end(desk, session)
            after = list(side_by_side.map(ask, crowd, words))
    assert [answer.status_code for answer in before] == [200] * CROWD
    assert all(assert_unauthenticated(answer) for answer in after)
    refresh = {"refreshToken": tokens["refreshToken"]}
    assert_unauthenticated(desk.nobody.post("/auth/refresh", json=refresh))
    if "AMQP_URI" in desk.system.environ:
        assert processes(desk.system, words) > 1


def ask(client: httpx.Client, word: str) -> httpx.Response:
    return client.get("/me", headers={"X-Correlation-Id": word})


def processes(system: System, words: list[str]) -> int:
    """How many answered these requests: each has a chain of its own in the audit trail."""
    url = make_url(system.environ["DATABASE_URL"])
    trail = url.set(database=f"{url.database}_audit")
    engine = connect(trail.render_as_string(hide_password=False))
    query = text(
        "SELECT COUNT(DISTINCT chain) FROM audit WHERE correlation_id IN :words"
    ).bindparams(bindparam("words", expanding=True))
    with engine.connect() as connection:
        found: int = connection.execute(query, {"words": words}).scalar_one()
    engine.dispose()
    return found


def test_who_has_another_role_signs_in_with_it(desk: Desk, staff: Person) -> None:
    change_role(desk, staff)
    tokens = login(desk.system, staff.email, staff.password)
    assert tokens["role"] == "admin"
    with desk.system.caller(tokens["accessToken"]) as client:
        assert client.get("/accounts").status_code == 200


def test_who_was_disabled_and_is_not_any_more_signs_in_anew(desk: Desk, staff: Person) -> None:
    desk.disable(staff)
    refused = {"email": staff.email, "password": staff.password}
    problem(desk.nobody.post("/auth/login", json=refused), 401, "bad_credentials")
    desk.admin.patch(f"/accounts/{staff.account}", json={"disabled": False})
    assert_unauthenticated(staff.client.get("/me"))
    assert login(desk.system, staff.email, staff.password)["role"] == "staff"


def test_a_logout_ends_one_session_and_leaves_the_others(desk: Desk, staff: Person) -> None:
    other = desk.again(staff)
    assert other.client.post("/auth/logout").status_code == 204
    assert_unauthenticated(other.client.post("/auth/logout"))
    assert staff.client.get("/me").status_code == 200


# Passwords


def test_who_changes_the_password_signs_in_with_the_new_one_only(
    desk: Desk, staff: Person
) -> None:
    new = password()
    sent = {"currentPassword": staff.password, "newPassword": new}
    assert staff.client.post("/auth/password", json=sent).status_code == 204
    assert login(desk.system, staff.email, new)["role"] == "staff"
    former = {"email": staff.email, "password": staff.password}
    problem(desk.nobody.post("/auth/login", json=former), 401, "bad_credentials")


def test_a_password_is_changed_by_who_knows_it(desk: Desk, staff: Person) -> None:
    sent = {"currentPassword": password(), "newPassword": password()}
    assert refused_fields(staff.client.post("/auth/password", json=sent)) == {"currentPassword"}
    assert login(desk.system, staff.email, staff.password)["role"] == "staff"


WEAK = {
    "short": "kx9-vq2-mz7",
    "common": "password1234",
    "common with decoration": "Password2026!!",
    "of few characters": "aaaabbbbaaaabbbb",
    "a row of keys": "qwertyuiop123",
    "too long": "kx9-" * 33,
}


@pytest.mark.parametrize("weak", [*WEAK.values(), "{email}"], ids=[*WEAK, "the address"])
def test_a_weak_password_is_refused_by_the_name_of_its_field(system: System, weak: str) -> None:
    with ExitStack() as ending:
        desk = Desk(system, ending)
        staff, email = desk.staff(), f"{unique()}@clinic.example"
        own = weak.format(email=staff.email)
        change = {"currentPassword": staff.password, "newPassword": own}
        sent = patient_body(email=email, password=weak.format(email=email))
        account = login_body("staff", email=email, password=weak.format(email=email))
        at = f"/accounts/{staff.account}"
        assert refused_fields(desk.nobody.post("/patients", json=sent)) == {"password"}
        assert refused_fields(desk.admin.post("/accounts", json=account)) == {"password"}
        assert refused_fields(desk.admin.patch(at, json={"password": own})) == {"password"}
        assert refused_fields(staff.client.post("/auth/password", json=change)) == {"newPassword"}
        assert staff.client.get("/me").status_code == 200
        # The address is still free: nobody was stored.
        register_patient(desk.admin, email=email)
        stored(desk.admin.post("/accounts", json=login_body("staff", email=email)))


# Accounts


@pytest.mark.parametrize(
    ("role", "subject", "code"),
    [("patient", 2**62, "unknown_patient"), ("doctor", 2**62, "unknown_doctor")],
)
def test_a_login_for_a_record_that_is_not_there_is_not_made(
    client: httpx.Client, role: str, subject: int, code: str
) -> None:
    body = login_body(role, subject)
    problem(client.post("/accounts", json=body), 422, code)
    stored(client.post("/accounts", json=login_body("staff", email=body["email"])))


def test_a_login_has_a_subject_where_its_role_needs_one_and_nowhere_else(
    client: httpx.Client,
) -> None:
    for body in (login_body("patient"), login_body("doctor"), login_body("staff", 1)):
        assert refused_fields(client.post("/accounts", json=body)) == {"subjectId"}
    assert refused_fields(client.post("/accounts", json=login_body("janitor"))) == {"role"}


def test_an_address_has_one_login_in_whatever_case(client: httpx.Client) -> None:
    body = login_body("staff")
    stored(client.post("/accounts", json=body))
    again = login_body("staff", email=body["email"].upper())
    problem(client.post("/accounts", json=again), 409, "email_taken")


def test_the_list_of_accounts_is_paged_and_shows_no_password(client: httpx.Client) -> None:
    for _ in range(3):
        stored(client.post("/accounts", json=login_body("staff")))
    page = client.get("/accounts", params={"limit": 2})
    items = page.json()["items"]
    assert len(items) == 2
    shown = {"id", "email", "role", "subjectId", "disabled", "createdAt", "updatedAt"}
    assert all(item.keys() == shown for item in items)
    following = re.fullmatch(r'<(.+)>; rel="next"', page.headers["Link"])
    assert following
    more = client.get(following[1]).json()["items"]
    assert min(item["id"] for item in more) > max(item["id"] for item in items)


# The first administrator


def test_the_first_administrator_is_made_once_and_only_where_there_is_none(
    alone: System, tmp_path: Path
) -> None:
    other = {"ADMIN_EMAIL": f"{unique()}@clinic.example", "ADMIN_PASSWORD": password()}
    environ = {**alone.environ, **other, "PORT": str(free_port())}
    assert alone.admin_token
    with gateway(environ, tmp_path) as second, second.caller() as nobody:
        # With the database that both use, the first one signs in here, too.
        first = login(second, alone.environ["ADMIN_EMAIL"], alone.environ["ADMIN_PASSWORD"])
        assert first["role"] == "admin"
        sent = {"email": other["ADMIN_EMAIL"], "password": other["ADMIN_PASSWORD"]}
        problem(nobody.post("/auth/login", json=sent), 401, "bad_credentials")
    made = alone.log_text().count("first administrator made")
    assert (made, second.log_text().count("first administrator made")) == (1, 0)


def test_signing_in_needs_neither_redis_nor_broker(alone: System) -> None:
    with signed_in(alone, alone.environ["ADMIN_EMAIL"], alone.environ["ADMIN_PASSWORD"]) as admin:
        assert admin.get("/me").json()["role"] == "admin"
        problem(admin.get("/patients/1"), 503, "unavailable")
