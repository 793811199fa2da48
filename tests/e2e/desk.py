"""What the end-to-end tests say to the system, in the words of the front desk."""

import re
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx

from tests.systems import System
from tests.waiting import PATIENCE

Json = dict[str, Any]
Found = TypeVar("Found")

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "correlationId"}


def unique() -> str:
    return uuid.uuid4().hex[:12]


def patient_body(**changes: Any) -> Json:
    return {
        "name": "Ada Byron",
        "email": f"ada.{unique()}@example.org",
        "phone": "+442079460958",
        "dob": "1985-12-10",
        "address": "12 St James Square\nLondon",
        **changes,
    }


def doctor_body(**changes: Any) -> Json:
    return {
        "name": "Dr Elizabeth Garrett",
        "email": f"elizabeth.{unique()}@example.org",
        "phone": "+442079460321",
        "speciality": "General practice",
        "timezone": "UTC",
        **changes,
    }


def schedule_body(*windows: str, **changes: Any) -> Json:
    """Of one who works at any time, or in windows such as ``mon 09:00-12:00``."""
    told = [re.fullmatch(r"(\w+) (\S+)-(\S+)", each) for each in windows or _DAY_AND_NIGHT]
    weekly = [{"day": w[1], "start": w[2], "end": w[3]} for w in told if w]
    return {"timezone": "UTC", "slotMinutes": 30, "weekly": weekly, **changes}


_DAY_AND_NIGHT = [f"{day} 00:00-24:00" for day in "mon tue wed thu fri sat sun".split()]


def time_off_body(days: int = 3000, **changes: Any) -> Json:
    """An hour, in some days: so far from now that nobody has an appointment."""
    start = morning(days)
    end = start + timedelta(hours=1)
    return {"start": rfc3339(start), "end": rfc3339(end), "reason": "A congress", **changes}


def register_patient(client: httpx.Client, **changes: Any) -> Json:
    return stored(client.post("/patients", json=patient_body(**changes)))


def register_doctor(client: httpx.Client, **changes: Any) -> Json:
    return stored(client.post("/doctors", json=doctor_body(**changes)))


# Who signs in


def password() -> str:
    return f"a password for {unique()}"


@dataclass(frozen=True)
class Person:
    """Somebody with a login; ``record`` is the patient or doctor that they are."""

    email: str
    password: str
    account: int
    role: str
    record: Json
    client: httpx.Client

    @property
    def id(self) -> int:
        """Of their record."""
        number: int = self.record["id"]
        return number


class Desk:
    """Makes people who can sign in, and signs them in; for as long as ``ending`` is open."""

    def __init__(self, system: System, ending: ExitStack) -> None:
        self.system = system
        self.admin = ending.enter_context(system.client())
        self.nobody = ending.enter_context(system.caller())
        self._ending = ending

    def patient(self, **changes: Any) -> Person:
        """Registers and signs in by themselves."""
        sent = patient_body(password=password(), **changes)
        record = stored(self.nobody.post("/patients", json=sent))
        return self._arrived(sent["email"], sent["password"], record)

    def doctor(self, **changes: Any) -> Person:
        record = register_doctor(self.admin, **changes)
        return self.with_login("doctor", record)

    def staff(self) -> Person:
        return self.with_login("staff", {})

    def another_admin(self) -> Person:
        return self.with_login("admin", {})

    def with_login(self, role: str, record: Json) -> Person:
        sent = login_body(role, record.get("id"))
        stored(self.admin.post("/accounts", json=sent))
        return self._arrived(sent["email"], sent["password"], record)

    def again(self, person: Person) -> Person:
        """The same, in a session of its own."""
        return self._arrived(person.email, person.password, person.record)

    def disable(self, person: Person) -> None:
        changed = self.admin.patch(f"/accounts/{person.account}", json={"disabled": True})
        assert changed.status_code == 200, changed.text

    def _arrived(self, email: str, password: str, record: Json) -> Person:
        client = self._ending.enter_context(signed_in(self.system, email, password))
        me = client.get("/me").json()
        return Person(email, password, me["accountId"], me["role"], record, client)


def login_body(role: str, subject: int | None = None, **changes: Any) -> Json:
    email = f"{role}.{unique()}@clinic.example"
    body = {"email": email, "password": password(), "role": role, **changes}
    return body if subject is None else {"subjectId": subject, **body}


def signed_in(system: System, email: str, password: str) -> httpx.Client:
    return system.caller(login(system, email, password)["accessToken"])


def login(system: System, email: str, password: str) -> Json:
    with system.caller() as nobody:
        answer = nobody.post("/auth/login", json={"email": email, "password": password})
    assert answer.status_code == 200, answer.text
    tokens: Json = answer.json()
    return tokens


def stored(response: httpx.Response) -> Json:
    assert response.status_code == 201, response.text
    record: Json = response.json()
    return record


def morning(days: int = 30) -> datetime:
    """Nine o'clock UTC in some days, far enough from now for every test."""
    day = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    return day + timedelta(days=days)


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def booking_body(patient: Json, doctor: Json, start: datetime | str, **changes: Any) -> Json:
    date = start if isinstance(start, str) else rfc3339(start)
    return {
        "patientId": patient["id"],
        "doctorId": doctor["id"],
        "date": date,
        "description": "Check-up",
        **changes,
    }


def book(
    client: httpx.Client,
    patient: Json,
    doctor: Json,
    start: datetime | str,
    *,
    key: str | None = None,
    **changes: Any,
) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    body = booking_body(patient, doctor, start, **changes)
    return client.post("/appointments", json=body, headers=headers)


def problem(response: httpx.Response, status: int, code: str) -> Json:
    """The problem body, once it is seen to be whole and of this ``status`` and ``code``."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    body: Json = response.json()
    assert body.keys() >= PROBLEM_MEMBERS
    assert (body["status"], body["code"]) == (status, code)
    assert body["correlationId"] == response.headers["X-Correlation-Id"]
    assert "Traceback" not in response.text
    return body


def refused_fields(response: httpx.Response) -> set[str]:
    """The names of the fields that an invalid request is refused for."""
    errors = problem(response, 422, "invalid")["errors"]
    assert all(error.keys() == {"field", "message"} and error["message"] for error in errors)
    return {error["field"] for error in errors}


def eventually(
    look: Callable[[], Found | None], *, seconds: float = PATIENCE, every: float = 0.05, what: str
) -> Found:
    """What ``look`` finds in the end: anything but None or False."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(every)
    return found
