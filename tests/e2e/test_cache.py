"""Records from copies on the real system: quick, current through every worker, and well hidden."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager

import httpx
import pytest

from config.cache import EPOCH_SECONDS
from config.redis_trip import REST_SECONDS
from tests.e2e.cached import CALL_SECONDS, WORKERS, House, cached_house, until
from tests.e2e.desk import (
    Desk,
    Json,
    Person,
    doctor_body,
    eventually,
    login,
    password,
    patient_body,
    problem,
    register_doctor,
    register_patient,
    schedule_body,
    unique,
)

CLIENTS, CHANGES = 12, 8
# For so long who changed something may wait for a Redis that does not answer.
SLOWEST = EPOCH_SECONDS + CALL_SECONDS
# Each connection is taken by any worker.
OFTEN = 6 * WORKERS


@pytest.fixture(scope="module")
def house(
    server_programs: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with cached_house(tmp_path_factory.mktemp("cached")) as house:
        yield house


@pytest.fixture
def admin(house: House) -> Iterator[httpx.Client]:
    with house.system.client() as client:
        yield client


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    with ExitStack() as ending:
        yield Desk(house.system, ending)


def anew(house: House, path: str, token: str | None = None, **headers: str) -> httpx.Response:
    """On a connection of its own, so by any of the workers."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with house.system.caller(token or house.system.admin_token) as client:
        return client.get(path, headers=sent)


def by_all(house: House, path: str, token: str | None = None) -> list[httpx.Response]:
    """So often that every worker has answered, unless by a great chance."""
    return [anew(house, path, token) for _ in range(OFTEN)]


def copied(house: House, path: str) -> None:
    """Read until there is a copy that everybody is shown."""

    def is_copied() -> bool:
        assert anew(house, path).status_code == 200
        with house.redis() as redis:
            return bool(redis.exists(f"gateway-copies:{place_of(path)}"))

    eventually(is_copied, seconds=REST_SECONDS + EPOCH_SECONDS + 5, what="a copy")


def place_of(path: str) -> str:
    """Of a patient, of a doctor, or of a doctor's schedule."""
    _, kind, number, *rest = path.split("/")
    return f"{rest[0] if rest else kind.removesuffix('s')}/{number}"


