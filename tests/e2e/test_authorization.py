"""The matrix: every route, for everybody, on everybody's records, as the contract has it.

Each cell is a request. What the contract allows succeeds; what it does not is refused as it says,
changes nothing, and says no more about a record than about one that is not there. Each leaves
one line in the audit trail.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from gateway.routes import ROUTES
from tests.e2e.desk import Desk, Json, book, booking_body, problem, stored, unique
from tests.e2e.matrix import CODES, MATRIX, REFUSALS, UNASKED, contract_name
from tests.e2e.scene import KINDS, MISSING, Cell, Scene, cells, set_scene, without

BY_NAME = {contract_name(route): route for route in ROUTES}


def test_every_route_is_in_the_matrix_and_nothing_else_is() -> None:
    assert sorted(BY_NAME.keys() - MATRIX.keys()) == [], "routes without a row"
    assert sorted(MATRIX.keys() - BY_NAME.keys()) == [], "rows without a route"


@pytest.fixture(scope="module", params=["embedded", "stack"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with ExitStack() as ending:
        desk = Desk(request.getfixturevalue(request.param), ending)
        yield set_scene(desk)


# What is seen of a row


@pytest.mark.parametrize(
    ("name", "whose"), [(name, whose) for name, row in MATRIX.items() for whose in row]
)
def test_each_may_do_what_the_contract_says_and_all_of_it_is_on_record(
    scene: Scene, name: str, whose: str
) -> None:
    row, since = cells(scene, name, whose, MATRIX[name][whose]), datetime.now(UTC)
    stands = record_of(scene, row[0])
    answers: dict[str, tuple[Cell, httpx.Response]] = {}
    for cell in row:
        if cell.allowed and stands:
            assert record_of(scene, cell if name == "DELETE /patients/{id}" else row[0]), cell
        word = f"matrix-{unique()}"
        answers[word] = cell, cell.send(word)
        assert_as_expected(*answers[word])
        if not cell.allowed:
            assert record_of(scene, cell) == stands, f"{cell.who} was refused and changed it"
    assert_on_record(scene, answers, since)


def assert_as_expected(cell: Cell, answer: httpx.Response) -> None:
    assert answer.status_code == cell.status, f"{cell.who}, {cell.whose}: {answer.text}"
    if cell.allowed:
        return
    code = REFUSALS.get(cell.status) or CODES[(cell.name, cell.whose)]
    said = problem(answer, cell.status, code)
    if cell.status == 401:
        assert answer.headers["WWW-Authenticate"].split()[0] == "Bearer"
    if cell.status == 404:
        kind = KINDS[cell.path.split("/")[1]]
        # As of a record that is not there, word for word.
        assert said["detail"] == f"There is no {kind} {cell.record}."
        assert said.keys() == {"type", "title", "status", "detail", "code", "correlationId"}


def record_of(scene: Scene, cell: Cell) -> Any:
    """What an administrator reads at the address of ``cell``; nothing where that makes no sense."""
    if cell.record is None or cell.record == MISSING:
        return None
    if cell.resource == f"account/{cell.record}":
        options: Json = {"limit": 100}
        while True:
            page = scene.admin.get("/accounts", params=options).json()
            found = [each for each in page["items"] if each["id"] == cell.record]
            if found or page["nextCursor"] is None:
                return found[0]
            options["cursor"] = page["nextCursor"]
    answer = scene.admin.get(address_of(cell))
    assert answer.status_code == 200, answer.text
    return answer.json()


def address_of(cell: Cell) -> str:
    """Of the record; hours and times off are stored beside the doctor's."""
    parts = cell.path.split("/")
    beside = parts[3:4] in (["schedule"], ["time-off"])
    return "/".join(parts[: 4 if beside else 3])


def assert_on_record(
    scene: Scene, answers: dict[str, tuple[Cell, httpx.Response]], since: datetime
) -> None:
    written = lines_since(scene.admin, since - timedelta(seconds=1))
    for word, (cell, answer) in answers.items():
        lines = [line for line in written if line["correlationId"] == word]
        subjects = concerned(scene, cell, answer) if BY_NAME[cell.name].personal else set()
        # One for each whose data it was, and one where it was nobody's.
        assert len(lines) == len(subjects), f"{cell.who}, {cell.whose}"
        assert {line["subject"] for line in lines} == subjects, f"{cell.who}, {cell.whose}"
        for line in lines:
            assert_tells_of(scene, cell, line)


def assert_tells_of(scene: Scene, cell: Cell, line: Json) -> None:
    route, who = BY_NAME[cell.name], "nobody" if cell.name in UNASKED else cell.who
    others = ("id", "at", "subject", "correlationId")
    assert {name: value for name, value in line.items() if name not in others} == {
        "role": "patient" if is_gone(cell) else scene.role(who),
        "accountId": line["accountId"] if is_gone(cell) else scene.account(who),
        "action": f"{route.method} {route.path}",
        "resource": cell.resource,
        "outcome": str(cell.status),
    }


def is_gone(cell: Cell) -> bool:
    """A patient who is there for one cell only."""
    return cell.allowed and (cell.name, cell.who) == ("DELETE /patients/{id}", "patient A")


