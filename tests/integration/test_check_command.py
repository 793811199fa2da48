"""`clinic check` on MariaDB and on SQLite: health passes, each kind of damage is named."""

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from config.clock import utc_now
from config.command import main
from config.database import connect
from config.migration import upgrade
from config.programs import catalogue
from config.snapshot import snapshot
from tests.bench.filling import Visit, store
from tests.systems import plain_environ
from tests.vaults import vault_for

LOOKED_AT = ("patient", "doctor", "appointment")
NINE = datetime(2031, 3, 4, 9, tzinfo=UTC)
FIRST = int(NINE.timestamp()) // 300


@dataclass(frozen=True)
class Site:
    """Databases of a test's own, and the ``clinic`` command for them."""

    urls: dict[str, URL]
    environ: dict[str, str]
    options: tuple[str, ...] = ()

    def check(self) -> Result:
        return CliRunner().invoke(main, ["check", *self.options], env=self.environ)

    def wrong(self) -> list[str]:
        """The lines that name something, once the command has ended as it must then."""
        checked = self.check()
        assert checked.exit_code == 1, checked.output
        assert "What is named above" in checked.stderr
        return [line.strip() for line in checked.stdout.splitlines() if line.startswith("  ")]

    def change(self, *statements: str, database: str = "appointment") -> None:
        """As somebody would who has the database's own password."""
        engine = create_engine(self.urls[database])
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    def without_rules(self, table: str) -> None:
        """Makes the table anew without its keys, which would not let damage in."""
        self.change(
            f"CREATE TABLE loose AS SELECT * FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE loose RENAME TO {table}",
        )


