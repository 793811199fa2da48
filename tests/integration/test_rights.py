"""Export, erasure and legal hold, on MariaDB and on SQLite: what is answered, and what is left."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.engine import URL, make_url

from appointment.background import SETTLED_AFTER
from appointment.domain import BOOKED, CANCELLED, ERASED
from appointment.models import Appointment, Claim, Erasure
from appointment.models import Outbox as AppointmentOutbox
from appointment.repository import Appointments, Erasures
from config.answers import KEPT_FOR
from config.clock import utc_now
from config.database import connect
from config.messaging.client import Answer
from gateway.accounts import FAMILIAR_FOR, Accounts, FamiliarAddresses, Sessions
from gateway.background import OVER_FOR
from gateway.models import Account, FamiliarAddress
from gateway.models import Session as SignIn
from patient.models import Patient, PatientWord
from schemas.accounts import DOCTOR, PATIENT
from schemas.errors import (
    EmailTaken,
    InvalidInput,
    LegalHold,
    PatientNotFound,
    SchedulingError,
    UnknownPatient,
)
from schemas.events import envelope
from tests.integration.clinic import DATABASES, Clinic
from tests.integration.databases import empty, migrated
from tests.integration.people import doctor, word
from tests.vaults import vault_for
from tests.waiting import PATIENCE, wait_for_a_lock

NEVER = 2**62


@pytest.fixture(params=["mariadb", "sqlite"], scope="module")
def urls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, URL]]:
    """Databases of their own: a relay of other tests must not tell what happens in them."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("rights")
        yield {name: URL.create("sqlite", database=str(folder / name)) for name in DATABASES}
        return
    url = make_url(request.getfixturevalue("addresses")["DATABASE_URL"])
    urls = {name: url.set(database=f"{url.database}_{word()[:8]}_{name}") for name in DATABASES}
    yield urls
    server = connect(url.set(database="").render_as_string(hide_password=False))
    with server.connect() as connection:
        for each in urls.values():
            connection.execute(text(f"DROP DATABASE `{each.database}`"))
    server.dispose()


@pytest.fixture(scope="module")
def engines(urls: dict[str, URL]) -> Iterator[dict[str, Engine]]:
    with ExitStack() as databases:
        yield {
            name: databases.enter_context(migrated(name, url, vault_for(name)))
            for name, url in urls.items()
        }


@pytest.fixture
def clinic(engines: dict[str, Engine]) -> Clinic:
    """One with a doctor, number 1, and nobody else."""
    for name, engine in engines.items():
        empty(name, engine)
    clinic = Clinic(engines)
    assert clinic.doctors().create(doctor())["id"] == 1
    return clinic


@pytest.fixture
def mark() -> str:
    """A word that nothing else has in it."""
    return word()


def sent(mark: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": f"Ada {mark}",
        "email": f"{mark}@example.org",
        "phone": "+442079460958",
        "dob": "1985-12-10",
        "address": f"{mark} Street",
    } | changes


