"""Lists of appointments on MariaDB: what is in them, page by page, and how they are read."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.orm import Session

from appointment.models import Appointment
from appointment.records import Records
from schemas.appointment import AppointmentQuerySchema
from schemas.errors import InvalidInput
from schemas.fields import as_instant
from schemas.loading import load
from schemas.statuses import ARRIVED, BOOKED, CANCELLED, FULFILLED, NOSHOW, STATUSES
from tests.integration.practice import NOW, PATIENTS, Practice, later, open_practice

NINE = later(days=7)
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture(scope="module")
def opened(addresses: dict[str, str]) -> Iterator[Practice]:
    with open_practice(addresses) as practice:
        yield practice


@pytest.fixture
def practice(opened: Practice) -> Practice:
    opened.now = NOW
    return opened


def find(practice: Practice, **query: Any) -> list[int]:
    """The ids of all pages."""
    ids, after = list[int](), None
    while True:
        page = practice.appointments().find({**query, "after": after})
        assert len(page["items"]) <= query.get("limit", 20)
        ids += [each["id"] for each in page["items"]]
        after = page["next"]
        if after is None:
            return ids


def store(practice: Practice, **fields: Any) -> int:
    """A row as it may be by now, without its claims."""
    start = fields.pop("starts_at", NINE)
    row = Appointment(
        **{
            "patient_id": next(PATIENTS), "doctor_id": 1, "status": BOOKED, "starts_at": start,
            "ends_at": start + HALF_HOUR, "duration_minutes": 30, "version": 1, "sequence": 0,
            "created_at": NOW, "updated_at": NOW, **fields,
        }
    )
    with practice.session() as session, session.begin():
        session.add(row)
        session.flush()
        row.description = "Check-up"
        return row.id


# What is in them


def test_all_are_listed_by_start_and_those_of_one_moment_by_id(practice: Practice) -> None:
    doctor = practice.doctor()
    late, *same = (
        store(practice, doctor_id=doctor, starts_at=start)
        for start in (NINE + HALF_HOUR, NINE, NINE)
    )
    early = store(practice, doctor_id=doctor, starts_at=NINE - HALF_HOUR)
    assert find(practice, doctorId=doctor) == [early, *same, late]
    found = practice.appointments().find({"doctorId": doctor})["items"]
    assert found == [practice.appointments().get(each["id"]) for each in found]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_page_by_page_each_comes_once_while_others_are_added(
    practice: Practice, limit: int
) -> None:
    doctor = practice.doctor()
    ids = [
        store(practice, doctor_id=doctor, starts_at=NINE + HALF_HOUR * (number // 3))
        for number in range(7)
    ]
    first = practice.appointments().find({"doctorId": doctor, "limit": limit})
    # Before what was shown, and after all of it.
    store(practice, doctor_id=doctor, starts_at=NINE - HALF_HOUR)
    last = store(practice, doctor_id=doctor, starts_at=later(days=9))
    seen, after = [each["id"] for each in first["items"]], first["next"]
    assert (after is None) == (limit >= 7)
    while after:
        page = practice.appointments().find({"doctorId": doctor, "limit": limit, "after": after})
        seen, after = seen + [each["id"] for each in page["items"]], page["next"]
    assert seen == (ids if limit >= 7 else [*ids, last])


def test_a_page_that_is_just_full_is_the_last(practice: Practice) -> None:
    doctor = practice.doctor()
    ids = [store(practice, doctor_id=doctor) for _ in range(2)]
    page = practice.appointments().find({"doctorId": doctor, "limit": 2})
    assert ([each["id"] for each in page["items"]], page["next"]) == (ids, None)
    page = practice.appointments().find({"doctorId": doctor, "limit": 1})
    assert page["next"] == [as_instant(NINE), str(ids[0])]


def test_each_filter_leaves_what_it_names(practice: Practice) -> None:
    doctor, patient = practice.doctor(), next(PATIENTS)
    theirs = store(practice, doctor_id=doctor, patient_id=patient)
    store(practice, doctor_id=doctor)
    elsewhere = store(practice, doctor_id=practice.doctor(), patient_id=patient)
    assert find(practice, patientId=patient) == [theirs, elsewhere]
    assert find(practice, patientId=patient, doctorId=doctor) == [theirs]
    by_status = {status: store(practice, doctor_id=doctor, status=status) for status in STATUSES}
    for status in {*STATUSES} - {BOOKED}:
        assert find(practice, doctorId=doctor, status=status) == [by_status[status]]
    uncovered = store(practice, doctor_id=doctor, uncovered=True)
    assert find(practice, doctorId=doctor, uncovered=True) == [uncovered]
    assert uncovered in find(practice, doctorId=doctor, uncovered=False)


def test_of_the_uncovered_only_those_who_are_still_booked_need_another_time(
    practice: Practice,
) -> None:
    doctor = practice.doctor()
    ids = {
        status: store(practice, doctor_id=doctor, status=status, uncovered=True)
        for status in STATUSES
    }
    assert find(practice, doctorId=doctor, uncovered=True) == [ids[BOOKED]]


def test_from_is_within_and_to_is_not(practice: Practice) -> None:
    doctor = practice.doctor()
    starts = [NINE + HALF_HOUR * number for number in range(4)]
    ids = [store(practice, doctor_id=doctor, starts_at=start) for start in starts]
    period = {"from": as_instant(starts[1]), "to": as_instant(starts[3])}
    assert find(practice, doctorId=doctor, **period) == ids[1:3]
    assert find(practice, doctorId=doctor, **{"from": as_instant(starts[1])}) == ids[1:]
    assert find(practice, doctorId=doctor, to=as_instant(starts[3])) == ids[:3]
    assert find(practice, doctorId=doctor, to=as_instant(starts[0])) == []


def test_unresolved_is_what_is_over_and_still_booked(practice: Practice) -> None:
    doctor = practice.doctor()
    over = NOW - HALF_HOUR
    wanted = [
        store(practice, doctor_id=doctor, starts_at=over - timedelta(days=9)),
        # It ends now.
        store(practice, doctor_id=doctor, starts_at=over),
    ]
    store(practice, doctor_id=doctor, starts_at=over + timedelta(microseconds=1))
    for status in (ARRIVED, FULFILLED, CANCELLED, NOSHOW):
        store(practice, doctor_id=doctor, starts_at=over, status=status)
    assert find(practice, doctorId=doctor, unresolved=True) == wanted
    assert find(practice, doctorId=doctor, unresolved=True, limit=1) == wanted
    assert len(find(practice, doctorId=doctor, unresolved=False)) == 7


# Local times


def test_dates_begin_where_the_doctor_is(practice: Practice) -> None:
    tokyo = practice.doctor(timezone="Asia/Tokyo")
    midnight = datetime(2027, 3, 7, 15, tzinfo=UTC)
    ids = [
        store(practice, doctor_id=tokyo, starts_at=midnight + timedelta(minutes=minutes))
        for minutes in (-5, 0, 1435, 1440)
    ]
    assert find(practice, doctorId=tokyo, **{"from": "2027-03-08", "to": "2027-03-09"}) == ids[1:3]
    assert find(practice, doctorId=tokyo, **{"from": "2027-03-08T00:00"}) == ids[1:]


def test_without_a_doctor_they_begin_where_the_clinic_is(practice: Practice) -> None:
    patient = next(PATIENTS)
    midnight = datetime(2027, 3, 8, 5, tzinfo=UTC)
    ids = [
        store(practice, patient_id=patient, starts_at=midnight + timedelta(minutes=minutes))
        for minutes in (-5, 0)
    ]
    service = practice.appointments()
    service.config = {**practice.config, "CLINIC_TIMEZONE": "America/New_York"}
    found = service.find({"patientId": patient, "from": "2027-03-08"})
    assert [each["id"] for each in found["items"]] == ids[1:]


@pytest.mark.parametrize("since", ["2027-03-08", "2027-03-08T09:00", as_instant(NINE)])
def test_of_a_doctor_nobody_knows_there_are_none_since_whenever(
    practice: Practice, since: str
) -> None:
    assert find(practice, doctorId=2**62, **{"from": since}) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2027-03-28T01:30"}, "from"),
        ({"to": "2027-03-28T01:30"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"from": "2027-03-09", "to": "2027-03-08"}, "to"),
        ({"from": "soon"}, "from"),
        ({"status": "late"}, "status"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"after": ["2027-03-08T09:00:00Z"]}, "after"),
        ({"after": ["2027-03-08T09:00:00", "1"]}, "after"),
        ({"after": ["2027-03-08T09:00:00Z", "x"]}, "after"),
        ({"after": ["2027-03-08T09:00:00Z", "0"]}, "after"),
        ({"after": "2027"}, "after"),
        ({"after": 7}, "after"),
        ({"after": {"a": 1, "b": 2}}, "after"),
        ({"patientId": "1"}, "patientId"),
        ({"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_what_cannot_be_looked_for_is_refused_by_name(
    practice: Practice, query: dict[str, Any], field: str
) -> None:
    service = practice.appointments()
    # In UTC, no time is skipped, nor any day before the first.
    service.config = {**practice.config, "CLINIC_TIMEZONE": "Europe/London"}
    if query == {"from": "0001-01-01"}:
        service.config = {**practice.config, "CLINIC_TIMEZONE": "Asia/Tokyo"}
    with pytest.raises(InvalidInput) as refused:
        service.find(query)
    assert list(refused.value.errors) == [field]


# By which index


ROWS, DOCTORS, PATIENTS_OF_MANY = 6000, 20, 500


@pytest.fixture(scope="module")
def many(opened: Practice) -> Practice:
    """A year of appointments, most of them over; some need somebody."""
    dice = Random(4)

    def row(number: int) -> dict[str, Any]:
        start = NOW + timedelta(minutes=5 * dice.randrange(-90_000, 15_000))
        status = dice.choice((FULFILLED,) * 6 + (CANCELLED, NOSHOW)) if start < NOW else BOOKED
        if number % 200 == 0:
            status = BOOKED
        return {
            "patient_id": 10**6 + dice.randrange(PATIENTS_OF_MANY),
            "doctor_id": 10**6 + dice.randrange(DOCTORS),
            "starts_at": start, "ends_at": start + HALF_HOUR, "duration_minutes": 30,
            "description_sealed": b"", "status": status, "uncovered": number % 300 == 0,
            "schedule_version": 0, "version": 1, "sequence": 0,
            "created_at": NOW, "updated_at": NOW,
        }

    with opened.session() as session, session.begin():
        session.execute(insert(Appointment), [row(number) for number in range(ROWS)])
    with opened.engines["appointment"].connect() as connection:
        connection.execute(text("ANALYZE TABLE appointment"))
    return opened


FILTERS = {
    "nothing": {},
    "patient": {"patientId": 10**6 + 7},
    "doctor": {"doctorId": 10**6 + 7},
    "patient and doctor": {"patientId": 10**6 + 7, "doctorId": 10**6 + 7},
    "status": {"status": FULFILLED},
    "rare status": {"status": BOOKED, "to": as_instant(NOW)},
    "day": {"from": as_instant(NOW), "to": as_instant(NOW + timedelta(days=1))},
    "doctor's day": {
        "doctorId": 10**6 + 7,
        "from": as_instant(NOW), "to": as_instant(NOW + timedelta(days=1)),
    },
    "unresolved": {"unresolved": True},
    "uncovered": {"uncovered": True},
}
# By a page of 20 and one more, and what is read to find them.
MOST_READ = 40


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("beyond", [False, True], ids=["first page", "later page"])
def test_each_page_is_one_query_that_an_index_serves(
    many: Practice, query: dict[str, Any], beyond: bool
) -> None:
    after = [as_instant(NOW - timedelta(days=30)), "1"] if beyond else None
    asked = load(AppointmentQuerySchema(), {**query, "after": after})
    with many.session() as session:
        records = Records(session)
        ((statement, parameters),) = _sent_by(session, lambda: records.find(asked, now=NOW))
        connection = session.connection()
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings().one()
        connection.exec_driver_sql("FLUSH STATUS")
        connection.exec_driver_sql(statement, parameters).all()
        counted = dict(connection.exec_driver_sql("SHOW SESSION STATUS").all())
    assert plan["key"] and "filesort" not in (plan["Extra"] or ""), (counted, plan)
    read = sum(int(rows) for name, rows in counted.items() if name.startswith("Handler_read_"))
    assert read <= MOST_READ, (read, plan)


def _sent_by(session: Session, work: Callable[[], Any]) -> list[tuple[str, Any]]:
    """The statements, with their parameters."""
    sent, engine = list[tuple[str, Any]](), session.get_bind()

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", keep)
    return sent