@pytest.fixture(params=["mariadb", "sqlite"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Four appointments that are as they should be: 1, 2 and 3 of doctor 1, and 4 of doctor 2."""
    if request.param == "sqlite":
        urls = {
            name: URL.create("sqlite", database=str(tmp_path / f"{name}.sqlite3"))
            for name in LOOKED_AT
        }
        yield filled(Site(urls, plain_environ(DATA_DIR=str(tmp_path)), ("--embedded",)))
        return
    base = make_url(request.getfixturevalue("addresses")["DATABASE_URL"])
    base = base.set(database=f"{base.database}_{uuid.uuid4().hex[:8]}")
    urls = {name: base.set(database=f"{base.database}_{name}") for name in LOOKED_AT}
    environ = plain_environ(
        DATABASE_URL=base.render_as_string(hide_password=False), TRUST_LOCAL_SERVERS="true",
        DATA_DIR=str(tmp_path),
    )
    made = Site(urls, environ)
    yield filled(made)
    made.change(*(f"DROP DATABASE `{url.database}`" for url in urls.values()))


def filled(site: Site) -> Site:
    for name, url in site.urls.items():
        upgrade(scripts=catalogue().databases[name], url=url, vault=vault_for(name))
    engine = connect(site.urls["appointment"].render_as_string(hide_password=False))
    half = timedelta(minutes=30)
    visits = [
        Visit(doctor_id=1, patient_id=1, start=NINE),
        Visit(doctor_id=1, patient_id=2, start=NINE + half),
        Visit(doctor_id=1, patient_id=3, start=NINE + 2 * half, minutes=32),
        Visit(doctor_id=2, patient_id=2, start=NINE + 2 * half, minutes=5),
    ]
    assert store(engine, vault_for("appointment"), visits) == 4
    engine.dispose()
    return site


def test_a_healthy_system_passes_and_each_check_says_what_it_looked_at(site: Site) -> None:
    checked = site.check()
    assert checked.exit_code == 0, checked.output
    *lines, last = checked.stdout.splitlines()
    assert last == "Nothing is wrong."
    assert all(": ok (" in line for line in lines)
    looked_at = [line.partition(" s)")[0].rpartition(", ")[0] for line in lines]
    assert "appointment: no two of a doctor overlap: ok (4 active appointments" in looked_at
    # Buckets of 5 minutes: 6, 6, 7 and 1, for either side.
    assert "appointment: each claim is of an active appointment's time: ok (40 claims" in looked_at
    assert "patient: events are published: ok (0 unpublished events" in looked_at


def test_what_is_cancelled_holds_nothing_and_stands_in_nobodys_way(site: Site) -> None:
    site.change(
        "UPDATE appointment SET status = 'cancelled' WHERE id = 1",
        "DELETE FROM claim WHERE appointment_id = 1",
        "UPDATE appointment SET starts_at = '2031-03-04 09:30:00.000000' WHERE id = 1",
    )
    assert site.check().exit_code == 0


def test_the_check_changes_nothing_and_makes_nothing(site: Site, tmp_path: Path) -> None:
    before = sorted(file.name for file in tmp_path.glob("*.env"))
    site.check()
    assert sorted(file.name for file in tmp_path.glob("*.env")) == before == []


@pytest.mark.parametrize("kind", ["D", "P"])
def test_a_claim_that_is_gone_is_named(site: Site, kind: str) -> None:
    site.change(f"DELETE FROM claim WHERE appointment_id = 3 AND kind = '{kind}' "
                f"AND bucket = {FIRST + 18}")
    who = {"D": "doctor 1", "P": "patient 3"}[kind]
    assert site.wrong() == [f"appointment 3: 6 of 7 claims of {who}"]


@pytest.mark.parametrize(
    "claim",
    [("D", 1, FIRST + 19, 3), ("D", 9, FIRST, 1), ("P", 1, FIRST - 1, 1), ("X", 1, FIRST, 1),
     ("D", 5, FIRST, 77)],
    ids=["behind the end", "of another doctor", "before the start", "of no kind", "of nothing"],
)
def test_a_claim_too_many_is_named(site: Site, claim: tuple[str, int, int, int]) -> None:
    site.change(f"INSERT INTO claim (kind, resource_id, bucket, appointment_id) VALUES {claim}")
    kind, party, bucket, appointment = claim
    assert site.wrong() == [f"claim {kind} {party} {bucket}: not of appointment {appointment}"]


def test_a_claim_that_has_come_to_another_appointment_is_named_from_both_sides(site: Site) -> None:
    site.change(f"UPDATE claim SET appointment_id = 2 WHERE kind = 'D' AND bucket = {FIRST}")
    assert site.wrong() == [
        "appointment 1: 5 of 6 claims of doctor 1",
        f"claim D 1 {FIRST}: not of appointment 2",
    ]


def test_claims_that_outlive_a_cancellation_are_named(site: Site) -> None:
    site.change("UPDATE appointment SET status = 'cancelled' WHERE id = 4")
    assert site.wrong() == [
        f"claim D 2 {FIRST + 12}: not of appointment 4",
        f"claim P 2 {FIRST + 12}: not of appointment 4",
    ]


def test_an_appointment_that_was_moved_onto_another_is_named(site: Site) -> None:
    site.change("UPDATE appointment SET starts_at = '2031-03-04 09:29:59.999999' WHERE id = 2")
    assert site.wrong()[0] == "appointments 1 and 2 of doctor 1 overlap"


def test_one_that_begins_when_another_ends_is_not(site: Site) -> None:
    site.change("UPDATE appointment SET starts_at = '2031-03-04 09:30:00.000000' WHERE id = 2")
    assert site.check().exit_code == 0


@pytest.mark.parametrize("until", ["09:30:00.000001", "10:00:00.000001", "23:59:59"])
def test_one_that_lasts_into_others_is_named(site: Site, until: str) -> None:
    site.change(f"UPDATE appointment SET ends_at = '2031-03-04 {until}' WHERE id = 1")
    overlaps = [line for line in site.wrong() if "overlap" in line]
    assert overlaps == ["appointments 1 and 2 of doctor 1 overlap"]


def test_a_patient_who_is_in_two_places_is_named(site: Site) -> None:
    site.change("UPDATE appointment SET patient_id = 3 WHERE id = 4")
    assert site.wrong()[0] == "appointments 3 and 4 of patient 3 overlap"


# Events


def insert_event(subject: str, sequence: int, *, age: timedelta, published: bool) -> str:
    body = json.dumps({"time": (utc_now() - age).isoformat()})
    at = "'2031-01-01 00:00:00'" if published else "NULL"
    return (
        "INSERT INTO outbox (id, name, subject, sequence, body, published_at) VALUES "
        f"('{uuid.uuid4()}', 'rescheduled', '{subject}', {sequence}, '{body}', {at})"
    )


def counted_up(appointment: int, sequence: int) -> str:
    return f"UPDATE appointment SET sequence = {sequence} WHERE id = {appointment}"


@pytest.mark.parametrize("age", [timedelta(), timedelta(hours=1)])
def test_an_event_that_was_taken_from_the_middle_is_named(site: Site, age: timedelta) -> None:
    site.change(insert_event("2", 3, age=age, published=True), counted_up(2, 3))
    assert site.wrong() == ["events of 2: 2, numbered from 1 to 3"]


def test_the_first_event_is_missed_too(site: Site) -> None:
    site.change(
        "UPDATE outbox SET sequence = 2 WHERE subject = '2'", counted_up(2, 2),
    )
    assert site.wrong() == ["events of 2: 1, numbered from 2 to 2"]


def test_an_event_that_was_taken_from_the_end_is_named_by_its_record(site: Site) -> None:
    site.change("DELETE FROM outbox WHERE subject = '3'")
    assert site.wrong() == ["appointment 3: sequence 1, its last event has 0"]


def test_a_sequence_that_comes_twice_is_named(site: Site) -> None:
    site.without_rules("outbox")
    site.change(
        "INSERT INTO outbox SELECT 99, id, name, subject, sequence, body, published_at "
        "FROM outbox WHERE subject = '1'"
    )
    assert site.wrong() == ["events of 1: 2, numbered from 1 to 1"]


def test_a_double_that_fills_a_gap_is_named_all_the_same(site: Site) -> None:
    site.without_rules("outbox")
    site.change(
        *("INSERT INTO outbox SELECT 99, id, name, subject, 3, body, published_at "
          "FROM outbox WHERE subject = '1' AND sequence = 1" for _ in range(2)),
        counted_up(1, 3),
    )
    assert site.wrong() == ["events of 1: 3, numbered from 1 to 3"]


LONG_AGO = "2025-01-01 00:00:00.000000"


def forgotten(site: Site) -> None:
    """Appointment 2 had events 1 to 4, of which the first two were forgotten."""
    site.change(
        "DELETE FROM outbox WHERE subject = '2'",
        *(insert_event("2", sequence, age=timedelta(), published=True) for sequence in (3, 4)),
        counted_up(2, 4),
        f"UPDATE appointment SET created_at = '{LONG_AGO}' WHERE id = 2",
    )


def test_events_that_were_forgotten_are_not_missed(site: Site) -> None:
    forgotten(site)
    assert site.check().exit_code == 0, site.check().output


def test_a_gap_behind_forgotten_events_is_named(site: Site) -> None:
    forgotten(site)
    site.change("UPDATE outbox SET sequence = 5 WHERE subject = '2' AND sequence = 4",
                counted_up(2, 5))
    assert site.wrong() == ["events of 2: 2, numbered from 3 to 5"]


def test_the_last_event_is_missed_behind_forgotten_ones_too(site: Site) -> None:
    forgotten(site)
    site.change("DELETE FROM outbox WHERE subject = '2' AND sequence = 4")
    assert site.wrong() == ["appointment 2: sequence 4, its last event has 3"]


def test_first_events_are_missed_when_older_ones_are_not_forgotten_yet(site: Site) -> None:
    forgotten(site)
    site.change(
        "UPDATE appointment SET created_at = '2025-01-02 00:00:00.000000' WHERE id = 2",
        f"UPDATE outbox SET published_at = '{LONG_AGO}' WHERE subject = '3'",
        insert_event("3", 2, age=timedelta(), published=True), counted_up(3, 2),
    )
    assert site.wrong() == ["events of 2: 2, numbered from 3 to 4"]


def test_an_event_of_nobody_is_named(site: Site) -> None:
    site.change(insert_event("12345", 1, age=timedelta(), published=True))
    (line,) = site.wrong()
    assert line.startswith("event ") and line.endswith(": there is no 12345")


def test_an_event_that_nobody_published_for_a_minute_is_wrong(site: Site) -> None:
    overdue = timedelta(seconds=90)
    site.change(insert_event("2", 2, age=overdue, published=False), counted_up(2, 2))
    (line,) = site.wrong()
    assert line.startswith("event ") and line.endswith((" waits for 90 s", " waits for 91 s"))


def test_one_that_waits_for_a_moment_is_told_and_not_wrong(site: Site) -> None:
    site.change(insert_event("2", 2, age=timedelta(), published=False), counted_up(2, 2))
    checked = site.check()
    assert checked.exit_code == 0
    assert "events are published: ok (1 unpublished events" in checked.stdout
    assert re.search(r" waits for \d+ s$", checked.stdout, re.MULTILINE)


def test_every_outbox_is_looked_at(site: Site) -> None:
    for name in ("patient", "doctor"):
        site.change(insert_event("8", 1, age=timedelta(), published=True), database=name)
    assert len(site.wrong()) == 2


def test_only_the_first_few_are_named_and_the_others_counted(site: Site) -> None:
    site.change("UPDATE appointment SET status = 'cancelled'")
    lines = site.wrong()
    assert len(lines) == 6 and lines[-1] == "... and 35 more"


# While the system runs


def test_somebody_who_writes_does_not_wait_for_the_check(site: Site) -> None:
    with snapshot(site.urls["appointment"]) as connection:
        before = connection.scalar(text("SELECT COUNT(*) FROM claim"))
        site.change("DELETE FROM claim WHERE appointment_id = 1")
        assert connection.scalar(text("SELECT COUNT(*) FROM claim")) == before


def test_the_check_may_not_write(site: Site) -> None:
    with pytest.raises(OperationalError), snapshot(site.urls["appointment"]) as connection:
        connection.execute(text("DELETE FROM claim"))


# Refusals


def refusal(*options: str, **environ: str) -> str:
    refused = CliRunner().invoke(main, ["check", *options], env=plain_environ(**environ))
    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    return line


def test_a_folder_without_data_is_named_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    said = refusal("--embedded", DATA_DIR=str(tmp_path))
    assert str(tmp_path) in said and "DATA_DIR" in said
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    said = refusal(
        TRUST_LOCAL_SERVERS="true", DATA_DIR=str(tmp_path),
        DATABASE_URL="mysql+pymysql://u:Kq7-vxR2mZp9@127.0.0.1:1/clinic",
    )
    assert "127.0.0.1:1/clinic_patient" in said and "2003" in said
    assert "Kq7-vxR2mZp9" not in said


def test_a_missing_address_is_named(tmp_path: Path) -> None:
    assert "DATABASE_URL must be set" in refusal(DATA_DIR=str(tmp_path))