def wish(
    patient: int, *, doctor: int = 1, days: int = 30, about: str = "check-up"
) -> dict[str, Any]:
    start = (utc_now() + timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
    return {
        "patientId": patient,
        "doctorId": doctor,
        "date": start.isoformat(),
        "description": about,
    }


def register(clinic: Clinic, mark: str, **changes: Any) -> int:
    number: int = clinic.patients().create(sent(mark, **changes))["id"]
    return number


def erase(clinic: Clinic, patient: int) -> dict[str, Any]:
    """As far as the patient service goes; the event it tells."""
    assert clinic.patients().erase(patient) is None
    return clinic.told_of(patient)[-1]


def erased_event(patient: int, **changes: Any) -> dict[str, Any]:
    event = envelope(
        source="patient", name="erased", subject=patient, sequence=9, time=utc_now(),
        correlation_id="abc", data={"patient_id": patient},
    )
    return event | changes


def stored(clinic: Clinic, appointment_id: int) -> Appointment:
    with clinic.session("appointment") as session:
        return session.get_one(Appointment, appointment_id)


def move_into_the_past(clinic: Clinic, appointment_id: int) -> None:
    past = {"starts_at": utc_now() - timedelta(hours=2), "ends_at": utc_now() - timedelta(hours=1)}
    with clinic.session("appointment") as session, session.begin():
        session.execute(update(Appointment).filter_by(id=appointment_id).values(**past))


# Export


def test_an_export_holds_the_record_the_legal_hold_and_every_appointment_in_order(
    clinic: Clinic, mark: str
) -> None:
    patient = register(clinic, mark)
    record = clinic.patients().get(patient)
    assert clinic.patients().export(patient) == {"patient": record, "legalHold": None}
    clinic.patients().hold(patient, "A dispute.")
    held = clinic.patients().export(patient)["legalHold"]
    assert held["reason"] == "A dispute." and held["since"].endswith("Z")
    later = clinic.appointments().schedule(wish(patient, days=3))
    sooner = clinic.appointments().schedule(wish(patient, days=2))
    cancelled = clinic.appointments().cancel(sooner["id"], "ill")
    clinic.appointments().schedule(wish(register(clinic, word()), days=4))
    exported = clinic.appointments().export(patient)
    histories = [each.pop("history") for each in exported]
    assert exported == [cancelled, later]
    assert [[line["what"] for line in lines] for lines in histories] == [
        ["scheduled", "cancelled"], ["scheduled"]
    ]


def test_nothing_is_exported_of_a_patient_who_is_not_there(clinic: Clinic) -> None:
    with pytest.raises(PatientNotFound):
        clinic.patients().export(NEVER)
    assert clinic.appointments().export(NEVER) == []


# The legal hold


def test_what_is_held_cannot_be_erased_and_nothing_changes(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    record = clinic.patients().get(patient)
    clinic.patients().hold(patient, "A dispute.")
    before, told = sorted(clinic.everything()), clinic.told_of(patient)
    with pytest.raises(LegalHold):
        clinic.patients().erase(patient)
    assert clinic.patients().get(patient) == record
    # One more answer is kept: the refusal.
    assert set(before) <= set(clinic.everything()) and clinic.told_of(patient) == told
    clinic.patients().release(patient)
    erase(clinic, patient)


def test_a_hold_again_is_for_the_newer_reason_since_the_first_time(
    clinic: Clinic, mark: str
) -> None:
    patient = register(clinic, mark)
    assert clinic.patients().hold(patient, "A dispute.") is None
    first = clinic.patients().export(patient)["legalHold"]
    clinic.patients().hold(patient, f"Another {mark}.")
    second = clinic.patients().export(patient)["legalHold"]
    assert second == {"reason": f"Another {mark}.", "since": first["since"]}
    for _ in range(2):
        assert clinic.patients().release(patient) is None
    assert clinic.patients().export(patient)["legalHold"] is None


@pytest.mark.parametrize("reason", [None, "", "  ", 7, "x" * 501])
def test_a_hold_needs_a_reason(clinic: Clinic, mark: str, reason: Any) -> None:
    patient = register(clinic, mark)
    with pytest.raises(InvalidInput) as refused:
        clinic.patients().hold(patient, reason)
    assert list(refused.value.errors) == ["reason"]
    clinic.patients().hold(patient, "x" * 500)


@pytest.mark.parametrize("method", ["hold", "release", "erase", "export"])
def test_nobody_is_held_released_or_erased_who_never_was(clinic: Clinic, method: str) -> None:
    arguments = (NEVER, "A dispute.") if method == "hold" else (NEVER,)
    with pytest.raises(PatientNotFound):
        getattr(clinic.patients(), method)(*arguments)
    assert clinic.told_of(NEVER) == []


# Erasure in the patient service


def test_an_erased_patient_is_as_if_never_there(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    erase(clinic, patient)
    service = clinic.patients()
    for ask in (
        lambda: service.get(patient),
        lambda: service.export(patient),
        lambda: service.update(patient, sent(word())),
        lambda: service.hold(patient, "A dispute."),
        lambda: service.release(patient),
    ):
        with pytest.raises(PatientNotFound, match=f"There is no patient {patient}."):
            ask()
    assert service.exists(patient) is False
    for query in ({"q": mark}, {"email": f"{mark}@example.org"}, {"after": patient - 1}):
        assert service.find(**query) == {"items": [], "next": None}


def test_the_address_of_an_erased_patient_can_be_registered_anew(
    clinic: Clinic, mark: str
) -> None:
    patient = register(clinic, mark)
    with pytest.raises(EmailTaken):
        register(clinic, mark)
    erase(clinic, patient)
    again = register(clinic, mark)
    assert again != patient
    assert clinic.patients().find(q=mark)["items"] == [clinic.patients().get(again)]


def test_every_personal_column_of_an_erased_patient_is_empty(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    erase(clinic, patient)
    with clinic.session("patient") as session:
        row = session.get_one(Patient, patient)
        columns = {column.name: getattr(row, column.name) for column in Patient.__table__.columns}
        words = session.scalar(select(func.count()).select_from(PatientWord))
    left = {name: value for name, value in columns.items() if value}
    at = row.erased_at
    assert left == {
        "id": patient, "version": 2, "sequence": 2, "erased_at": at, "created_at": at,
        "updated_at": at,
    }
    assert words == 0


def test_a_call_that_is_delivered_again_finds_no_such_patient_and_does_nothing(
    clinic: Clinic, mark: str
) -> None:
    created = clinic.patients("first").create(sent(mark))
    patient = created["id"]
    clinic.patients("second").update(patient, sent(mark, address="Elsewhere"))
    event = erase(clinic, patient)
    for again in (
        lambda: clinic.patients("first").create(sent(mark)),
        lambda: clinic.patients("second").update(patient, sent(mark, address="Elsewhere")),
    ):
        with pytest.raises(PatientNotFound):
            again()
    assert clinic.told_of(patient)[-1] == event


def test_an_erasure_can_be_repeated_and_is_told_again(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    first, second = erase(clinic, patient), erase(clinic, patient)
    assert [first["type"], second["type"]] == ["patient.erased"] * 2
    assert (first["sequence"], second["sequence"]) == (2, 3)
    assert first["id"] != second["id"]
    assert first["data"] == second["data"] == {"patientId": patient}
    assert mark not in str((first, second))


def test_an_erasure_that_is_delivered_again_is_told_once(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    for _ in range(2):
        assert clinic.patients("key").erase(patient) is None
    assert [event["type"] for event in clinic.told_of(patient)] == [
        "patient.registered", "patient.erased"
    ]


# Erasure in the appointment service


def test_upcoming_appointments_are_cancelled_and_told_and_their_time_is_free(
    clinic: Clinic, mark: str
) -> None:
    patient = register(clinic, mark)
    booked = clinic.appointments().schedule(wish(patient, about=mark))
    clinic.appointment_background().patient_erased(erase(clinic, patient))
    found = clinic.appointments().get(booked["id"])
    changed = {"description", "status", "updatedAt", "version"}
    assert found.keys() == booked.keys()
    assert {name for name in found if found[name] != booked[name]} == changed
    assert (found["description"], found["status"]) == (ERASED, CANCELLED)
    assert found["cancelReason"] is None
    assert found["version"] == 2 and stored(clinic, booked["id"]).remind_at is None
    told = clinic.events(AppointmentOutbox, "appointment", subject=str(booked["id"]))
    assert [event["type"] for event in told] == ["appointment.scheduled", "appointment.cancelled"]
    assert told[-1]["data"]["status"] == CANCELLED and mark not in str(told)
    other = register(clinic, word())
    assert clinic.appointments().schedule(wish(other))["status"] == BOOKED


def test_that_appointments_took_place_stays_and_nothing_that_was_written(
    clinic: Clinic, mark: str
) -> None:
    patient = register(clinic, mark)
    past, cancelled = (
        clinic.appointments().schedule(wish(patient, days=days, about=mark))["id"]
        for days in (1, 2)
    )
    move_into_the_past(clinic, past)
    clinic.appointments().cancel(cancelled, f"ill {mark}")
    clinic.appointment_background().patient_erased(erase(clinic, patient))
    found = clinic.appointments().export(patient)
    assert [(each["id"], each["status"], each["patientId"]) for each in found] == [
        (past, BOOKED, patient), (cancelled, CANCELLED, patient)
    ]
    assert {(each["description"], each["cancelReason"]) for each in found} == {(ERASED, None)}
    told = clinic.events(AppointmentOutbox, "appointment", subject=str(past))
    assert len(told) == 1, "what took place is not cancelled"
    # Whoever cancels it later cannot write about the patient again.
    clinic.appointments().cancel(past, f"ill {mark}")
    assert not [each for each in clinic.everything() if mark in each]


def test_other_patients_keep_what_is_theirs(clinic: Clinic, mark: str) -> None:
    patient, other = register(clinic, mark), register(clinic, word())
    theirs = clinic.appointments("theirs").schedule(wish(other))
    record = clinic.patients().get(other)
    clinic.appointment_background().patient_erased(erase(clinic, patient))
    assert clinic.appointments().get(theirs["id"]) == theirs
    assert clinic.appointments("theirs").schedule(wish(other)) == theirs
    assert clinic.patients().get(other) == record


def test_the_event_twice_does_what_it_does_once(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    clinic.appointments().schedule(wish(patient, about=mark))
    event = erase(clinic, patient)
    clinic.appointment_background(event["id"]).patient_erased(event)
    once = sorted(clinic.everything(but="inbox"))
    for again in (event, erased_event(patient)):
        clinic.appointment_background(again["id"]).patient_erased(again)
    assert sorted(clinic.everything(but="inbox")) == once


def test_a_booking_that_is_delivered_again_is_refused(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    wanted = wish(patient, about=mark)
    booked = clinic.appointments("book").schedule(wanted)
    clinic.appointments("cancel").cancel(booked["id"], mark)
    clinic.appointment_background().patient_erased(erase(clinic, patient))
    for again in (
        lambda: clinic.appointments("book").schedule(wanted),
        lambda: clinic.appointments("cancel").cancel(booked["id"], mark),
    ):
        with pytest.raises(UnknownPatient):
            again()


@pytest.mark.parametrize(
    "junk",
    [
        None,
        [],
        "patient.erased",
        b"\xff",
        {},
        {"data": {"patientId": 1}},
        erased_event(1, type="patient.updated"),
        erased_event(1, source="/billing"),
        erased_event(1, data={}),
        erased_event(1, data={"patientId": "1"}),
        erased_event(1, data={"patientId": -1}),
        erased_event(1, data={"patientId": True}),
    ],
    # An event has an id and a time of its own, but the name of a test is the same in each process.
    ids=[
        "null", "list", "text", "bytes", "empty", "data alone", "another type", "another source",
        "nobody", "text for a number", "negative", "true",
    ],
)
@pytest.mark.parametrize("urls", ["sqlite"], indirect=True)
def test_what_is_no_such_event_is_refused_and_changes_nothing(clinic: Clinic, junk: Any) -> None:
    assert register(clinic, word()) == 1
    clinic.appointments().schedule(wish(1))
    before = sorted(clinic.everything())
    for service in (clinic.appointment_background(), clinic.gateway_background()):
        with pytest.raises(InvalidInput):
            service.patient_erased(junk)
    assert sorted(clinic.everything()) == before


def test_a_thousand_appointments_are_erased(clinic: Clinic, mark: str) -> None:
    patient = register(clinic, mark)
    first = utc_now() + timedelta(days=1)

    def fields(number: int) -> dict[str, Any]:
        start = first + number * timedelta(minutes=10)
        return {
            "patient_id": patient, "doctor_id": 1, "starts_at": start,
            "ends_at": start + timedelta(minutes=5), "duration_minutes": 5, "description": mark,
        }

    with clinic.session("appointment") as session, session.begin():
        for number in range(1000):
            Appointments(session).book(fields(number), now=utc_now(), correlation_id="c")
    event, began, worked = erase(clinic, patient), time.monotonic(), time.process_time()
    clinic.appointment_background().patient_erased(event)
    # A call's time, within which a transaction may be tried again, of the processor.
    assert time.process_time() - worked < 5
    assert time.monotonic() - began < 20
    with clinic.session("appointment") as session:
        assert session.scalar(select(func.count()).select_from(Claim)) == 0
        statuses = session.scalars(select(Appointment.status).distinct()).all()
        told = session.scalar(
            select(func.count()).where(AppointmentOutbox.name == "cancelled")
        )
    assert (statuses, told) == ([CANCELLED], 1000)
    assert not [each for each in clinic.everything() if mark in each]


# Erasure beside a booking: MariaDB decides, and holds transactions open side by side

on_mariadb = pytest.mark.parametrize("urls", ["mariadb"], indirect=True)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def outcome(work: Callable[[], Any]) -> str:
    try:
        work()
    except SchedulingError as refused:
        return refused.code
    return "done"


@on_mariadb
def test_a_booking_that_is_not_committed_when_the_erasure_comes_is_waited_for_and_erased(
    clinic: Clinic, mark: str, pool: ThreadPoolExecutor
) -> None:
    patient = register(clinic, mark)
    event = erase(clinic, patient)
    with clinic.session("appointment") as booking:
        with booking.begin():
            start = utc_now() + timedelta(days=1)
            booked = Appointments(booking).book(
                {
                    "patient_id": patient, "doctor_id": 1, "starts_at": start,
                    "ends_at": start + timedelta(minutes=5), "duration_minutes": 5,
                    "description": mark,
                },
                now=utc_now(),
                correlation_id="c",
            ).id
            background = clinic.appointment_background()
            erasing = pool.submit(outcome, lambda: background.patient_erased(event))
            wait_for_a_lock(clinic.engines["appointment"])
            assert not erasing.done()
    assert erasing.result(PATIENCE) == "done"
    assert stored(clinic, booked).status == CANCELLED
    assert not [each for each in clinic.everything() if mark in each]


@on_mariadb
def test_a_booking_beside_an_erasure_that_is_not_committed_waits_and_is_refused(
    clinic: Clinic, mark: str, pool: ThreadPoolExecutor
) -> None:
    patient = register(clinic, mark)
    service, wanted = clinic.appointments(), wish(patient, about=mark)
    # The patient was there when the patient service was asked.
    availability = clinic.doctors().availability(1)
    service.ask = lambda *requests: [Answer(True), Answer(availability)]
    erase(clinic, patient)
    with clinic.session("appointment") as erasing:
        with erasing.begin():
            Erasures(erasing).remember(patient, now=utc_now())
            Appointments(erasing).erase(patient, clock=utc_now, correlation_id="abc")
            booking = pool.submit(outcome, lambda: service.schedule(wanted))
            wait_for_a_lock(clinic.engines["appointment"])
            assert not booking.done()
    assert booking.result(PATIENCE) == "unknown_patient"
    assert clinic.appointments().export(patient) == []


@on_mariadb
def test_whatever_is_done_beside_an_erasure_nothing_is_left_of_the_patient(
    clinic: Clinic, mark: str, pool: ThreadPoolExecutor
) -> None:
    outcomes = set()
    told = {"patient": Answer(True), "doctor": Answer(clinic.doctors().availability(1))}
    for _ in range(15):
        patient = register(clinic, f"{mark}{word()}")
        another = clinic.doctors().create(doctor())["id"]
        upcoming = clinic.appointments().schedule(wish(patient, doctor=another, about=mark))
        event, gate = erase(clinic, patient), Barrier(4)
        booker = clinic.appointments()
        booker.ask = lambda *requests: [told[each.service] for each in requests]

        def together(work: Callable[[], Any], gate: Barrier = gate) -> str:
            gate.wait(PATIENCE)
            return outcome(work)

        ended = [
            pool.submit(together, work)
            for work in (
                lambda: booker.schedule(wish(patient, days=40, about=mark)),
                lambda: clinic.appointments().cancel(upcoming["id"], f"ill {mark}"),
                lambda: clinic.appointment_background().patient_erased(event),
                lambda: clinic.appointment_background().patient_erased(event),
            )
        ]
        booked, *others = [each.result(PATIENCE) for each in ended]
        assert others == ["done"] * 3
        outcomes.add(booked)
        found = clinic.appointments().export(patient)
        assert {each["status"] for each in found} == {CANCELLED}
    assert outcomes <= {"done", "unknown_patient"}
    assert not [each for each in clinic.everything() if mark in each]
    with clinic.session("appointment") as session:
        assert session.scalars(select(Claim)).all() == []


# What slips through all the same


def settle(clinic: Clinic, *, after: timedelta) -> None:
    service = clinic.appointment_background()
    service.clock = lambda: utc_now() + after
    service.settle_erasures()


def book_unseen(clinic: Clinic, patient: int, mark: str) -> int:
    """As the version before this one did, which looked for no erasures."""
    with clinic.session("appointment") as session, session.begin():
        start = utc_now() + timedelta(days=5)
        row = Appointment(
            patient_id=patient, doctor_id=1, starts_at=start, ends_at=start, duration_minutes=30,
            status=BOOKED, version=1, sequence=0, created_at=start, updated_at=start,
        )
        session.add(row)
        session.flush()
        row.description = mark
        return row.id


def settled(clinic: Clinic, patient: int) -> bool:
    with clinic.session("appointment") as session:
        return session.get_one(Erasure, patient).settled_at is not None


def test_a_booking_that_slipped_through_is_erased_by_the_last_look_and_not_before(
    clinic: Clinic, mark: str
) -> None:
    patient = register(clinic, mark)
    clinic.appointment_background().patient_erased(erase(clinic, patient))
    slipped = book_unseen(clinic, patient, mark)
    settle(clinic, after=SETTLED_AFTER - timedelta(seconds=20))
    assert not settled(clinic, patient)
    assert clinic.appointments().get(slipped)["description"] == mark
    settle(clinic, after=SETTLED_AFTER + timedelta(seconds=1))
    assert settled(clinic, patient)
    assert stored(clinic, slipped).status == CANCELLED
    assert not [each for each in clinic.everything() if mark in each]


def test_who_is_settled_is_not_looked_at_again_until_the_event_comes_again(
    clinic: Clinic, mark: str
) -> None:
    patient = register(clinic, mark)
    event = erase(clinic, patient)
    clinic.appointment_background().patient_erased(event)
    settle(clinic, after=SETTLED_AFTER * 2)
    slipped = book_unseen(clinic, patient, mark)
    settle(clinic, after=SETTLED_AFTER * 2)
    assert clinic.appointments().get(slipped)["description"] == mark
    clinic.appointment_background().patient_erased(event)
    assert clinic.appointments().get(slipped)["description"] == ERASED


# The gateway


def log_in(clinic: Clinic, mark: str, role: str, subject: int) -> int:
    """A login, a sign-in and a familiar address; the account's id."""
    with clinic.session("gateway") as session, session.begin():
        fields = {"role": role, "subject_id": subject, "password_hash": "no hash"}
        account = Accounts(session).open(fields, email=f"{mark}@example.org", now=utc_now())
        Sessions(session).begin(account, now=utc_now(), lasting=timedelta(days=14))
        session.flush()
        FamiliarAddresses(session).saw(account.id, "0" * 64, now=utc_now())
        return account.id


def of_gateway(clinic: Clinic, table: Any) -> list[Any]:
    with clinic.session("gateway") as session:
        return list(session.scalars(select(table)))


def test_the_logins_of_an_erased_patient_are_removed_and_nobody_elses(
    clinic: Clinic, mark: str
) -> None:
    for _ in range(2):
        log_in(clinic, f"{mark}{word()}", PATIENT, 7)
    others = [log_in(clinic, word(), PATIENT, 8), log_in(clinic, word(), DOCTOR, 7)]
    for _ in range(2):
        clinic.gateway_background().patient_erased(erased_event(7))
    assert sorted(account.id for account in of_gateway(clinic, Account)) == others
    for table in (SignIn, FamiliarAddress):
        assert sorted(row.account_id for row in of_gateway(clinic, table)) == others
    assert not [each for each in clinic.everything() if mark in each]


def test_sign_ins_are_forgotten_a_while_after_they_are_over(clinic: Clinic) -> None:
    account, now = log_in(clinic, word(), PATIENT, 7), utc_now()
    (running,) = of_gateway(clinic, SignIn)

    def sign_in(number: int, *, ended: timedelta | None, expires: timedelta) -> SignIn:
        return SignIn(
            id=f"{number:032}", account_id=account, refreshes=0, created_at=now,
            expires_at=now + expires, ended_at=None if ended is None else now + ended,
        )

    little = timedelta(minutes=1)
    with clinic.session("gateway") as session, session.begin():
        session.add_all([
            sign_in(1, ended=None, expires=-OVER_FOR - little),
            sign_in(2, ended=-OVER_FOR - little, expires=OVER_FOR),
            sign_in(3, ended=None, expires=-OVER_FOR + little),
            sign_in(4, ended=-OVER_FOR + little, expires=OVER_FOR),
        ])
    clinic.gateway_background().forget_old_sign_ins()
    left = {row.id for row in of_gateway(clinic, SignIn)}
    assert left == {running.id, f"{3:032}", f"{4:032}"}


def test_addresses_that_nobody_came_from_for_long_are_forgotten(clinic: Clinic) -> None:
    account, now, little = log_in(clinic, word(), PATIENT, 7), utc_now(), timedelta(minutes=1)
    with clinic.session("gateway") as session, session.begin():
        for number, age in enumerate((FAMILIAR_FOR + little, FAMILIAR_FOR - little), start=1):
            FamiliarAddresses(session).saw(account, f"{number:064}", now=now - age)
    clinic.gateway_background().forget_old_sign_ins()
    left = {row.address_key for row in of_gateway(clinic, FamiliarAddress)}
    assert left == {"0" * 64, f"{2:064}"}


def test_the_gateway_keeps_house_without_a_relay(clinic: Clinic) -> None:
    service = clinic.gateway_background()
    service.clock = lambda: utc_now() + KEPT_FOR
    service.forget_old_answers()
    assert service.relay is None
