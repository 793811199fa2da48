"""A real system whose database is frozen, killed or locked: everybody is told in time, nothing is
half done, and the same processes work again afterwards."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

import httpx
import pytest
from sqlalchemy import text

from config.database import connect
from tests.e2e.desk import (
    Json,
    book,
    eventually,
    morning,
    register_doctor,
    register_patient,
    unique,
)
from tests.e2e.hurtable import (
    Ask,
    House,
    assert_refused_in_time,
    frozen,
    hurtable_house,
    killed,
)

AT_ONCE = 12


@pytest.fixture(scope="module")
def house(
    addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with hurtable_house(tmp_path_factory.mktemp("deadlines"), addresses) as house:
        yield house


@pytest.fixture(autouse=True)
def well(house: House) -> None:
    """Whatever became of the test before."""
    house.wait_until_ready()


def requests_of_all_kinds(house: House, patient: Json, doctor: Json, key: str) -> list[Ask]:
    """The first of them books, with ``key``."""
    environ = house.system.environ
    login = {"email": environ["ADMIN_EMAIL"], "password": environ["ADMIN_PASSWORD"]}
    kinds: list[Ask] = [
        lambda client: book(client, patient, doctor, morning(), key=key),
        lambda client: client.get(f"/patients/{patient['id']}"),
        lambda client: client.get(f"/doctors/{doctor['id']}/slots"),
        lambda client: client.get("/appointments"),
        lambda client: client.post("/auth/login", json=login),
        lambda client: client.get("/audit"),
    ]
    return [kinds[number % len(kinds)] for number in range(AT_ONCE)]


@pytest.mark.parametrize("fault", [frozen, killed])
def test_without_its_database_nobody_waits_past_the_deadline_and_all_is_well_again_with_it(
    house: House, fault: Callable[[House], AbstractContextManager[None]]
) -> None:
    patient, doctor, key = register_patient(house.client), register_doctor(house.client), unique()
    asks = requests_of_all_kinds(house, patient, doctor, key)
    with fault(house):
        assert_refused_in_time(house, asks)
        assert house.readiness() == 503
    # Nothing of it was done, or all: the key tells.
    booked = house.wait_until_well(asks[0])
    assert house.client.get(f"/appointments/{booked['id']}").status_code == 200
    assert house.booked(patient) == 1


@contextmanager
def kept_keys_locked(house: House) -> Iterator[None]:
    """No booking can look for its key, which every one does first."""
    engine = connect(house.address("appointment"), statement_seconds=None)
    with engine.connect() as connection:
        connection.execute(text("LOCK TABLES answer WRITE"))
        try:
            yield
        finally:
            connection.execute(text("UNLOCK TABLES"))
    engine.dispose()


def test_while_all_workers_of_a_service_are_stuck_its_callers_are_told_in_time(
    house: House,
) -> None:
    patient, doctor, key = register_patient(house.client), register_doctor(house.client), unique()

    def one(client: httpx.Client) -> httpx.Response:
        return book(client, patient, doctor, morning(), key=key)

    with kept_keys_locked(house), ThreadPoolExecutor(1) as aside:
        asked = aside.submit(assert_refused_in_time, house, [one] * AT_ONCE)
        eventually(lambda: house.readiness() == 503, what="a red light")
        # The others are none the worse.
        assert house.client.get(f"/doctors/{doctor['id']}").status_code == 200
        asked.result()
    house.wait_until_well(one)
    assert house.booked(patient) == 1
