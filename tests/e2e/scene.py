"""The people of the matrix, what they have to do with each other, and the requests they make."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import httpx

from tests.e2e.desk import (
    Desk,
    Json,
    Person,
    book,
    booking_body,
    doctor_body,
    login,
    login_body,
    morning,
    password,
    patient_body,
    rfc3339,
    schedule_body,
    stored,
    time_off_body,
    unique,
)
from tests.e2e.matrix import CONDITIONS, WHO

KINDS = {"patients": "patient", "doctors": "doctor", "appointments": "appointment",
         "accounts": "account"}
MISSING = 2**62


@dataclass
class Scene:
    """Who is there, and what they have to do with each other."""

    desk: Desk
    people: dict[str, Person]
    clients: dict[str, httpx.Client]
    day: int = 100

    @property
    def admin(self) -> httpx.Client:
        return self.desk.admin

    def role(self, who: str) -> str:
        return self.people[who].role if who in self.people else "nobody"

    def account(self, who: str) -> int | None:
        return self.people[who].account if who in self.people else None

    def another_time(self) -> datetime:
        """When nobody has an appointment."""
        self.day += 1
        return morning(self.day)

    def appointment(self, patient: Json, doctor: Json) -> Json:
        return stored(book(self.admin, patient, doctor, self.another_time()))

    def time_off(self, doctor: Json) -> int:
        address = f"/doctors/{doctor['id']}/time-off"
        number: int = stored(self.admin.post(address, json=time_off_body()))["id"]
        return number


def set_scene(desk: Desk) -> Scene:
    people = {
        "patient A": desk.patient(),
        "patient B": desk.patient(),
        "doctor A": desk.doctor(speciality=f"Speciality {unique()}"),
        "doctor B": desk.doctor(),
        "staff": desk.staff(),
        "admin": desk.another_admin(),
    }
    disabled, signed_out = desk.another_admin(), desk.another_admin()
    desk.disable(disabled)
    assert signed_out.client.post("/auth/logout").status_code == 204
    strangers = {
        "nobody": desk.nobody, "disabled": disabled.client, "signed out": signed_out.client
    }
    clients = {who: person.client for who, person in people.items()} | strangers
    scene = Scene(desk, people, clients)
    scene.appointment(people["patient A"].record, people["doctor A"].record)
    off = scene.appointment(people["patient B"].record, people["doctor A"].record)
    assert desk.admin.delete(f"/appointments/{off['id']}").status_code == 204
    return scene


@dataclass(frozen=True)
class Cell:
    """A request as one sends it; ``record`` and ``further`` are the ids in its path."""

    name: str
    who: str
    whose: str
    status: int
    client: httpx.Client
    record: int | None
    concerns: str | None
    options: Json
    further: int | None = None

    @property
    def allowed(self) -> bool:
        return self.status < 400

    @property
    def path(self) -> str:
        path = self.name.partition(" ")[2].replace("{id}", str(self.record), 1)
        return path.replace("{id}", str(self.further))

    @property
    def resource(self) -> str | None:
        if self.record is None:
            return None
        return f"{KINDS[self.path.split('/')[1]]}/{self.record}"

    def send(self, correlation: str) -> httpx.Response:
        headers = {"X-Correlation-Id": correlation, **CONDITIONS.get(self.name, {})}
        method = self.name.partition(" ")[0]
        return self.client.request(method, self.path, headers=headers, **self.options)


def cells(scene: Scene, name: str, whose: str, expected: str) -> list[Cell]:
    """Refusals first: what they would have changed is still to be done after them."""
    row = Row(scene, name, whose)
    statuses = dict(zip(WHO, map(int, expected.split()), strict=True))
    refusals_first = sorted(WHO, key=lambda who: statuses[who] < 400)
    return [row.cell(who, statuses[who]) for who in refusals_first]


class Row:
    """The requests of one route on one record."""

    def __init__(self, scene: Scene, name: str, whose: str) -> None:
        self.scene, self.name, self.whose = scene, name, whose
        self.record, self.subject = self._record()
        self.refused: Json | None = None
        self.kept: int | None = None

    def cell(self, who: str, status: int) -> Cell:
        client, record, subject = self.scene.clients[who], self.record, self.subject
        if status < 400 and self.name == "DELETE /patients/{id}":
            gone = self.scene.desk.patient()
            record, subject = gone.id, f"patient/{gone.id}"
            client = gone.client if who == "patient A" else client
        if status < 400 and self.name == "POST /auth/logout":
            client = self.scene.desk.again(self.scene.people[who]).client
        return Cell(
            self.name, who, self.whose, status, client, record, subject,
            self._options(who, status), self._further(status),
        )

    def _record(self) -> tuple[int | None, str | None]:
        """The id in the address, and whose data it is."""
        people = self.scene.people
        kind = self.name.split("/")[1] if "{id}" in self.name else ""
        if self.name == "GET /patients":
            return None, f"patient/{people['patient A'].id}"
        if self.whose == "nobody's" and kind:
            person = {"patients": "patient", "doctors": "doctor"}.get(kind)
            return MISSING, f"{person}/{MISSING}" if person else None
        if kind == "patients":
            number = people[self.whose.removesuffix("'s")].id
            return number, f"patient/{number}"
        if kind == "doctors":
            return people["doctor A"].id, f"doctor/{people['doctor A'].id}"
        if kind == "appointments":
            return self._appointment()
        if kind == "accounts":
            return self.scene.desk.with_login("patient", people["patient A"].record).account, None
        return None, None

    def _further(self, status: int) -> int | None:
        """The second id in the address: of a time off, which can be removed once."""
        if self.name.count("{id}") < 2:
            return None
        doctor = self.scene.people["doctor A"].record
        if self.kept is None and self.whose != "nobody's":
            self.kept = self.scene.time_off(doctor)
        return self.scene.time_off(doctor) if status < 400 else self.kept or MISSING

    def _appointment(self) -> tuple[int, str]:
        """Not the one that makes the patient of doctor A: this one may be cancelled."""
        people, desk = self.scene.people, self.scene.desk
        patient = (
            people["patient A"].record if "patient A" in self.whose
            else stored(desk.admin.post("/patients", json=patient_body()))
        )
        doctor = (
            people["doctor A"].record if "doctor A" in self.whose
            else stored(desk.admin.post("/doctors", json=doctor_body()))
        )
        return self.scene.appointment(patient, doctor)["id"], f"patient/{patient['id']}"

    def _options(self, who: str, status: int) -> Json:
        """The body. What was refused is asked for again by the first who is allowed."""
        method, _, path = self.name.partition(" ")
        if self.name in QUERIES:
            return {"params": QUERIES[self.name](self.scene)}
        own = {"/auth/login", "/auth/refresh", "/auth/password"}
        if method in ("GET", "DELETE") or path == "/auth/logout":
            return {}
        if path in own:
            return {"json": self._sign_in(path, who)}
        body = self.refused or self._body()
        self.refused = body if status >= 400 else None
        return {"json": body}

    def _body(self) -> Json:
        people = self.scene.people
        match self.name:
            case "POST /patients" if self.whose == "with a password":
                return patient_body(password=password())
            case "POST /patients":
                return patient_body()
            case "PUT /patients/{id}":
                # Under the address that they are looked for by.
                email = people["patient A"].email
                return patient_body(email=email, address=f"{unique()} Street")
            case "PUT /patients/{id}/legal-hold":
                return {"reason": "A court wants it"}
            case "POST /doctors" | "PUT /doctors/{id}":
                return doctor_body(speciality=f"Speciality {unique()}")
            case "PUT /doctors/{id}/schedule":
                return schedule_body(maxDaysAhead=3650)
            case "POST /doctors/{id}/time-off":
                return time_off_body()
            case "PATCH /appointments/{id}":
                return {"date": rfc3339(self.scene.another_time())}
            case "POST /appointments/{id}/status":
                return {"status": "arrived"}
            case "POST /accounts":
                return login_body("staff")
            case "PATCH /accounts/{id}":
                return {"disabled": True}
            case "POST /appointments":
                patient = {"patient A's": people["patient A"].record}.get(self.whose)
                when, doctor = self.scene.another_time(), people["doctor A"].record
                body = booking_body(patient or {"id": MISSING}, doctor, when)
                return without(body, "patientId") if self.whose == "one's own" else body
        raise AssertionError(f"no body for {self.name}")

    def _sign_in(self, path: str, who: str) -> Json:
        patient = self.scene.people["patient A"]
        if path == "/auth/login":
            return {"email": patient.email, "password": patient.password}
        if path == "/auth/refresh":
            system = self.scene.desk.system
            return {"refreshToken": login(system, patient.email, patient.password)["refreshToken"]}
        known = self.scene.people.get(who, patient).password
        return {"currentPassword": known, "newPassword": known}


QUERIES: dict[str, Callable[[Scene], Json]] = {
    "GET /patients": lambda scene: {"email": scene.people["patient A"].email},
    "GET /doctors": lambda scene: {"speciality": scene.people["doctor A"].record["speciality"]},
    "GET /slots": lambda scene: {"speciality": scene.people["doctor A"].record["speciality"]},
    "GET /appointments": lambda scene: {"patientId": scene.people["patient A"].id},
    "GET /doctors/{id}/slots/explain": lambda scene: {"start": rfc3339(morning(50))},
}


def without(body: Json, name: str) -> Json:
    return {each: value for each, value in body.items() if each != name}
