"""Whom the drill's clients book with and for."""

from datetime import timedelta

import httpx

from tests.drill.load import World
from tests.drill.stage import Stage
from tests.e2e.desk import Json, doctor_body, morning, patient_body, stored
from tests.e2e.markers import Markers

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = [{"day": day, "start": "00:00", "end": "16:00"} for day in DAYS]
# A grid of quarters, and one of half hours with a gap between any two; others: at any time.
SCHEDULES = ({"slotMinutes": 15}, {"slotMinutes": 30, "bufferMinutes": 15})
DOCTORS, PATIENTS = 6, 30


def populate(stage: Stage, markers: Markers, *, days: int) -> World:
    # Ten digits come by chance in logs that are long enough.
    markers.numbers = []
    with stage.system.client() as admin:
        doctors = [_doctor(admin, markers) for _ in range(DOCTORS)]
        for doctor, schedule in zip(doctors, SCHEDULES, strict=False):
            _set_schedule(admin, doctor, schedule)
        patients = [_patient(admin, markers) for _ in range(PATIENTS)]
    return World(
        urls=stage.urls,
        token=stage.system.admin_token,
        doctors=doctors,
        patients=patients,
        first_day=morning(60) - timedelta(hours=9),
        days=days,
        markers=markers,
    )


def _doctor(admin: httpx.Client, markers: Markers) -> int:
    body = doctor_body(name=f"Dr {markers.word()}", email=f"{markers.ascii()}@example.org")
    return _id(stored(admin.post("/doctors", json=body)))


def _patient(admin: httpx.Client, markers: Markers) -> int:
    body = patient_body(
        name=f"Ada {markers.word()}", email=f"{markers.ascii()}@example.org",
        address=f"12 {markers.word()} Road",
    )
    return _id(stored(admin.post("/patients", json=body)))


def _id(record: Json) -> int:
    number: int = record["id"]
    return number


def _set_schedule(admin: httpx.Client, doctor: int, schedule: Json) -> None:
    path = f"/doctors/{doctor}/schedule"
    body = {"timezone": "UTC", "weekly": HOURS, **schedule}
    etag = admin.get(path).headers["ETag"]
    kept = admin.put(path, json=body, headers={"If-Match": etag})
    assert kept.status_code == 200, kept.text
