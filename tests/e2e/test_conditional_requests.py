"""ETag, If-None-Match and If-Match on every record, in each mode."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from tests.e2e.desk import (
    Json,
    book,
    doctor_body,
    morning,
    patient_body,
    problem,
    register_doctor,
    register_patient,
    rfc3339,
    schedule_body,
    stored,
    unique,
)
from tests.systems import System
from tests.waiting import PATIENCE


def a_patient(client: httpx.Client) -> str:
    return f"/patients/{register_patient(client)['id']}"


def a_doctor(client: httpx.Client) -> str:
    return f"/doctors/{register_doctor(client)['id']}"


def hours(client: httpx.Client) -> str:
    address = f"{a_doctor(client)}/schedule"
    first = client.put(address, json=schedule_body(), headers={"If-None-Match": "*"})
    assert first.status_code == 200, first.text
    return address


def an_appointment(client: httpx.Client) -> str:
    booked = book(client, register_patient(client), register_doctor(client), morning())
    return f"/appointments/{stored(booked)['id']}"


def a_change(address: str) -> tuple[str, Json]:
    """By which method, and a body that is another one each time."""
    match address.split("/")[1:]:
        case ["patients", _]:
            return "PUT", patient_body()
        case ["doctors", _]:
            return "PUT", doctor_body()
        case ["doctors", _, "schedule"]:
            return "PUT", schedule_body()
    return "PATCH", {"description": unique()}


RECORDS = pytest.mark.parametrize("record", [a_patient, a_doctor, hours, an_appointment])
Record = Callable[[httpx.Client], str]


def change(client: httpx.Client, address: str, **headers: str) -> httpx.Response:
    method, body = a_change(address)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, address, json=body, headers=sent)


@RECORDS
def test_a_record_that_has_not_changed_is_not_sent_again(
    client: httpx.Client, record: Record
) -> None:
    address = record(client)
    first = client.get(address)
    assert first.status_code == 200 and "version" not in first.json()
    for sent in (first.headers["ETag"], f"W/{first.headers['ETag']}", "*"):
        again = client.get(address, headers={"If-None-Match": sent})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["X-Correlation-Id"]
    assert client.head(address).headers["ETag"] == first.headers["ETag"]


@RECORDS
def test_a_record_that_has_changed_is_another_one(client: httpx.Client, record: Record) -> None:
    address = record(client)
    before = client.get(address).headers["ETag"]
    changed = change(client, address, If_Match=before)
    assert changed.status_code == 200 and "version" not in changed.json()
    now = client.get(address, headers={"If-None-Match": before})
    assert (now.status_code, now.headers["ETag"]) == (200, changed.headers["ETag"])
    assert now.headers["ETag"] != before
    assert now.json() == changed.json()


@RECORDS
def test_a_change_of_what_somebody_else_has_changed_is_refused_and_changes_nothing(
    client: httpx.Client, record: Record
) -> None:
    address = record(client)
    read = client.get(address).headers["ETag"]
    assert change(client, address, If_Match=read).status_code == 200
    stands = client.get(address)
    for sent in (read, f"W/{stands.headers['ETag']}", '"of-others"', f"{read}, \"99\""):
        problem(change(client, address, If_Match=sent), 412, "precondition_failed")
    now = client.get(address)
    assert (now.json(), now.headers["ETag"]) == (stands.json(), stands.headers["ETag"])


@RECORDS
def test_one_of_several_versions_is_enough_and_any_will_do(
    client: httpx.Client, record: Record
) -> None:
    address = record(client)
    tag = client.get(address).headers["ETag"]
    assert change(client, address, If_Match=f'"99", {tag}').status_code == 200
    assert change(client, address, If_Match="*").status_code == 200


@RECORDS
def test_a_condition_that_cannot_be_read_is_refused_and_changes_nothing(
    client: httpx.Client, record: Record
) -> None:
    address = record(client)
    stands = client.get(address)
    for sent in ("1", "", '"1', "'1'", '*, "1"'):
        problem(change(client, address, If_Match=sent), 400, "unreadable")
        problem(client.get(address, headers={"If-None-Match": sent}), 400, "unreadable")
    assert client.get(address).headers["ETag"] == stands.headers["ETag"]


@pytest.mark.parametrize("record", [hours, an_appointment])
def test_where_anothers_work_could_be_lost_a_change_says_what_it_is_of(
    client: httpx.Client, record: Record
) -> None:
    address = record(client)
    before = client.get(address).headers["ETag"]
    problem(change(client, address), 428, "precondition_required")
    assert client.get(address).headers["ETag"] == before


@pytest.mark.parametrize("record", [a_patient, a_doctor])
def test_elsewhere_a_change_need_not_say_so(client: httpx.Client, record: Record) -> None:
    address = record(client)
    assert change(client, address).status_code == 200


@pytest.mark.parametrize("record", [a_patient, a_doctor, an_appointment])
def test_what_is_there_is_not_made(client: httpx.Client, record: Record) -> None:
    address = record(client)
    problem(change(client, address, If_None_Match="*"), 412, "precondition_failed")


@pytest.mark.parametrize("headers", [{"If_Match": '"0"'}, {"If_None_Match": "*"}])
def test_the_first_schedule_is_set_once(client: httpx.Client, headers: dict[str, str]) -> None:
    address = f"{a_doctor(client)}/schedule"
    assert client.get(address).headers["ETag"] == '"0"'
    assert change(client, address, **headers).status_code == 200
    problem(change(client, address, **headers), 412, "precondition_failed")


def test_where_there_is_no_schedule_another_time_zone_is_another_version(
    client: httpx.Client,
) -> None:
    doctor = a_doctor(client)
    address, moved = f"{doctor}/schedule", doctor_body(timezone="Asia/Tokyo")
    read = client.get(address)
    assert client.get(address, headers={"If-None-Match": read.headers["ETag"]}).status_code == 304
    assert client.put(doctor, json=moved).status_code == 200
    again = client.get(address, headers={"If-None-Match": read.headers["ETag"]})
    assert again.json() == read.json() | {"timezone": "Asia/Tokyo"}
    problem(change(client, address, If_Match=read.headers["ETag"]), 412, "precondition_failed")
    assert change(client, address, If_Match=again.headers["ETag"]).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"), [("/patients", patient_body), ("/doctors", doctor_body)]
)
def test_a_new_record_comes_with_the_tag_that_it_is_read_with(
    client: httpx.Client, path: str, body: Callable[[], Json]
) -> None:
    made = client.post(path, json=body())
    assert "version" not in stored(made)
    assert client.get(made.headers["Location"]).headers["ETag"] == made.headers["ETag"]


def test_an_answer_that_was_kept_comes_with_the_tag_of_then(client: httpx.Client) -> None:
    sent, key = patient_body(), {"Idempotency-Key": unique()}
    made = client.post("/patients", json=sent, headers=key)
    assert change(client, made.headers["Location"]).status_code == 200
    again = client.post("/patients", json=sent, headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.json(), again.headers["ETag"]) == (made.json(), made.headers["ETag"])


def test_each_change_of_an_appointment_makes_it_another_version(client: httpx.Client) -> None:
    address = an_appointment(client)
    seen = [client.get(address).headers["ETag"]]

    def changed(answer: httpx.Response) -> None:
        assert answer.status_code in (200, 204), answer.text
        seen.append(client.get(address).headers["ETag"])
        assert answer.headers.get("ETag", seen[-1]) == seen[-1]

    moved = {"date": rfc3339(morning(31))}
    changed(client.patch(address, json=moved, headers={"If-Match": seen[-1]}))
    changed(client.post(f"{address}/status", json={"status": "arrived"}))
    changed(client.delete(address))
    assert len(set(seen)) == 4
    # Cancelled again, it is as it was.
    assert client.delete(address).status_code == 204
    assert client.get(address).headers["ETag"] == seen[-1]


def test_versions_are_nowhere_but_in_tags(client: httpx.Client) -> None:
    patient, doctor = register_patient(client), register_doctor(client, speciality=unique())
    stored(book(client, patient, doctor, morning()))
    lists: list[tuple[str, dict[str, Any]]] = [
        ("/patients", {"email": patient["email"]}),
        ("/doctors", {"speciality": doctor["speciality"]}),
        ("/appointments", {"patientId": patient["id"]}),
    ]
    for path, query in lists:
        (item,) = client.get(path, params=query).json()["items"]
        assert "version" not in item and "ETag" not in client.get(path, params=query).headers
    told = client.get(f"/patients/{patient['id']}/export").json()
    assert "version" not in told["patient"] and "version" not in told["appointments"][0]


@RECORDS
def test_of_many_who_read_the_same_version_one_changes_it(system: System, record: Record) -> None:
    with system.client() as client:
        address = record(client)
        tag = client.get(address).headers["ETag"]
    together = Barrier(6)

    def change_it(_: int) -> int:
        with system.client() as mine:
            together.wait(timeout=PATIENCE)
            return change(mine, address, If_Match=tag).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(change_it, range(6))) == [200] + [412] * 5