def change(client: httpx.Client, path: str, **headers: str) -> Json:
    """To a record that is another one each time."""
    body = patient_body() if path.startswith("/patients") else doctor_body()
    answer = client.put(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    record: Json = answer.json()
    return record


# Never older than what was acknowledged


def test_who_changed_a_record_reads_it_back_through_any_worker(house: House) -> None:
    """Many at once, each their own record, and each request on a connection of its own."""

    def person(_: int) -> list[bool]:
        with house.system.client() as client:
            path = f"/patients/{register_patient(client)['id']}"
        as_told = []
        for _ in range(CHANGES):
            with house.system.client() as client:
                current = change(client, path)
            as_told += [anew(house, path).json() == current for _ in range(3)]
        return as_told

    with ThreadPoolExecutor(CLIENTS) as crowd:
        told = [each for person_told in crowd.map(person, range(CLIENTS)) for each in person_told]
    assert len(told) == CLIENTS * CHANGES * 3 and all(told)


def test_nobody_reads_a_version_from_before_one_that_somebody_was_told(
    house: House, admin: httpx.Client
) -> None:
    """One record that one changes and many read: versions only go up, for each and for all."""
    path = f"/doctors/{register_doctor(admin)['id']}"
    told, over = [1], []

    def version(answer: httpx.Response) -> int:
        return int(answer.headers["ETag"].strip('"'))

    def reader(_: int) -> None:
        while not over:
            least = told[-1]
            seen = version(anew(house, path))
            assert seen >= least
            told.append(max(seen, told[-1]))

    with ThreadPoolExecutor(6) as crowd:
        readers = [crowd.submit(reader, number) for number in range(6)]
        try:
            for _ in range(30):
                answer = admin.put(path, json=doctor_body())
                told.append(version(answer))
        finally:
            over.append(True)
        for each in readers:
            each.result()
    assert version(anew(house, path)) == 31


# Changes made elsewhere


def renamed(record: Json) -> Json:
    kept = {name: value for name, value in record.items()
            if name not in ("id", "createdAt", "updatedAt")}
    return {**kept, "name": f"Renamed {unique()}"}


@pytest.mark.parametrize("service", ["patient", "doctor"])
def test_a_change_in_the_shell_shows_within_a_second(
    house: House, admin: httpx.Client, service: str
) -> None:
    made = {"patient": register_patient, "doctor": register_doctor}[service](admin)
    path = f"/{service}s/{made['id']}"
    copied(house, path)
    body = renamed(made)
    house.call(service, "update", made["id"], body)
    began = time.monotonic()
    eventually(
        lambda: anew(house, path).json()["name"] == body["name"], seconds=5, every=0.01, what=path
    )
    assert time.monotonic() - began < 1.0
    assert {answer.json()["name"] for answer in by_all(house, path)} == {body["name"]}


def test_a_schedule_set_in_the_shell_shows_within_a_second(
    house: House, admin: httpx.Client
) -> None:
    doctor = register_doctor(admin)
    path = f"/doctors/{doctor['id']}/schedule"
    copied(house, path)
    before = anew(house, path)
    house.call("doctor", "set_schedule", doctor["id"], schedule_body("mon 09:00-12:00"))
    began = time.monotonic()
    eventually(
        lambda: anew(house, path).headers["ETag"] != before.headers["ETag"],
        seconds=5, every=0.01, what=path,
    )
    assert time.monotonic() - began < 1.0


def test_a_doctor_made_or_changed_in_the_shell_is_listed_within_a_second(house: House) -> None:
    speciality = f"Speciality {unique()}"
    path = f"/doctors?speciality={speciality}"
    assert anew(house, path).json()["items"] == []
    made = house.call("doctor", "create", doctor_body(speciality=speciality))
    began = time.monotonic()
    eventually(lambda: anew(house, path).json()["items"], seconds=5, every=0.01, what="listed")
    assert time.monotonic() - began < 1.0
    name = f"Dr {unique()}"
    house.call("doctor", "update", made["id"], doctor_body(speciality=speciality, name=name))
    began = time.monotonic()
    eventually(
        lambda: anew(house, path).json()["items"][0]["name"] == name,
        seconds=5, every=0.01, what="changed",
    )
    assert time.monotonic() - began < 1.0


# Services that do not answer


def test_a_copy_is_shown_for_what_it_is_and_all_else_is_503(
    house: House, admin: httpx.Client
) -> None:
    known, unknown = (f"/patients/{register_patient(admin)['id']}" for _ in range(2))
    copied(house, known)
    with house.stopped("patient"):
        # Until each worker leaves the service alone.
        others = [f"/patients/{10**9 + number}" for number in range(14 * WORKERS)]
        with ThreadPoolExecutor(len(others)) as crowd:
            refused = list(crowd.map(lambda path: anew(house, path), others))
        for answer in refused:
            problem(answer, 503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        began = time.monotonic()
        shown = by_all(house, known)
        assert time.monotonic() - began < OFTEN
        for answer in shown:
            assert answer.status_code == 200 and answer.json() == shown[0].json()
        marked = [answer for answer in shown if "Warning" in answer.headers]
        assert marked
        for answer in marked:
            assert answer.headers["Warning"].startswith("111 ")
            assert 0 <= int(answer.headers["Age"]) <= 60
        tag = shown[0].headers["ETag"]
        assert anew(house, known, If_None_Match=tag).status_code == 304
        problem(anew(house, unknown), 503, "unavailable")
    wait_until_well(house, known)
    wait_until_well(house, unknown)


def wait_until_well(house: House, path: str) -> None:
    def is_well() -> bool:
        told = by_all(house, path)
        return all(each.is_success and "Warning" not in each.headers for each in told)

    eventually(is_well, seconds=20, every=0.5, what="the service")


def test_while_nobody_vouches_and_nobody_answers_an_older_copy_is_shown_with_its_age(
    house: House, admin: httpx.Client
) -> None:
    known = f"/patients/{register_patient(admin)['id']}"
    copied(house, known)
    with house.stopped("gateway-background"), house.stopped("patient"):
        time.sleep(EPOCH_SECONDS + 0.5)
        answer = anew(house, known)
        assert answer.status_code == 200
        assert answer.headers["Warning"].startswith("111 ")
        assert EPOCH_SECONDS <= int(answer.headers["Age"]) <= 60
    wait_until_well(house, known)


# Redis away


@contextmanager
def flushed(house: House) -> Iterator[None]:
    with house.redis() as redis:
        redis.flushall()
    yield


@contextmanager
def poisoned(house: House) -> Iterator[None]:
    nonsense: list[Callable[..., object]] = [
        lambda redis, key: redis.rpush(key, b"a", b"list"),
        lambda redis, key: redis.set(key, random.randbytes(200)),
        lambda redis, key: redis.set(key, 10**17),
        lambda redis, key: redis.set(key, 3),
        lambda redis, key: redis.set(key, b"\xff" * 16),
    ]
    with house.redis() as redis:
        for number, key in enumerate(sorted(redis.keys("*"))):
            redis.delete(key)
            nonsense[number % len(nonsense)](redis, key)
    yield


Fault = Callable[[House], AbstractContextManager[None]]
FAULTS = pytest.mark.parametrize("fault", [
    pytest.param(flushed, id="flushed"), pytest.param(poisoned, id="poisoned"),
    pytest.param(House.frozen, id="frozen"), pytest.param(House.killed, id="killed"),
])


@FAULTS
def test_what_changes_while_redis_is_away_is_seen_at_once_and_afterwards(
    house: House, admin: httpx.Client, fault: Fault
) -> None:
    path = f"/patients/{register_patient(admin)['id']}"
    copied(house, path)
    with fault(house):
        began = time.monotonic()
        current = change(admin, path)
        assert time.monotonic() - began < SLOWEST
        assert [answer.json() for answer in by_all(house, path)] == [current] * OFTEN
    for _ in until(EPOCH_SECONDS + 1):
        assert anew(house, path).json() == current
    current = change(admin, path)
    copied(house, path)
    assert [answer.json() for answer in by_all(house, path)] == [current] * OFTEN


def sign_out(desk: Desk, person: Person) -> None:
    assert person.client.post("/auth/logout").status_code == 204


def disable(desk: Desk, person: Person) -> None:
    desk.disable(person)


def demote(desk: Desk, person: Person) -> None:
    changed = desk.admin.patch(
        f"/accounts/{person.account}", json={"role": "staff", "subjectId": None}
    )
    assert changed.status_code == 200, changed.text


def new_password(desk: Desk, person: Person) -> None:
    changed = desk.admin.patch(f"/accounts/{person.account}", json={"password": password()})
    assert changed.status_code == 200, changed.text


def own_password(desk: Desk, person: Person) -> None:
    """From another session, which goes on."""
    sent = {"currentPassword": person.password, "newPassword": password()}
    assert desk.again(person).client.post("/auth/password", json=sent).status_code == 204


ENDS = pytest.mark.parametrize("end", [sign_out, disable, demote, new_password, own_password])


@ENDS
def test_a_session_is_over_on_every_worker_with_the_next_request(
    house: House, desk: Desk, end: Callable[[Desk, Person], None]
) -> None:
    person = desk.patient()
    token = login(house.system, person.email, person.password)["accessToken"]
    path = f"/patients/{person.id}"
    mine = person.client.headers["Authorization"].removeprefix("Bearer ")
    ended = mine if end is sign_out else token
    assert {answer.status_code for answer in by_all(house, path, ended)} == {200}
    end(desk, person)
    assert {answer.status_code for answer in by_all(house, path, ended)} == {401}


@FAULTS
def test_a_session_that_ended_is_over_whatever_becomes_of_redis(
    house: House, desk: Desk, fault: Fault
) -> None:
    """Ended before the fault, and ended during it."""
    before, during = desk.patient(), desk.patient()
    for person in (before, during):
        assert person.client.get(f"/patients/{person.id}").status_code == 200
    sign_out(desk, before)
    with fault(house):
        sign_out(desk, during)
        for person in (before, during):
            assert refused(house, person)
    for person in (before, during):
        assert refused(house, person)
    for _ in until(EPOCH_SECONDS + 1):
        assert anew(house, f"/patients/{during.id}", token_of(during)).status_code == 401


def token_of(person: Person) -> str:
    return person.client.headers["Authorization"].removeprefix("Bearer ")


def refused(house: House, person: Person) -> bool:
    answers = by_all(house, f"/patients/{person.id}", token_of(person))
    return {answer.status_code for answer in answers} == {401}
