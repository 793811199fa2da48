"""Keys change while people work: nobody notices, and what the old ones wrote stays readable."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from config.keys import fresh, new_secret
from config.settings import KEYS
from tests.e2e.desk import Json, login, patient_body, register_patient
from tests.e2e.gateways import own_databases
from tests.systems import System, clinic, real_system, succeed
from tests.vhosts import own_vhost

PATIENTS = 40
CLIENTS = 2
# Those who work for people, and those whom the gateway's readiness asks for.
PROGRAMS = ("patient", "doctor", "appointment", "gateway")
# The words that people are found by cannot be made anew from what is sealed.
KEPT = ("INDEX_KEYS",)
# The old lines of the trail stay as they are, and so do their keys.
KEPT_BESIDE = ("AUDIT_KEYS",)


@pytest.fixture
def servers(addresses: dict[str, str]) -> Iterator[dict[str, str]]:
    """Services with other keys answer on the virtual host that all share."""
    with own_databases(addresses, "rotation") as url, own_vhost(addresses) as broker:
        yield {"DATABASE_URL": url, "REDIS_URL": addresses["REDIS_URL"], "AMQP_URI": broker}


def with_new_key(old: Mapping[str, str]) -> dict[str, str]:
    return {
        name: ring if name in KEPT else f"2:{new_secret()},{ring}" for name, ring in old.items()
    }


def without_old_key(both: Mapping[str, str]) -> dict[str, str]:
    return {
        name: ring if name in KEPT + KEPT_BESIDE else ring.partition(",")[0]
        for name, ring in both.items()
    }


@contextmanager
def at_work(system: System, patients: list[Json]) -> Iterator[list[httpx.Response]]:
    """Clients that read and change ``patients`` meanwhile; what they were answered."""
    answers: list[httpx.Response] = []
    over = threading.Event()

    def work(mine: list[Json]) -> None:
        with system.client() as client:
            while not over.is_set():
                for patient in mine:
                    address = f"/patients/{patient['id']}"
                    body = patient_body(email=patient["email"], name=patient["name"])
                    answers.append(client.put(address, json=body))
                    answers.append(client.get(address))
                    # Else they would work all the time, and the command would wait for them.
                    time.sleep(0.02)

    workers = [
        threading.Thread(target=work, args=(patients[number::CLIENTS],))
        for number in range(CLIENTS)
    ]
    for worker in workers:
        worker.start()
    try:
        yield answers
    finally:
        over.set()
        for worker in workers:
            worker.join()


def test_all_rings_change_while_people_work(servers: dict[str, str], tmp_path: Path) -> None:
    old = fresh(KEYS)
    start = partial(real_system, addresses=servers, programs=PROGRAMS)
    with start(tmp_path / "old", **old) as system, system.client() as client:
        patients = [register_patient(client, name=f"Ada No{n}") for n in range(PATIENTS)]
        token = system.admin_token

    both = with_new_key(old)
    with start(tmp_path / "both", **both) as system:
        with system.caller(token) as early:
            assert early.get("/me").status_code == 200
        with at_work(system, patients) as answers:
            printed = succeed(clinic("rotate"), environ=system.environ)
        assert {answer.status_code for answer in answers} == {200}
        assert len(answers) > PATIENTS, printed

    new = without_old_key(both)
    with start(tmp_path / "new", **new) as system, system.client() as client:
        for patient in patients:
            read = client.get(f"/patients/{patient['id']}").json()
            assert (read["name"], read["email"]) == (patient["name"], patient["email"])
        found = client.get("/patients", params={"email": patients[7]["email"]}).json()["items"]
        assert [each["id"] for each in found] == [patients[7]["id"]]
        with system.caller(token) as late:
            assert late.get("/me").status_code == 401
        assert login(system, system.environ["ADMIN_EMAIL"], system.environ["ADMIN_PASSWORD"])
        succeed(clinic("audit", "verify"), environ=system.environ)
