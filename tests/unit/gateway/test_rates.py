"""How many requests a caller may make: who is one, what counts, and what they are told of it."""

from dataclasses import replace

import pytest
import time_machine

from config.messaging.client import Answer
from config.redis_trip import Trips
from gateway.rates import BOOKING, CLASSES, DEFAULT, REGISTRATION, SEARCH, SIGN_IN, UNLIMITED, Rates
from schemas.accounts import DOCTOR, PATIENT, STAFF
from schemas.errors import TooManyAttempts, TooManyRequests
from tests.unit.gateway.fakes import FakePool, new_account, token_of

USUAL, ATTEMPTS = 6, 3
LIMITS = {"rate_limit_per_minute": USUAL, "auth_rate_limit_per_minute": ATTEMPTS}


@pytest.fixture(autouse=True)
def clock():
    """At the beginning of a window, so that a test does not run over its end."""
    with time_machine.travel("2027-03-01T09:00:00Z", tick=False) as travelled:
        yield travelled


@pytest.fixture
def rates(settings):
    return Rates(replace(settings, **LIMITS))


def take(rates, rate_class=DEFAULT, caller="account/1", *, known=True):
    (rate,) = Trips(None).ask(rates.taking(rate_class, caller, known=known))
    return rate


@pytest.mark.parametrize(
    ("rate_class", "quota"),
    [(DEFAULT, USUAL), (SEARCH, USUAL // 2), (BOOKING, USUAL // 2), (SIGN_IN, ATTEMPTS)],
)
def test_each_class_has_its_quota_and_counts_for_itself(rates, rate_class, quota):
    told = [take(rates, rate_class) for _ in range(quota + 2)]
    assert [rate.taken for rate in told] == [True] * quota + [False] * 2
    assert [rate.remaining for rate in told] == [*range(quota - 1, -1, -1), 0, 0]
    assert {rate.quota for rate in told} == {quota}
    for other in set(CLASSES) - {rate_class, UNLIMITED}:
        assert take(rates, other, known=False).taken


def test_each_caller_counts_for_themselves(rates):
    for _ in range(USUAL):
        take(rates)
    assert not take(rates).taken
    assert take(rates, caller="account/2").taken


def test_the_front_desk_may_register_more_people_than_a_stranger(rates):
    told = [take(rates, REGISTRATION) for _ in range(USUAL)]
    assert all(rate.taken for rate in told) and told[0].name == DEFAULT
    strangers = [take(rates, REGISTRATION, "a", known=False) for _ in range(ATTEMPTS + 1)]
    assert [rate.taken for rate in strangers] == [True] * ATTEMPTS + [False]


@pytest.mark.parametrize(
    ("rate_class", "refusal"),
    [(DEFAULT, TooManyRequests), (SEARCH, TooManyRequests), (BOOKING, TooManyRequests),
     (SIGN_IN, TooManyAttempts), (REGISTRATION, TooManyAttempts)],
)
@pytest.mark.parametrize("shift", [0, 0.1, 59.9, 59.999])
def test_a_refusal_says_when_to_come_back(rates, clock, rate_class, refusal, shift):
    clock.shift(shift)
    while (rate := take(rates, rate_class, known=False)).taken:
        rate.check()
    with pytest.raises(refusal) as refused:
        rate.check()
    assert type(refused.value) is refusal
    assert 1 <= refused.value.seconds <= 60 and str(refused.value.seconds) in str(refused.value)


def test_a_minute_later_there_is_room_again(rates, clock):
    while (rate := take(rates)).taken:
        pass
    assert rate.reset == 60
    clock.shift(rate.reset + 1)
    assert take(rates).taken


def test_what_is_told_are_structured_fields(rates):
    assert take(rates).headers == {
        "RateLimit-Policy": f'"default";q={USUAL};w=60',
        "RateLimit": f'"default";r={USUAL - 1};t=60',
    }


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_smallest_quota_is_one(settings, most):
    rates = Rates(replace(settings, rate_limit_per_minute=most))
    assert take(rates, SEARCH).taken and not take(rates, SEARCH).taken


# What Redis tells


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((1, [None, -2, b"1", 119_000]), (True, USUAL - 1)),
        ((None, [None, -2, b"6", 61_000]), (False, 0)),
        ((1, [b"4", 30_000, b"1", 90_000]), (True, 3)),
    ],
)
def test_counts_are_read_as_limits_wrote_them(rates, answer, expected):
    rate = rates.taking(DEFAULT, "account/1", known=True).read(answer)
    assert (rate.taken, rate.remaining) == expected
    assert 1 <= rate.reset <= 60


