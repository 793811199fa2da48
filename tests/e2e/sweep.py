"""Sends marked people through every route, in good requests and in every kind of bad one."""

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx

from gateway.request import LARGEST_BODY
from gateway.routes import ROUTES
from tests.e2e.desk import (
    Desk,
    Json,
    book,
    doctor_body,
    login_body,
    morning,
    patient_body,
    problem,
    rfc3339,
    schedule_body,
    stored,
    time_off_body,
    unique,
)
from tests.e2e.markers import Markers
from tests.e2e.matrix import CONDITIONS, contract_name

MISSING = 2**62
JSON = {"Content-Type": "application/json"}


class Sweep:
    """``driven`` holds the routes that were asked, by their names in the contract."""

    def __init__(self, desk: Desk, markers: Markers) -> None:
        self.desk, self.markers = desk, markers
        self.driven: set[str] = set()
        self.statuses: Counter[int] = Counter()

    def ask(
        self, name: str, *, by: httpx.Client, record: int = 0, further: int = 0, **options: Any
    ) -> httpx.Response:
        """``further`` is the second id in the address, where there is one."""
        self.driven.add(name)
        method, _, path = name.partition(" ")
        path = path.replace("{id}", str(record), 1).replace("{id}", str(further))
        answer = by.request(method, path, **options)
        assert answer.status_code < 500, f"{name}: {answer.text}"
        self.statuses[answer.status_code] += 1
        return answer

    # Marked bodies

    def patient(self, **changes: Any) -> Json:
        word = self.markers.word
        return patient_body(
            name=f"Ada {word()}", email=f"{self.markers.ascii()}@example.org",
            phone=self.markers.number(), address=f"12 {word()} Road\n{word()}", **changes,
        )

    def doctor(self) -> Json:
        return doctor_body(
            name=f"Dr {self.markers.word()}", email=f"{self.markers.ascii()}@example.org",
            phone=self.markers.number(), speciality=f"Speciality {unique()}",
        )

    def password(self) -> str:
        return f"{self.markers.word()} {self.markers.word()}"

    def login(self, role: str, subject: int | None = None) -> Json:
        email = f"{self.markers.ascii()}@clinic.example"
        return login_body(role, subject, email=email, password=self.password())

    # A day at the clinic

    def a_good_day(self) -> None:
        """What is asked for is got, and those who may see it see what was sent."""
        sent, doctor = self.patient(password=self.password()), self.a_doctor()
        key = {"Idempotency-Key": self.markers.ascii()}
        record = stored(self.ask("POST /patients", by=self.desk.nobody, json=sent, headers=key))
        again = self.ask("POST /patients", by=self.desk.nobody, json=sent, headers=key)
        assert again.headers["Idempotent-Replayed"] == "true" and stored(again) == record
        with self.signed_in(sent) as patient:
            self.a_patients_day(patient, record, sent, doctor)

    def a_doctor(self) -> Json:
        sent = self.doctor()
        made = stored(self.ask("POST /doctors", by=self.desk.admin, json=sent))
        changed = self.doctor()
        at = {"by": self.desk.admin, "record": made["id"]}
        shows(self.ask("PUT /doctors/{id}", json=changed, **at), changed, "name", "email", "phone")
        doctor: Json = self.ask("GET /doctors/{id}", **at).json()
        account = self.login("doctor", doctor["id"])
        shows(self.ask("POST /accounts", by=self.desk.admin, json=account), account, "email")
        self.hours(at)
        return doctor

    def hours(self, at: Json) -> None:
        """At any time, but for an hour that nobody has an appointment in."""
        problem(self.ask("PUT /doctors/{id}/schedule", json=schedule_body(), **at), 428,
                "precondition_required")
        schedule = {"json": schedule_body(), "headers": {"If-Match": '"0"'}}
        set_ = self.ask("PUT /doctors/{id}/schedule", **schedule, **at)
        assert set_.headers["ETag"] == '"1"'
        again = self.ask("PUT /doctors/{id}/schedule", **schedule, **at)
        problem(again, 412, "precondition_failed")
        known = self.ask("GET /doctors/{id}/schedule", headers={"If-None-Match": '"1"'}, **at)
        assert known.status_code == 304
        away = time_off_body(reason=f"A {self.markers.word()} congress\n{self.markers.word()}")
        key = {"Idempotency-Key": self.markers.ascii()}
        for _ in range(2):
            taken = self.ask("POST /doctors/{id}/time-off", json=away, headers=key, **at)
            shows(taken, away, "reason")
        dry = self.ask("POST /doctors/{id}/time-off", json=away, params={"dryRun": "true"}, **at)
        shows(dry, away, "reason")
        shows(self.ask("GET /doctors/{id}/time-off", **at), away, "reason")
        gone = {"further": taken.json()["id"], **at}
        assert self.ask("DELETE /doctors/{id}/time-off/{id}", **gone).status_code == 204

    def signed_in(self, sent: Json) -> httpx.Client:
        credentials = {name: sent[name] for name in ("email", "password")}
        first = self.ask("POST /auth/login", by=self.desk.nobody, json=credentials).json()
        refresh = {"refreshToken": first["refreshToken"]}
        second = self.ask("POST /auth/refresh", by=self.desk.nobody, json=refresh).json()
        return self.desk.system.caller(second["accessToken"])

    def a_patients_day(
        self, patient: httpx.Client, record: Json, sent: Json, doctor: Json
    ) -> None:
        own: Json = {"by": patient, "record": record["id"]}
        shows(self.ask("GET /me", by=patient), sent, "email")
        shows(self.ask("GET /patients/{id}", **own), sent, "name", "email", "phone", "address")
        changed = self.patient()
        shows(self.ask("PUT /patients/{id}", json=changed, **own), changed, "name", "address")
        word = changed["name"].split()[1]
        for query in ({"q": word}, {"email": changed["email"]}):
            shows(self.ask("GET /patients", by=self.desk.admin, params=query), changed, "name")
        self.appointments(patient, record, doctor)
        passwords = {"currentPassword": sent["password"], "newPassword": self.password()}
        changing = self.ask("POST /auth/password", by=patient, json=passwords)
        assert changing.status_code == 204
        self.rights(own)

    def appointments(self, patient: httpx.Client, record: Json, doctor: Json) -> None:
        asked = {"doctorId": doctor["id"], "date": morning(40).isoformat()}
        asked |= {"description": f"It {self.markers.word()} hurts\n{self.markers.word()}"}
        key = {"Idempotency-Key": self.markers.ascii()}
        for _ in range(2):
            answer = self.ask("POST /appointments", by=patient, json=asked, headers=key)
            shows(answer, asked, "description")
        another = {**asked, "description": self.markers.word()}
        reused = self.ask("POST /appointments", by=patient, json=another, headers=key)
        problem(reused, 422, "idempotency_key_reused")
        taken = book(self.desk.admin, self.somebody(), doctor, morning(40), **described(another))
        problem(taken, 409, "slot_taken")
        busy = book(self.desk.admin, record, self.a_doctor(), morning(40), **described(another))
        problem(busy, 409, "patient_busy")
        at: Json = {"by": patient, "record": answer.json()["id"]}
        self.changes(at, doctor)
        reason = {"reason": f"Well {self.markers.word()} again"}
        for _ in range(2):
            cancelled = self.ask("DELETE /appointments/{id}", params=reason, **at)
            assert cancelled.status_code == 204
        told = self.ask("GET /appointments/{id}", **at)
        shows(told, reason, "reason")
        listed = self.ask("GET /appointments", by=patient)
        shows(listed, reason, "reason")

    def changes(self, at: Json, doctor: Json) -> None:
        """Of an appointment, and what is told of it and of the time that it takes."""
        new = {"description": f"It {self.markers.word()} hurts\n{self.markers.word()}"}
        for body in (new, {"date": rfc3339(morning(41))}):
            tag = self.ask("GET /appointments/{id}", **at).headers["ETag"]
            moved = self.ask("PATCH /appointments/{id}", json=body, headers={"If-Match": tag}, **at)
            shows(moved, new, "description")
        admin = {**at, "by": self.desk.admin}
        arrived = self.ask("POST /appointments/{id}/status", json={"status": "arrived"}, **admin)
        shows(arrived, new, "description")
        assert len(self.ask("GET /appointments/{id}/history", **at).json()["items"]) == 4
        assert self.ask("GET /appointments/{id}/calendar.ics", **at).status_code == 200
        hers: Json = {"by": at["by"], "record": doctor["id"]}
        assert self.ask("GET /doctors/{id}/slots", **hers).json()["items"]
        start = {"start": rfc3339(morning(41))}
        why = self.ask("GET /doctors/{id}/slots/explain", params=start, **hers).json()
        assert why["bookable"] is False
        for name in ("GET /slots", "GET /doctors"):
            speciality = {"speciality": doctor["speciality"]}
            assert self.ask(name, by=at["by"], params=speciality).json()["items"]

    def somebody(self) -> Json:
        return stored(self.ask("POST /patients", by=self.desk.admin, json=self.patient()))

    def rights(self, own: Json) -> None:
        admin = {**own, "by": self.desk.admin}
        reason = {"reason": f"A court {self.markers.word()} wants it"}
        held = self.ask("PUT /patients/{id}/legal-hold", json=reason, **admin)
        assert held.status_code == 204
        problem(self.ask("DELETE /patients/{id}", **own), 409, "legal_hold")
        shows(self.ask("GET /patients/{id}/export", **own), reason, "reason")
        released = self.ask("DELETE /patients/{id}/legal-hold", **admin)
        assert released.status_code == 204
        assert self.ask("GET /patients/{id}/access-log", **own).json()["items"]
        assert self.ask("GET /audit", by=self.desk.admin).json()["items"]
        assert self.ask("GET /accounts", by=self.desk.admin).json()["items"]
        # A second one, so that somebody who was erased is among what is searched.
        erased = self.ask("DELETE /patients/{id}", **own)
        assert erased.status_code == 202, erased.text
        problem(self.ask("GET /patients/{id}", **admin), 404, "not_found")

    # Requests that are refused, and odd ones that are not

    def bad_days(self) -> None:
        targets = Targets(self)
        for route in ROUTES:
            name = contract_name(route)
            for options in self.troubles(name, route.query.split(), targets):
                headers = {**CONDITIONS.get(name, {}), **options.pop("headers", {})}
                self.ask(name, by=targets.caller(name), record=targets.record(name),
                         further=MISSING, headers=headers, **options)
            for by in (self.desk.nobody, targets.caller(name)):
                self.ask(name, by=by, record=MISSING, further=MISSING, **body_of(name, targets))
        self.odd_addresses()

    def troubles(
        self, name: str, query: list[str], targets: "Targets"
    ) -> Iterator[Json]:
        for headers in self.headers():
            yield {"headers": headers, **body_of(name, targets)}
        for params in self.queries(query):
            yield {"params": params, **body_of(name, targets)}
        if not name.startswith("GET"):
            for content, headers in self.contents(targets.body(name)):
                yield {"content": content, "headers": headers}

    def headers(self) -> Iterator[Json]:
        """Those that nobody minds together; those that are refused one by one."""
        word, plain = self.markers.word(), self.markers.ascii()
        yield {
            "User-Agent": plain, "Cookie": f"{plain}={plain}", "Accept": plain,
            "X-Forwarded-For": plain, "traceparent": plain,
            "Referer": f"http://{plain}.example/{plain}", "Origin": f"http://{plain}.example",
            "Idempotency-Key": self.markers.ascii(), "X-Correlation-Id": word.encode(),
            f"X-{plain}": plain,
        }
        for name in ("If-Match", "If-None-Match"):
            yield {name: f'"{plain}"'}
            yield {name: plain}
        yield {"Idempotency-Key": f"no sane one: {plain}"}
        yield {"X-Http-Method-Override": plain}
        yield {"Authorization": f"Bearer {plain}"}
        yield {"Authorization": f"Basic {b64encode(f'{word}:{word}'.encode()).decode()}"}

    def queries(self, known: list[str]) -> Iterator[Json]:
        word = self.markers.word
        # One by one: where one is not known, the others are not looked at.
        for name in (*known, "q", word()):
            yield {name: word()}
            yield {name: f"{word()}\0"}

    def contents(self, good: Json) -> Iterator[tuple[bytes, dict[str, str]]]:
        word = self.markers.word()
        for value in (
            [word], word, {**good, word: word}, {"__type__": word, "__value__": word},
            {**good, f"\ud800{word}": word}, {"a": nested(word, 40)}, {"a": nested(word, 900)},
            dict.fromkeys(good, [word]), dict.fromkeys(good, f"{word}\0"),
            *({**good, field: word} for field in good if field not in FREE_TEXTS),
        ):
            yield json.dumps(value).encode("ascii"), JSON
        text = json.dumps({**good, "name": word}, ensure_ascii=False)
        yield text[:-2].encode(), JSON
        yield text.encode("utf-16"), JSON
        yield f'{{"name": "{word}", "name": "{word}"}}'.encode(), JSON
        yield text.encode() + word.encode() * (LARGEST_BODY // len(word)), JSON
        yield f"name={word}".encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        yield text.encode(), {"Content-Type": f"text/{self.markers.ascii()}"}

    def odd_addresses(self) -> None:
        word, plain = self.markers.word(), self.markers.ascii()
        for path in (f"/{word}", f"/patients/{word}", f"/patients/1/{word}", f"//{word}/{word}",
                     f"/{word}?{word}={word}", f"/patients/{plain}/export"):
            for method in ("GET", "POST", "DELETE", plain.upper()):
                assert self.desk.admin.request(method, path).status_code < 500

    def conflicts(self) -> None:
        sent, other = self.patient(), self.patient()
        record = stored(self.ask("POST /patients", by=self.desk.admin, json=sent))
        stored(self.ask("POST /patients", by=self.desk.admin, json=other))
        again = self.ask("POST /patients", by=self.desk.admin, json=sent)
        problem(again, 409, "email_taken")
        at = {"by": self.desk.admin, "record": record["id"]}
        problem(self.ask("PUT /patients/{id}", json=other, **at), 409, "email_taken")
        account = self.login("staff")
        stored(self.ask("POST /accounts", by=self.desk.admin, json=account))
        taken = self.ask("POST /accounts", by=self.desk.admin, json=account)
        problem(taken, 409, "email_taken")

    def wrong_passwords(self) -> None:
        for email in (f"{self.markers.ascii()}@clinic.example", self.desk.staff().email):
            sent = {"email": email, "password": self.password()}
            refused = self.ask("POST /auth/login", by=self.desk.nobody, json=sent)
            problem(refused, 401, "bad_credentials")

    def too_many_attempts(self, limit: int) -> None:
        for path in ("/auth/login", "/patients"):
            email = f"{self.markers.ascii()}@clinic.example"
            sent = {"email": email, "password": self.markers.word()}
            for _ in range(2 * limit):
                # Quick ones: a minute of those whose passwords are looked at may be too few.
                answer = self.desk.nobody.post(path, json={})
                if answer.status_code == 429:
                    answer = self.desk.nobody.post(path, json=sent)
                if answer.status_code == 429:
                    break
            problem(answer, 429, "too_many_attempts")


class Targets:
    """What the troubles may ruin: records, logins and sessions that nobody else needs."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep, desk = sweep, sweep.desk
        self._patient, doctor = sweep.somebody(), sweep.a_doctor()
        self._staff = desk.staff()
        # What was refused may have been done all the same: then it is found, too.
        self._records = {
            "patients": self._patient["id"],
            "doctors": doctor["id"],
            "appointments": stored(book(desk.admin, self._patient, doctor, morning(60)))["id"],
            "accounts": self._staff.account,
        }
        self._doctor = doctor
        own = ("POST /auth/logout", "POST /auth/password")
        self._sessions = {name: desk.again(self._staff).client for name in own}

    def record(self, name: str) -> int:
        return self._records.get(name.split("/")[1], 0)

    def caller(self, name: str) -> httpx.Client:
        return self._sessions.get(name, self._sweep.desk.admin)

    def body(self, name: str) -> Json:
        """A good one, marked."""
        sweep = self._sweep
        match name:
            case "POST /patients":
                return sweep.patient(password=sweep.password())
            case "PUT /patients/{id}":
                return sweep.patient()
            case "POST /doctors" | "PUT /doctors/{id}":
                return sweep.doctor()
            case "POST /appointments":
                return {
                    "patientId": self._patient["id"], "doctorId": self._doctor["id"],
                    "date": morning(61).isoformat(), "description": sweep.markers.word(),
                }
            case "PUT /doctors/{id}/schedule":
                return schedule_body(exceptions=[{"date": "2031-05-17", "windows": []}])
            case "POST /doctors/{id}/time-off":
                return time_off_body(reason=sweep.markers.word())
            case "PATCH /appointments/{id}":
                return {
                    "doctorId": self._doctor["id"], "date": rfc3339(morning(62)),
                    "durationMinutes": 30, "description": sweep.markers.word(),
                }
            case "POST /appointments/{id}/status":
                return {"status": "arrived"}
            case "POST /accounts":
                return sweep.login("staff")
            case "PATCH /accounts/{id}":
                return {"password": sweep.password(), "role": "staff", "disabled": False}
            case "POST /auth/login":
                return {"email": sweep.login("staff")["email"], "password": sweep.password()}
            case "POST /auth/refresh":
                return {"refreshToken": sweep.markers.ascii()}
            case "POST /auth/password":
                return {"currentPassword": sweep.password(), "newPassword": sweep.password()}
            case "PUT /patients/{id}/legal-hold":
                return {"reason": sweep.markers.word()}
        return {}


# A marker alone is a good value of these.
FREE_TEXTS = {"name", "address", "description", "reason", "password", "speciality",
              "currentPassword", "newPassword"}


def body_of(name: str, targets: Targets) -> Json:
    body = targets.body(name)
    return {"json": body} if body else {}


def described(asked: Json) -> Json:
    return {"description": asked["description"]}


def nested(value: object, levels: int) -> object:
    for _ in range(levels):
        value = [value]
    return value


def shows(answer: httpx.Response, sent: Json, *names: str) -> None:
    """Those fields came back as they were sent: the markers went all the way."""
    assert answer.status_code in (200, 201), answer.text
    told = json.dumps(answer.json(), ensure_ascii=False)
    for name in names:
        assert json.dumps(sent[name], ensure_ascii=False)[1:-1] in told, name
