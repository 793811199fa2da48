"""What is on offer can be booked, and nothing else can: through the services, on MariaDB."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.errors import (
    DoctorNotFound,
    InvalidInput,
    NotBookable,
    OutsideHours,
    PatientBusy,
    SlotTaken,
    Unavailable,
)
from schemas.fields import as_instant
from tests.integration.practice import NOW, PATIENTS, WEEK, Practice, later, open_practice

# Days on which the clocks change, and one on which they do not, within 24 months from now.
NIGHTS = [
    ("Europe/Berlin", date(2027, 3, 28)),
    ("Europe/Berlin", date(2028, 10, 29)),
    ("America/New_York", date(2027, 11, 7)),
    ("America/New_York", date(2028, 3, 12)),
    ("Australia/Lord_Howe", date(2027, 10, 3)),
    ("Australia/Lord_Howe", date(2028, 4, 2)),
    ("Asia/Kolkata", date(2028, 2, 29)),
    ("America/Sao_Paulo", date(2027, 12, 31)),
]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
STEP = timedelta(minutes=5)


@pytest.fixture(scope="module")
def opened(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


@pytest.fixture
def practice(opened: Practice) -> Practice:
    opened.now = NOW
    return opened


def starts(practice: Practice, doctor: int, **query: Any) -> list[datetime]:
    found = practice.appointments().slots(doctor, query)["items"]
    return [datetime.fromisoformat(slot["start"]) for slot in found]


def random_windows(dice: random.Random) -> list[dict[str, str]]:
    marks = sorted(dice.sample(range(97), 4))
    clock = [f"{mark // 4:02}:{mark % 4 * 15:02}" for mark in marks]
    return [{"start": clock[0], "end": clock[1]}, {"start": clock[2], "end": clock[3]}]


def random_schedule(dice: random.Random) -> dict[str, Any]:
    # A window about the hours in which clocks change, on one of the two days.
    night = [{"start": "00:30", "end": "04:00"}]
    on = [night, random_windows(dice)]
    dice.shuffle(on)
    return {
        "slotMinutes": dice.choice((15, 20, 30, 45)),
        "weekly": [
            {"day": day, **window} for day in DAYS for window in on[DAYS.index(day) % 2]
        ],
        "bufferMinutes": dice.choice((0, 0, 10)),
        "minNoticeMinutes": dice.choice((0, 60)),
        "maxDaysAhead": 3650,
    }


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("zone", "day"), NIGHTS, ids=str)
def test_every_slot_on_offer_books_and_is_gone_and_no_other_start_books(
    practice: Practice, zone: str, day: date, seed: int
) -> None:
    dice = random.Random(f"{zone} {day} {seed}")
    doctor = practice.doctor(timezone=zone, **random_schedule(dice))
    minutes = dice.choice((None, 25, 60))
    asked = {
        "from": str(day), "to": str(day + timedelta(days=1)), "durationMinutes": minutes
    }
    booked = 0
    while booked < 12 and (offered := starts(practice, doctor, **asked)):
        start = dice.choice(offered)
        practice.book(doctor, start, minutes)
        booked += 1
        assert start not in starts(practice, doctor, **asked)
    assert booked
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    others = {midnight + n * STEP for n in range(276)} - set(starts(practice, doctor, **asked))
    for start in dice.sample(sorted(others), 12):
        with pytest.raises(NotBookable):
            practice.book(doctor, start, minutes)
    assert len(practice.of(doctor)) == booked


def test_a_day_is_booked_up_from_its_slot_list_without_a_refusal(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK, slotMinutes=15)
    asked = {"from": "2027-03-01", "to": "2027-03-02"}
    offered = starts(practice, doctor, **asked)
    assert len(offered) == 32
    for start in offered:
        practice.book(doctor, start)
    assert starts(practice, doctor, **asked) == []


def test_without_a_schedule_any_time_to_come_books_once(practice: Practice) -> None:
    doctor = practice.doctor(timezone="Asia/Kolkata")
    practice.book(doctor, later(minutes=7), 25)
    for start in (later(minutes=5), later(minutes=-16), later(minutes=32)):
        with pytest.raises(SlotTaken):
            practice.book(doctor, start, 25)
    practice.book(doctor, later(minutes=35), 5)


def test_a_refusal_tells_the_rule_as_the_explanation_does_and_alternatives_that_book(
    practice: Practice,
) -> None:
    doctor = practice.doctor(weekly=WEEK)
    with pytest.raises(OutsideHours) as refusal:
        practice.book(doctor, later(hours=9))
    told = practice.appointments().explain(doctor, {"start": as_instant(later(hours=9))})
    failed = [rule for rule in told["rules"] if not rule["passed"]]
    assert refusal.value.members["rule"] == failed[0]
    assert told["nearest"] == refusal.value.alternatives[0]
    for slot in refusal.value.alternatives:
        practice.book(doctor, datetime.fromisoformat(slot["start"]))


def test_a_patient_who_is_with_another_doctor_is_offered_times_at_which_both_can(
    practice: Practice,
) -> None:
    one, other, patient = practice.doctor(weekly=WEEK), practice.doctor(weekly=WEEK), next(PATIENTS)
    wanted = {"patientId": patient, "date": as_instant(later(hours=1)), "description": "Check-up"}
    practice.appointments().schedule(wanted | {"doctorId": one})
    with pytest.raises(PatientBusy) as refusal:
        practice.appointments().schedule(wanted | {"doctorId": other})
    assert [slot["start"][11:16] for slot in refusal.value.alternatives] == [
        "09:30", "10:30", "09:00",
    ]


def test_slots_of_a_doctor_nobody_knows_and_questions_nobody_can_answer_are_refused(
    practice: Practice,
) -> None:
    service, doctor = practice.appointments(), practice.doctor()
    with pytest.raises(DoctorNotFound):
        service.slots(2**40)
    with pytest.raises(DoctorNotFound):
        service.explain(2**40, {"start": "2027-03-01T09:00:00Z"})
    ends = "9999-12-31T23:59:59Z"
    for query in (
        {"from": "2027-03-02", "to": "2027-03-01"},
        {"from": "2027-03-01", "to": "2027-04-02"},
        {"from": ends}, {"to": ends}, {"from": "9999-12-31"},
        {"from": "0001-01-01", "to": ends}, {"durationMinutes": 7}, {"since": "2027-03-01"},
    ):
        with pytest.raises(InvalidInput):
            service.slots(doctor, query)
    assert service.slots(doctor, {"from": "0001-01-01", "to": "0001-01-03"}) == {"items": []}


def test_a_month_may_have_31_days_of_which_one_has_25_hours(practice: Practice) -> None:
    doctor = practice.doctor(timezone="Europe/Berlin")
    asked = {"from": "2027-10-01", "to": "2027-11-01"}
    assert len(starts(practice, doctor, **asked)) == 31 * 48 + 2


def test_the_first_slots_are_those_of_the_speciality(practice: Practice) -> None:
    one, other, another = (practice.doctor(weekly=WEEK) for _ in range(3))
    service = practice.doctors()
    for doctor, speciality in ((one, "Cardiology"), (other, "CARDIOLOGY"), (another, "Surgery")):
        fields = {"name": "Dr Bo Li", "phone": "+442079460958", "speciality": speciality}
        service.update(doctor, fields)
    practice.book(one, later())
    query = {"speciality": "cardiology", "limit": 3}
    found = practice.appointments().first_slots(query)["items"]
    assert [(slot["start"][11:16], slot["doctorId"]) for slot in found] == [
        ("09:00", other), ("09:30", one), ("09:30", other),
    ]
    assert practice.appointments().first_slots({"speciality": "alchemy"}) == {"items": []}


def test_without_a_speciality_the_first_slots_are_those_of_all_doctors(practice: Practice) -> None:
    these = {practice.doctor(weekly=WEEK) for _ in range(2)}
    found = practice.appointments().first_slots({"limit": 100})["items"]
    assert these <= {slot["doctorId"] for slot in found}


def test_the_affected_are_those_who_are_booked_in_each_period(practice: Practice) -> None:
    doctor, other = practice.doctor(), practice.doctor()
    first, second, third = (practice.book(doctor, later(hours=hours)) for hours in range(3))
    gone = practice.book(doctor, later(hours=4))
    practice.appointments().cancel(gone)
    practice.book(other, later())
    periods = [
        {"start": as_instant(later(minutes=start)), "end": as_instant(later(minutes=end))}
        for start, end in ((30, 60), (29, 61), (0, 600), (120, 121))
    ]
    assert practice.appointments().affected(doctor, periods) == [
        [], [first, second], [first, second, third], [third],
    ]
    assert practice.appointments().affected(doctor, []) == []
    for junk in ({}, [{}], [{"start": "2027-03-01T09:00", "end": "2027-03-01T10:00"}]):
        with pytest.raises(InvalidInput):
            practice.appointments().affected(doctor, junk)


def test_when_the_doctors_cannot_be_asked_nothing_is_made_up(practice: Practice) -> None:
    service = practice.appointments()

    def silent(*requests: Any) -> Any:
        raise Unavailable("doctor")

    service.ask = silent
    for ask in (
        lambda: service.slots(1),
        lambda: service.explain(1, {"start": "2027-03-01T09:00:00Z"}),
        lambda: service.first_slots({"speciality": "Surgery"}),
    ):
        with pytest.raises(Unavailable):
            ask()