def test_of_a_window_that_begins_a_whole_minute_is_left(rates):
    rate = rates.taking(DEFAULT, "account/1", known=True).read((1, [None, -2, b"1", 120_000]))
    assert rate.reset == 60


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([None, -2, b"9999", -1], id="for ever"),
        pytest.param([b"9999", -1, None, -2], id="for ever, before"),
        pytest.param([None, -2, b"9999", 10**9], id="for too long"),
        pytest.param([None, -2, b"many", 60_000], id="no number"),
        pytest.param([None, -2, b"1e999", 60_000], id="beyond numbers"),
        pytest.param([None, -2], id="too few"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_no_count_is_not_taken_for_one(rates, counts):
    with pytest.raises((ValueError, TypeError)):
        rates.taking(DEFAULT, "account/1", known=True).read((None, counts))


# Over HTTP


@pytest.fixture
def limited(serve, office):
    """A gateway with small quotas; clients of it by their headers."""

    def limited(pool=None, role=STAFF, subject=None):
        return serve(pool or answering(), role=role, subject=subject, **LIMITS)

    return limited


def answering():
    doctor = {"id": 3, "name": "Dr Garrett", "speciality": "Surgery", "timezone": "UTC"}
    return FakePool(
        doctor_get=Answer(doctor), doctor_find=Answer({"items": [], "next": None}),
        patient_create=Answer({"id": 7}), appointment_schedule=Answer({"id": 5, "patientId": 7}),
    )


def left(answer):
    name, remaining, reset = answer.headers["RateLimit"].split(";")
    assert answer.headers["RateLimit-Policy"].startswith(f"{name};q=")
    assert 0 <= int(reset.removeprefix("t=")) <= 60
    return name.strip('"'), int(remaining.removeprefix("r="))


def test_what_is_left_counts_down_and_then_nothing_is_answered(limited):
    client = limited()
    told = [client.get("/doctors/3") for _ in range(USUAL + 1)]
    assert [left(answer) for answer in told] == [
        *((DEFAULT, number) for number in range(USUAL - 1, -1, -1)), (DEFAULT, 0)
    ]
    assert [answer.status_code for answer in told] == [200] * USUAL + [429]
    assert told[-1].json["code"] == "too_many_requests"
    assert 1 <= int(told[-1].headers["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("method", "path", "rate_class"),
    [("GET", "/doctors", SEARCH), ("POST", "/appointments", BOOKING), ("GET", "/me", DEFAULT),
     ("POST", "/patients", DEFAULT), ("POST", "/auth/password", SIGN_IN),
     ("POST", "/auth/login", SIGN_IN), ("GET", "/nowhere", DEFAULT), ("PATCH", "/me", DEFAULT),
     ("DELETE", "/patients/7", DEFAULT)],
)
def test_whatever_is_answered_tells_what_is_left(limited, method, path, rate_class):
    answer = limited().open(path, method=method, json={} if method != "GET" else None)
    name, remaining = left(answer)
    quota = {DEFAULT: USUAL, SIGN_IN: ATTEMPTS}.get(rate_class, USUAL // 2)
    assert (name, remaining) == (rate_class, quota - 1)


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_neither_counted_nor_told(limited, path):
    client = limited(role=None)
    for _ in range(USUAL + 1):
        answer = client.get(path)
        assert answer.status_code != 429
        assert "RateLimit" not in answer.headers and "RateLimit-Policy" not in answer.headers


def test_the_classes_of_one_caller_are_counted_apart(limited):
    client = limited()
    for _ in range(USUAL // 2):
        assert client.get("/doctors").status_code == 200
    assert client.get("/doctors").status_code == 429
    assert client.post("/appointments", json={}).status_code == 201
    assert client.get("/doctors/3").status_code == 200


def test_the_sessions_of_one_account_are_counted_together(limited, office):
    account = new_account(office, STAFF)
    sessions = [{"Authorization": f"Bearer {token_of(office, account)}"} for _ in range(2)]
    client = limited(role=None)
    told = [
        client.get("/doctors/3", headers=sessions[number % 2]) for number in range(USUAL + 2)
    ]
    assert [answer.status_code for answer in told] == [200] * USUAL + [429] * 2


def test_those_behind_one_address_who_have_signed_in_do_not_share(limited, office):
    client = limited(role=None)
    for _ in range(USUAL + 1):
        client.get("/me")
    one = {"Authorization": f"Bearer {token_of(office, new_account(office, STAFF))}"}
    assert client.get("/doctors/3", headers=one).status_code == 200


def come_from(client, address, path="/nowhere", **options):
    return client.get(path, environ_overrides={"REMOTE_ADDR": address}, **options)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}])
def test_who_has_not_signed_in_counts_by_address(limited, headers):
    client = limited(role=None)
    told = [come_from(client, "10.0.0.1", headers=headers) for _ in range(USUAL + 1)]
    assert [answer.status_code for answer in told] == [404] * USUAL + [429]
    assert come_from(client, "10.0.0.1", "/me", headers=headers).status_code == 429
    assert come_from(client, "10.0.0.2", headers=headers).status_code == 404


@pytest.mark.parametrize("path", ["/nowhere", "/doctors/0", "/doctors/3/cards"])
def test_looking_for_addresses_counts_too(limited, path):
    client = limited()
    told = [client.get(path).status_code for _ in range(USUAL + 1)]
    assert told == [404] * USUAL + [429]


def test_trying_methods_counts_too(limited):
    client = limited()
    assert [client.patch("/doctors/3").status_code for _ in range(USUAL)] == [405] * USUAL
    assert client.get("/doctors/3").status_code == 429


@pytest.mark.parametrize("email", ["ada@example.org", "nobody@example.org"])
def test_one_address_signs_in_so_often_whomever_it_tries(limited, office, email):
    hashed = office.passwords.hash("quiet heron 31", seconds=10)
    new_account(office, PATIENT, subject=7, email="ada@example.org", password_hash=hashed)
    client = limited(role=None)

    def attempt(number, address="10.0.0.1"):
        body = {"email": email if number else "bo@example.org", "password": "not the password"}
        return client.post(
            "/auth/login", json=body, environ_overrides={"REMOTE_ADDR": address}
        )

    told = [attempt(number) for number in range(ATTEMPTS + 1)]
    assert [answer.status_code for answer in told] == [401] * ATTEMPTS + [429]
    assert told[-1].json["code"] == "too_many_attempts"
    assert 1 <= int(told[-1].headers["Retry-After"]) <= 60
    assert attempt(1, "10.0.0.2").status_code == 401


def test_one_address_registers_so_often_whether_it_is_any_good_or_not(limited):
    client = limited(role=None)

    def attempt(address="10.0.0.1"):
        return client.post(
            "/patients", json={"password": "x"}, environ_overrides={"REMOTE_ADDR": address}
        )

    told = [attempt() for _ in range(ATTEMPTS + 1)]
    assert [answer.status_code for answer in told] == [422] * ATTEMPTS + [429]
    assert told[-1].json["code"] == "too_many_attempts"
    assert attempt("10.0.0.2").status_code == 422


def test_the_current_password_cannot_be_tried_out_from_many_addresses(limited, office):
    hashed = office.passwords.hash("quiet heron 31", seconds=10)
    client = limited(role=None)
    account = new_account(office, DOCTOR, subject=3, password_hash=hashed)
    token = {"Authorization": f"Bearer {token_of(office, account)}"}
    guess = {"currentPassword": "jumpy otter 58", "newPassword": "a third one 77"}
    told = [
        client.post("/auth/password", json=guess, headers=token,
                    environ_overrides={"REMOTE_ADDR": f"10.0.0.{number}"})
        for number in range(ATTEMPTS + 1)
    ]
    assert [answer.status_code for answer in told] == [422] * ATTEMPTS + [429]
    assert told[-1].json["code"] == "too_many_attempts"


def test_who_has_used_up_a_quota_costs_no_call_and_no_line_of_the_trail(limited, office):
    pool = answering()
    client = limited(pool)
    for _ in range(USUAL // 2 + 2):
        client.get("/doctors?q=garrett")
    assert len(pool.asked) <= USUAL // 2
    assert {entry.outcome for entry in office.trail.entries} == {"200"}
