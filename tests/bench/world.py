"""The people of the benchmark, their appointments, and what is asked about them."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain, count, islice

import httpx

from tests.bench.filling import Visit
from tests.bench.timing import Act
from tests.e2e.desk import Json, book, register_doctor, register_patient, rfc3339

DOCTORS, PATIENTS = 10, 50
FEW = 1_000
OPENS, SLOTS_A_DAY = time(8, tzinfo=UTC), 20
SLOT = timedelta(minutes=30)
HOURS = [
    {"day": day, "start": "08:00", "end": "18:00"}
    for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
]
# The days from today that everything asked lies in. It is as full with many as with few: what is
# compared is the same work, among more that has nothing to do with it.
ASKED = range(1, 32)
LIGHT = range(1, 26)
FREE = range(26, 31)


class World:
    """Ten doctors with half hours from eight to six, and fifty patients."""

    def __init__(self, client: httpx.Client, *, today: date) -> None:
        self._client = client
        self._today = today
        self.doctors = [register_doctor(client) for _ in range(DOCTORS)]
        self.patients = [register_patient(client) for _ in range(PATIENTS)]
        # The one that was booked last, and its ETag.
        self._last = (0, "")
        for doctor in self.doctors:
            self._set_schedule(doctor)
        self._free = self._free_starts()

    def few(self) -> Iterator[Visit]:
        """Four a day for each doctor, in the days that are asked for."""
        return self._visits(LIGHT, range(0, SLOTS_A_DAY, 5))

    def others(self, number: int) -> Iterator[Visit]:
        """Full days, before those and after them, and from as long ago as it takes."""
        before, after = range(-2, -250, -1), range(ASKED.stop + 10, 365)
        long_ago = range(before.stop, -20_000, -1)
        full = range(SLOTS_A_DAY)
        days = chain(before, after, long_ago)
        return islice(self._visits(days, full), number)

    def acts(self) -> dict[str, Act]:
        doctor, patient = self.doctors[0], self.patients[0]
        slots = f"/doctors/{doctor['id']}/slots"
        return {
            "slot list, a week": self._get(slots, to=8),
            "slot list, 31 days": self._get(slots, to=31),
            "list page of a doctor": self._get("/appointments", doctorId=doctor["id"]),
            "list page of a patient": self._get("/appointments", patientId=patient["id"]),
            "list page of all": self._get("/appointments"),
            "booking": self._book,
            "reading it": self._read,
            "moving it": self._move,
            "cancelling it": self._cancel,
        }

    def begin_again(self) -> None:
        """All that was booked is cancelled: the next measurement books the same times."""
        self._free = self._free_starts()

    def _set_schedule(self, doctor: Json) -> None:
        path, body = f"/doctors/{doctor['id']}/schedule", {"timezone": "UTC", "weekly": HOURS}
        etag = self._client.get(path).headers["ETag"]
        kept = self._client.put(path, json=body, headers={"If-Match": etag})
        assert kept.status_code == 200, kept.text

    def _visits(self, days: Iterable[int], slots: range) -> Iterator[Visit]:
        numbers = count()
        for day in days:
            for slot in slots:
                for doctor in self.doctors:
                    # At one time each doctor has another one.
                    patient = self.patients[next(numbers) % PATIENTS]
                    yield Visit(doctor["id"], patient["id"], self._start(day, slot))

    def _free_starts(self) -> Iterator[Visit]:
        return self._visits(FREE, range(SLOTS_A_DAY))

    def _start(self, day: int, slot: int) -> datetime:
        opens = datetime.combine(self._today + timedelta(days=day), OPENS)
        return opens + slot * SLOT

    def _get(self, path: str, *, to: int | None = None, **query: int) -> Act:
        first = self._today + timedelta(days=1)
        asked = {"from": f"{first}", **{name: f"{value}" for name, value in query.items()}}
        if to:
            asked["to"] = f"{first + timedelta(days=to)}"

        def get() -> None:
            answer = self._client.get(path, params=asked)
            assert answer.status_code == 200 and answer.json()["items"], answer.text

        return get

    def _book(self) -> None:
        free = next(self._free)
        answer = book(
            self._client, {"id": free.patient_id}, {"id": free.doctor_id}, rfc3339(free.start)
        )
        assert answer.status_code == 201, answer.text
        self._last = (answer.json()["id"], answer.headers["ETag"])

    def _read(self) -> None:
        number, _ = self._last
        answer = self._client.get(f"/appointments/{number}")
        assert answer.status_code == 200, answer.text

    def _move(self) -> None:
        number, etag = self._last
        free = next(self._free)
        answer = self._client.patch(
            f"/appointments/{number}", headers={"If-Match": etag},
            json={"doctorId": free.doctor_id, "date": rfc3339(free.start)},
        )
        assert answer.status_code == 200, answer.text

    def _cancel(self) -> None:
        number, _ = self._last
        assert self._client.delete(f"/appointments/{number}").status_code == 204
