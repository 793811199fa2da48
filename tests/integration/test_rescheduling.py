"""Moving appointments, on MariaDB: the same id, one transaction, and on a refusal nothing moves."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from appointment.domain import buckets
from appointment.models import Appointment, Claim
from config.messaging.caller import Caller
from config.messaging.client import Answer, Request
from schemas.errors import (
    AppointmentNotFound,
    InThePast,
    InvalidInput,
    NotBooked,
    OffGrid,
    OutsideHours,
    PatientBusy,
    SchedulingError,
    SlotTaken,
    Stale,
    TooLateToReschedule,
    Unavailable,
    UnknownDoctor,
    UnknownPatient,
)
from schemas.fields import as_instant
from schemas.statuses import BOOKED, CANCELLED
from tests.integration.practice import NOW, PATIENTS, WEEK, Practice, later, open_practice
from tests.waiting import PATIENCE

NINE, TEN = later(days=7), later(days=7, hours=1)
NEVER = 2**62


@pytest.fixture(scope="module")
def opened(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


@pytest.fixture
def practice(opened: Practice) -> Practice:
    opened.now = NOW
    return opened


def to(start: datetime) -> dict[str, Any]:
    return {"date": as_instant(start)}


def kept(practice: Practice, appointment_id: int) -> tuple[Any, ...]:
    """All that there is of it, to see that nothing has changed."""
    with practice.session() as session:
        held = select(Claim.kind, Claim.resource_id, Claim.bucket)
        claims = session.execute(held.filter_by(appointment_id=appointment_id)).all()
    return (
        practice.appointments().get(appointment_id),
        sorted(map(tuple, claims)),
        practice.events(appointment_id),
        practice.history(appointment_id),
        practice.stored(appointment_id).remind_at,
    )


# What a move does


def test_a_moved_appointment_keeps_its_id_and_frees_its_old_time(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, NINE)
    before = practice.appointments().get(booked)
    practice.now = NOW + timedelta(minutes=1)
    moved = practice.appointments().reschedule(booked, to(TEN))
    changed = {"date", "end", "updatedAt", "version"}
    assert {name for name in before if moved[name] != before[name]} == changed
    assert (moved["date"], moved["end"]) == (as_instant(TEN), as_instant(later(days=7, minutes=90)))
    assert (moved["version"], moved["updatedAt"]) == (2, as_instant(practice.now))
    assert practice.appointments().get(booked) == moved
    assert practice.book(doctor, NINE) != booked
    with pytest.raises(SlotTaken):
        practice.book(doctor, TEN)


def test_a_move_is_told_with_what_was_before_and_kept_in_the_history(practice: Practice) -> None:
    doctor, other = practice.doctor(weekly=WEEK), practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, NINE)
    desk = Caller("staff", 12)
    changes = {"doctorId": other, "durationMinutes": 60, **to(TEN)}
    practice.appointments(caller=desk).reschedule(booked, changes)
    (_, first), (name, told) = practice.events(booked)
    assert name == "rescheduled"
    assert told == {
        "appointmentId": booked,
        "patientId": first["patientId"],
        "doctorId": other,
        "start": as_instant(TEN),
        "end": as_instant(TEN + timedelta(hours=1)),
        "status": BOOKED,
        "previousStart": as_instant(NINE),
        "previousEnd": as_instant(NINE + timedelta(minutes=30)),
        "previousDoctorId": doctor,
    }
    lines = practice.appointments().history(booked)["items"]
    assert [line["what"] for line in lines] == ["scheduled", "rescheduled"]
    assert lines[0]["date"] == as_instant(NINE) and lines[0]["actorRole"] == "operator"
    assert lines[1] == {
        "at": as_instant(practice.now),
        "what": "rescheduled",
        "actorRole": "staff",
        "actorAccountId": 12,
        "doctorId": other,
        "date": as_instant(TEN),
        "end": as_instant(TEN + timedelta(hours=1)),
        "status": BOOKED,
        "version": 2,
    }


def test_what_is_left_out_stays(practice: Practice) -> None:
    doctor, other = practice.doctor(), practice.doctor()
    booked = practice.book(doctor, NINE, minutes=45)
    longer = practice.appointments().reschedule(booked, {"durationMinutes": 60})
    assert (longer["date"], longer["end"]) == (as_instant(NINE), as_instant(TEN))
    elsewhere = practice.appointments().reschedule(booked, {"doctorId": other})
    assert (elsewhere["date"], elsewhere["durationMinutes"]) == (as_instant(NINE), 60)
    assert elsewhere["doctorId"] == other
    assert practice.claims(doctor) == [] and len(practice.claims(other)) == 12


def test_an_appointment_may_be_moved_onto_part_of_its_own_time(practice: Practice) -> None:
    doctor = practice.doctor()
    booked = practice.book(doctor, NINE, minutes=60)
    moved = practice.appointments().reschedule(booked, to(NINE + timedelta(minutes=30)))
    assert moved["date"] == as_instant(NINE + timedelta(minutes=30))
    held = buckets(NINE + timedelta(minutes=30), NINE + timedelta(minutes=90))
    assert {claim.bucket for claim in practice.claims(doctor)} == {*held}


def test_it_may_keep_its_gap_to_where_it_was_itself(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK, bufferMinutes=60)
    booked = practice.book(doctor, NINE)
    moved = practice.appointments().reschedule(booked, to(NINE + timedelta(minutes=30)))
    assert moved["version"] == 2


def test_a_new_description_is_noted_and_told_to_nobody(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), NINE)
    service = practice.appointments()

    def nobody(*requests: Request) -> list[Answer]:
        raise Unavailable("doctor")

    service.ask = nobody
    described = service.reschedule(booked, {"description": "  Blood test "})
    assert (described["description"], described["version"]) == ("Blood test", 2)
    assert practice.history(booked) == ["scheduled", "described"]
    assert [name for name, _ in practice.events(booked)] == ["scheduled"]


def test_both_in_one_change_are_one_version_and_one_line(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), NINE)
    changed = practice.appointments().reschedule(booked, {**to(TEN), "description": "Later"})
    assert (changed["version"], changed["description"]) == (2, "Later")
    assert practice.history(booked) == ["scheduled", "rescheduled"]


def test_a_change_that_changes_nothing_is_quiet(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, NINE)
    before = kept(practice, booked)
    same = {"doctorId": doctor, "durationMinutes": 30, "description": "Check-up", **to(NINE)}
    for changes in (same, to(NINE), {"description": "Check-up"}):
        assert practice.appointments().reschedule(booked, changes) == before[0]
    assert kept(practice, booked) == before


def test_a_date_without_an_offset_is_local_time_of_the_doctor_it_is_moved_to(
    practice: Practice,
) -> None:
    booked = practice.book(practice.doctor(), NINE)
    tokyo = practice.doctor(timezone="Asia/Tokyo")
    local = {"date": "2027-03-09T18:00", "doctorId": tokyo}
    moved = practice.appointments().reschedule(booked, local)
    assert moved["date"] == "2027-03-09T09:00:00Z"
    local = {"date": "2027-03-10T18:00"}
    assert practice.appointments().reschedule(booked, local)["date"] == "2027-03-10T09:00:00Z"


def test_reminders_are_planned_anew(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), NINE)
    assert practice.stored(booked).remind_at == NINE - timedelta(days=1)
    practice.appointments().reschedule(booked, to(NOW + timedelta(hours=5)))
    assert practice.stored(booked).remind_at == NOW + timedelta(hours=3)
    practice.appointments().reschedule(booked, to(NOW + timedelta(hours=1)))
    assert practice.stored(booked).remind_at is None


def test_what_the_hours_had_no_room_for_is_covered_once_it_is_moved(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, NINE)
    off = {"start": as_instant(NINE), "end": as_instant(NINE + timedelta(hours=1))}
    practice.doctors().add_time_off(doctor, off)
    practice.told(doctor, "time_off_changed")
    assert practice.appointments().get(booked)["uncovered"]
    moved = practice.appointments().reschedule(booked, to(TEN))
    assert (moved["uncovered"], moved["version"]) == (False, 3)
    told = [name for name, _ in practice.events(booked)]
    assert told == ["scheduled", "uncovered", "rescheduled", "covered"]
    assert practice.stored(booked).schedule_version == 2


def test_sent_again_with_its_key_a_move_happens_once(practice: Practice) -> None:
    booked = practice.book(practice.doctor(), NINE)
    first = practice.appointments(key="moves-once").reschedule(booked, to(TEN), [1])
    practice.appointments().reschedule(booked, to(NINE))
    assert practice.appointments(key="moves-once").reschedule(booked, to(TEN), [1]) == first
    assert practice.appointments().get(booked)["date"] == as_instant(NINE)


# Refusals: everything stays


Refused = Callable[[Practice, int, int], dict[str, Any]]


def onto_another(practice: Practice, doctor: int, booked: int) -> dict[str, Any]:
    practice.book(doctor, TEN)
    return to(TEN)


def onto_the_patients_other_one(practice: Practice, doctor: int, booked: int) -> dict[str, Any]:
    other, patient = practice.doctor(), practice.stored(booked).patient_id
    wanted = {"patientId": patient, "doctorId": other, "description": "Eyes", **to(TEN)}
    practice.appointments().schedule(wanted)
    return to(TEN)


REFUSALS: list[tuple[Refused, type[SchedulingError]]] = [
    (onto_another, SlotTaken),
    (onto_the_patients_other_one, PatientBusy),
    (lambda *_: to(later(days=7, hours=-3)), OutsideHours),
    (lambda *_: to(NINE + timedelta(minutes=5)), OffGrid),
    (lambda *_: to(NOW), InThePast),
    (lambda *_: {"doctorId": NEVER}, UnknownDoctor),
    (lambda *_: {"date": "9999-12-31T23:55:00Z"}, InvalidInput),
]


@pytest.mark.parametrize(
    ("refused", "kind"), REFUSALS, ids=[kind.__name__ for _, kind in REFUSALS]
)
def test_a_refused_move_leaves_everything_as_it_was(
    practice: Practice, refused: Refused, kind: type[SchedulingError]
) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, NINE)
    changes = refused(practice, doctor, booked) | {"description": "Other"}
    before = kept(practice, booked)
    with pytest.raises(kind):
        practice.appointments().reschedule(booked, changes)
    assert kept(practice, booked) == before


@pytest.mark.parametrize(("refused", "kind"), REFUSALS[:2], ids=["doctor", "patient"])
def test_a_move_onto_taken_time_is_answered_with_times_that_would_do(
    practice: Practice, refused: Refused, kind: type[SchedulingError]
) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, NINE)
    changes = refused(practice, doctor, booked)
    with pytest.raises(kind) as clash:
        practice.appointments().reschedule(booked, changes)
    alternatives = [slot["start"] for slot in clash.value.members["alternatives"]]
    # As near as what is half an hour later, and half an hour nearer than what comes before it.
    half = timedelta(minutes=30)
    assert alternatives == [as_instant(start) for start in (TEN - half, TEN + half, TEN - 2 * half)]
    for start in alternatives:
        assert practice.appointments().reschedule(booked, {"date": start})["date"] == start


def test_who_is_not_there_cannot_be_moved(practice: Practice) -> None:
    for changes in (to(TEN), {"description": "Other"}):
        with pytest.raises(AppointmentNotFound):
            practice.appointments().reschedule(NEVER, changes)


@pytest.mark.parametrize("changes", [to(TEN), {"description": "Other"}], ids=["moved", "described"])
def test_only_what_is_booked_can_be_changed(practice: Practice, changes: dict[str, Any]) -> None:
    booked = practice.book(practice.doctor(), NINE)
    practice.appointments().cancel(booked)
    before = kept(practice, booked)
    with pytest.raises(NotBooked, match="The appointment is cancelled"):
        practice.appointments().reschedule(booked, changes)
    assert kept(practice, booked) == before


@pytest.mark.parametrize("changes", [to(TEN), {"description": "Other"}], ids=["moved", "described"])
def test_nobody_writes_about_a_patient_who_was_erased(
    practice: Practice, changes: dict[str, Any]
) -> None:
    booked = practice.book(practice.doctor(), NINE)
    with practice.session() as session, session.begin():
        session.get_one(Appointment, booked).erased_at = NOW
    with pytest.raises(UnknownPatient):
        practice.appointments().reschedule(booked, changes)
    assert practice.stored(booked).version == 1


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"patientId": 1},
        {"date": "tomorrow"},
        {"date": None},
        {"durationMinutes": 7},
        {"durationMinutes": 485},
        {"doctorId": 0},
        {"description": " "},
        {"status": "arrived"},
        [],
        None,
    ],
    ids=repr,
)
def test_junk_is_refused(practice: Practice, junk: Any) -> None:
    with pytest.raises(InvalidInput):
        practice.appointments().reschedule(1, junk)


@pytest.mark.parametrize("versions", ["1", {"1"}, [1.5], [True], 1])
def test_versions_are_whole_numbers(practice: Practice, versions: Any) -> None:
    with pytest.raises(InvalidInput):
        practice.appointments().reschedule(1, to(TEN), versions)


@pytest.mark.parametrize("changes", [to(TEN), {"description": "Other"}], ids=["moved", "described"])
def test_a_change_of_what_has_changed_since_is_refused(
    practice: Practice, changes: dict[str, Any]
) -> None:
    booked = practice.book(practice.doctor(), NINE)
    practice.appointments().reschedule(booked, {"description": "Seen by nobody"}, [1])
    before = kept(practice, booked)
    for versions in ([1], [], [3, 7]):
        with pytest.raises(Stale):
            practice.appointments().reschedule(booked, changes, versions)
    assert kept(practice, booked) == before
    assert practice.appointments().reschedule(booked, changes, [1, 2])["version"] == 3


# The notice


def patient_of(practice: Practice, appointment_id: int) -> Caller:
    return Caller("patient", 5, practice.stored(appointment_id).patient_id)


def test_at_exactly_the_notice_a_patient_may_still_move_and_no_later(practice: Practice) -> None:
    doctor = practice.doctor()
    booked = practice.book(doctor, NINE)
    practice.now = NINE - timedelta(days=1)
    mine = practice.appointments(caller=patient_of(practice, booked))
    assert mine.reschedule(booked, to(TEN))["date"] == as_instant(TEN)
    practice.now = TEN - timedelta(days=1) + timedelta(microseconds=1)
    before = kept(practice, booked)
    for changes in (to(later(days=9)), {"durationMinutes": 45}, {"doctorId": practice.doctor()}):
        mine = practice.appointments(caller=patient_of(practice, booked))
        with pytest.raises(TooLateToReschedule) as late:
            mine.reschedule(booked, changes)
        assert late.value.members == {"deadline": as_instant(TEN - timedelta(days=1))}
    assert kept(practice, booked) == before


def test_within_the_notice_a_patient_may_say_what_it_is_about_and_the_clinic_may_move_it(
    practice: Practice,
) -> None:
    doctor = practice.doctor()
    booked = practice.book(doctor, NINE)
    practice.now = NINE - timedelta(hours=1)
    mine = practice.appointments(caller=patient_of(practice, booked))
    assert mine.reschedule(booked, {"description": "Cough", **to(NINE)})["version"] == 2
    for role in ("doctor", "staff", "admin", "operator"):
        start = NINE + timedelta(minutes=5 * practice.stored(booked).version)
        caller = Caller(role, 3, doctor if role == "doctor" else None)
        moved = practice.appointments(caller=caller).reschedule(booked, to(start))
        assert moved["date"] == as_instant(start)


# Timetables that change meanwhile


class OldAnswers:
    """Tells the timetable as it was, so many times, and then as it is."""

    def __init__(self, practice: Practice, doctor: int, times: int) -> None:
        self.practice, self.times = practice, times
        self.old = practice.doctors().availability(doctor)

    def __call__(self, *requests: Request) -> list[Answer]:
        answers = self.practice.ask(*requests)
        if self.times:
            self.times -= 1
            answers[-1] = Answer(self.old)
        return answers


@pytest.mark.parametrize("what", ["booked", "moved"])
@pytest.mark.parametrize("times", [1, 2])
def test_what_was_judged_by_an_old_timetable_is_judged_again(
    practice: Practice, what: str, times: int
) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, TEN)
    service = practice.appointments()
    service.ask = OldAnswers(practice, doctor, times)
    practice.doctors().set_schedule(doctor, {"weekly": [{**WEEK[0], "start": "10:00"}]})
    practice.told(doctor, "schedule_changed")
    before = kept(practice, booked)
    wanted = {"patientId": next(PATIENTS), "doctorId": doctor, "description": "x", **to(NINE)}
    with pytest.raises(OutsideHours):
        if what == "booked":
            service.schedule(wanted)
        else:
            service.reschedule(booked, to(NINE))
    assert kept(practice, booked) == before and len(practice.of(doctor)) == 1


def test_a_timetable_that_changes_all_the_time_is_no_answer(practice: Practice) -> None:
    doctor = practice.doctor(weekly=WEEK)
    service = practice.appointments(key="all-the-time")
    service.ask = OldAnswers(practice, doctor, 3)
    practice.doctors().set_schedule(doctor, {"weekly": WEEK})
    practice.told(doctor, "schedule_changed")
    practice.forget_timetable(doctor)
    wanted = {"patientId": next(PATIENTS), "doctorId": doctor, "description": "x", **to(NINE)}
    with pytest.raises(Unavailable, match="The doctor service"):
        service.schedule(wanted)
    assert practice.of(doctor) == []
    # That was no "no": sent again, it is booked.
    assert service.schedule(wanted)["status"] == BOOKED


def test_moved_to_another_doctor_meanwhile_it_is_judged_by_theirs(practice: Practice) -> None:
    doctor, other = practice.doctor(), practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, NINE)
    practice.forget_timetable(doctor)
    service = practice.appointments()

    def meanwhile(*requests: Request) -> list[Answer]:
        answers = practice.ask(*requests)
        if practice.stored(booked).doctor_id == doctor:
            practice.appointments().reschedule(booked, {"doctorId": other})
        return answers

    service.ask = meanwhile
    with pytest.raises(OffGrid):
        service.reschedule(booked, to(NINE + timedelta(minutes=5)))
    assert service.reschedule(booked, to(TEN))["doctorId"] == other


@pytest.mark.parametrize("what", ["booked", "moved"])
def test_what_has_begun_while_the_doctor_was_asked_is_in_the_past(
    practice: Practice, what: str
) -> None:
    doctor = practice.doctor(weekly=WEEK)
    booked = practice.book(doctor, TEN)
    practice.forget_timetable(doctor)
    before, service = kept(practice, booked), practice.appointments()

    def slow(*requests: Request) -> list[Answer]:
        practice.now = NINE
        return practice.ask(*requests)

    service.ask = slow
    wanted = {"patientId": next(PATIENTS), "doctorId": doctor, "description": "x", **to(NINE)}
    with pytest.raises(InThePast):
        if what == "booked":
            service.schedule(wanted)
        else:
            service.reschedule(booked, to(NINE))
    assert kept(practice, booked) == before and len(practice.of(doctor)) == 1


# Races: MariaDB decides


def outcome(work: Callable[[], Any]) -> str:
    try:
        work()
    except SchedulingError as refused:
        return refused.code
    return "done"


def together(*works: Callable[[], Any]) -> list[str]:
    gate = Barrier(len(works))

    def at_once(work: Callable[[], Any]) -> str:
        gate.wait(PATIENCE)
        return outcome(work)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(at_once, works))


def test_of_two_that_are_moved_to_one_slot_at_once_one_gets_it_and_one_stays(
    practice: Practice,
) -> None:
    doctor = practice.doctor()
    for number in range(12):
        day = timedelta(days=number)
        both = [practice.book(doctor, start + day) for start in (NINE, TEN)]
        free = later(days=7, hours=3) + day
        moves = [
            lambda each=each: practice.appointments().reschedule(each, to(free)) for each in both
        ]
        assert sorted(together(*moves)) == ["done", "slot_taken"]
        starts = {practice.stored(each).starts_at for each in both}
        assert free in starts and len(starts & {NINE + day, TEN + day}) == 1
    check_claims(practice, [doctor])


def test_of_two_with_the_same_version_one_gets_through(practice: Practice) -> None:
    doctor = practice.doctor()
    for number in range(6):
        booked = practice.book(doctor, NINE + timedelta(days=number))
        changes = [to(later(days=7 + number, hours=hours)) for hours in (2, 4)]
        moves = [
            lambda change=change: practice.appointments().reschedule(booked, change, [1])
            for change in changes
        ]
        assert sorted(together(*moves)) == ["done", "precondition_failed"]


def test_moved_cancelled_and_booked_at_once_it_is_either_and_the_time_is_nobodys_twice(
    practice: Practice,
) -> None:
    doctor, seen = practice.doctor(), set()
    for number in range(15):
        day = timedelta(days=number)
        booked = practice.book(doctor, NINE + day)
        _, cancelled, _, _ = outcomes = together(
            lambda: practice.appointments().reschedule(booked, to(TEN + day)),
            lambda: practice.appointments().cancel(booked),
            lambda: practice.book(doctor, TEN + day),
            lambda: practice.book(doctor, NINE + day),
        )
        seen.add(tuple(outcomes))
        assert cancelled == "done"
        assert practice.stored(booked).status == CANCELLED
        assert outcomes[0] in ("done", "slot_taken", "not_booked")
    assert len(seen) > 1, "there was no race"
    check_claims(practice, [doctor])


def test_random_bookings_moves_and_cancellations_leave_no_overlap_and_claims_for_each(
    practice: Practice,
) -> None:
    doctors, patients = [practice.doctor() for _ in range(2)], [next(PATIENTS) for _ in range(4)]

    def work(seed: int) -> set[str]:
        dice, mine, seen = Random(seed), list[int](), set[str]()

        def book() -> None:
            wanted = {
                "patientId": dice.choice(patients), "doctorId": dice.choice(doctors),
                "date": as_instant(NINE + timedelta(minutes=5 * dice.randrange(24))),
                "durationMinutes": dice.choice((5, 15, 30, 45)), "description": "x",
            }
            mine.append(practice.appointments().schedule(wanted)["id"])

        def move() -> None:
            start = NINE + timedelta(minutes=5 * dice.randrange(24))
            changes = {"doctorId": dice.choice(doctors), **to(start)}
            practice.appointments().reschedule(dice.choice(mine), changes)

        def cancel() -> None:
            practice.appointments().cancel(mine.pop(dice.randrange(len(mine))))

        for _ in range(20):
            act = dice.choice((book, move, move, cancel)) if mine else book
            seen.add(f"{act.__name__} {outcome(act)}")
        return seen

    with ThreadPoolExecutor(8) as pool:
        seen = {each for outcomes in pool.map(work, range(8)) for each in outcomes}
    assert {"book done", "move done", "cancel done", "move slot_taken"} <= seen
    assert not [each for each in seen if "unavailable" in each], seen
    check_claims(practice, doctors)


def check_claims(practice: Practice, doctors: list[int]) -> None:
    """Nobody is double-booked, and the claims are those of what is not cancelled."""
    active = [
        each for doctor in doctors for each in practice.of(doctor) if each.status != CANCELLED
    ]
    expected = sorted(
        (kind, party, bucket, each.id)
        for each in active
        for kind, party in (("D", each.doctor_id), ("P", each.patient_id))
        for bucket in buckets(each.starts_at, each.ends_at)
    )
    ids = [each.id for doctor in doctors for each in practice.of(doctor)]
    with practice.session() as session:
        rows = session.scalars(select(Claim).where(Claim.appointment_id.in_(ids))).all()
    assert sorted(
        (row.kind, row.resource_id, row.bucket, row.appointment_id) for row in rows
    ) == expected
    # The primary key is without the appointment: a bucket that was held twice would be here twice.
    assert len({row[:3] for row in expected}) == len(expected)
    for each in ids:
        practice.events(each)