def concerned(scene: Scene, cell: Cell, answer: httpx.Response) -> set[str | None]:
    """Whose data it was: as far as the gateway can know before it looks, or found when it did."""
    match cell.name:
        case "POST /auth/login" | "POST /auth/refresh":
            return {f"account/{scene.account('patient A')}"}
        case "GET /me" if cell.allowed:
            me = answer.json()
            return of_login({"id": me["accountId"], **me})
        case "GET /accounts" if cell.allowed:
            return {each for account in answer.json()["items"] for each in of_login(account)}
        case "POST /accounts" | "PATCH /accounts/{id}" if cell.allowed:
            return of_login(answer.json())
        case "POST /patients" if cell.allowed:
            return {f"patient/{answer.json()['id']}"}
        case "POST /appointments" if cell.status not in (401, 403):
            number = cell.options["json"].get("patientId")
            own = scene.people[cell.who].record.get("id")
            return {f"patient/{number or own}" if number or own else None}
        case "GET /doctors" if cell.allowed:
            return {f"doctor/{each['id']}" for each in answer.json()["items"]} or {None}
        case "GET /appointments" if cell.allowed:
            one = "patient B" if cell.who == "patient B" else "patient A"
            theirs = {f"patient/{each['patientId']}" for each in answer.json()["items"]}
            return {f"patient/{scene.people[one].id}", *theirs}
        case "GET /patients" | "GET /doctors" | "GET /appointments":
            return {cell.concerns if cell.allowed else None}
        case name if name.partition(" ")[2].startswith("/appointments/{id}"):
            # Nobody looks whose it is for who may not do it to anybody's.
            return {None if cell.status in (401, 403) else cell.concerns}
    return {cell.concerns}


def of_login(account: Json) -> set[str | None]:
    """The login, and the person whose it is."""
    person = {f"{account['role']}/{account['subjectId']}"} if account["subjectId"] else set()
    return {f"account/{account['id']}", *person}


def lines_since(admin: httpx.Client, since: datetime) -> list[Json]:
    options: Json = {"from": since.isoformat(), "limit": 100}
    lines: list[Json] = []
    while True:
        page = admin.get("/audit", params=options).json()
        lines += page["items"]
        if page["nextCursor"] is None:
            return lines
        options["cursor"] = page["nextCursor"]


# What a table cannot show


def test_a_patient_is_told_of_a_doctor_only_what_helps_to_choose_one(scene: Scene) -> None:
    doctor = scene.people["doctor A"]
    address, shown = f"/doctors/{doctor.id}", {"id", "name", "speciality", "timezone"}
    record = scene.admin.get(address).json()
    assert record.keys() > {*shown, "email", "phone"}
    for who in ("patient A", "patient B"):
        told = scene.clients[who].get(address).json()
        assert told == {name: record[name] for name in shown}
    for who in ("doctor A", "doctor B", "staff"):
        assert scene.clients[who].get(address).json() == record


def test_a_doctor_sees_a_patient_from_the_booking_to_its_cancellation(scene: Scene) -> None:
    doctor, patient = scene.people["doctor B"], scene.desk.patient()
    address = f"/patients/{patient.id}"
    stranger = problem(doctor.client.get(address), 404, "not_found")
    first = scene.appointment(patient.record, doctor.record)
    second = scene.appointment(patient.record, doctor.record)
    assert doctor.client.get(address).json() == patient.record
    assert patient.client.delete(f"/appointments/{first['id']}").status_code == 204
    assert doctor.client.get(address).json() == patient.record
    assert patient.client.delete(f"/appointments/{second['id']}").status_code == 204
    again = problem(doctor.client.get(address), 404, "not_found")
    assert {**again, "correlationId": ""} == {**stranger, "correlationId": ""}
    # The appointments themselves stay theirs.
    assert doctor.client.get(f"/appointments/{first['id']}").json()["status"] == "cancelled"


def test_a_patient_books_for_themselves_and_learns_of_nobody_else(scene: Scene) -> None:
    patient, other = scene.people["patient A"], scene.people["patient B"]
    doctor, when = scene.people["doctor B"].record, scene.another_time()
    refusals = [
        problem(book(patient.client, somebody, doctor, when), 422, "unknown_patient")
        for somebody in (other.record, {"id": MISSING})
    ]
    details = [re.sub(r"\d+", "#", refusal["detail"]) for refusal in refusals]
    assert details[0] == details[1]
    body = without(booking_body(patient.record, doctor, when), "patientId")
    booked = stored(patient.client.post("/appointments", json=body))
    assert booked["patientId"] == patient.id


def test_a_key_that_somebody_else_used_gives_nobody_their_answer(scene: Scene) -> None:
    key, doctor = unique(), scene.people["doctor B"].record
    one, other = scene.people["patient A"], scene.people["patient B"]
    first = stored(book(one.client, one.record, doctor, scene.another_time(), key=key))
    second = book(other.client, other.record, doctor, scene.another_time(), key=key)
    assert "Idempotent-Replayed" not in second.headers
    assert stored(second)["id"] != first["id"]


def test_who_has_read_or_changed_a_patients_data_is_told_to_them_newest_first(
    scene: Scene,
) -> None:
    patient, staff = scene.desk.patient(), scene.people["staff"]
    address = f"/patients/{patient.id}"
    staff.client.get(address)
    scene.clients["patient B"].get(address)
    scene.clients["nobody"].get(address)
    log = patient.client.get(f"{address}/access-log").json()["items"]
    seen = [(line["role"], line["accountId"], line["action"], line["outcome"]) for line in log]
    get = "GET /patients/<patient_id>"
    assert [line for line in seen if line[2] != "GET /me"] == [
        ("nobody", None, get, "401"),
        ("patient", scene.account("patient B"), get, "404"),
        ("staff", staff.account, get, "200"),
        ("nobody", None, "POST /patients", "201"),
    ]
