"""Nothing personal lies about: marked people are sent through everything, then searched for.

Logs, events, queues, Redis, rows and raw files hold no marker in any form. The search itself is
shown to find one in each of these places.
"""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kombu import Connection, Exchange, Producer, Queue
from redis import Redis
from sqlalchemy import text
from sqlalchemy.engine import make_url

from config.database import connect
from gateway.routes import ROUTES
from tests.e2e.desk import Desk, Json, eventually, morning, rfc3339, time_off_body, unique
from tests.e2e.markers import Content, Markers, forms, hits
from tests.e2e.matrix import contract_name
from tests.e2e.places import (
    Overheard,
    files_in,
    flush,
    lines_of,
    queues,
    redis_content,
    rows_of_server,
    rows_of_sqlite,
    server_folder,
    wait_for_quiet,
)
from tests.e2e.shell import in_shell
from tests.e2e.sweep import Sweep
from tests.systems import System, embedded_system

ATTEMPTS = 80
EXPECTED = {200, 201, 202, 204, 304, 400, 401, 404, 409, 412, 413, 415, 422, 428}


@dataclass
class Swept:
    """A system, after everything has been sent through it."""

    system: System
    markers: Markers
    driven: set[str]
    statuses: set[int]
    messages: list[Content] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return Path(self.system.environ["DATA_DIR"])


@pytest.fixture(scope="module")
def swept_embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """One of its own, that is quick to say that there were too many attempts, and talkative."""
    settings = {"AUTH_RATE_LIMIT_PER_MINUTE": str(ATTEMPTS), "LOG_LEVEL": "DEBUG"}
    with embedded_system(tmp_path_factory.mktemp("swept"), **settings) as system:
        with ExitStack() as ending:
            sweep = drive(Desk(system, ending))
            sweep.too_many_attempts(ATTEMPTS)
            yield Swept(system, sweep.markers, sweep.driven, set(sweep.statuses))


@pytest.fixture(scope="module")
def swept_stack(stack: System) -> Iterator[Swept]:
    with Connection(stack.environ["AMQP_URI"]) as connection, ExitStack() as ending:
        overheard = Overheard(connection)
        sweep = drive(Desk(stack, ending))
        by_shell(sweep)
        by_hand(sweep, connection)
        wait_for_quiet(overheard)
        yield Swept(
            stack, sweep.markers, sweep.driven, set(sweep.statuses), overheard.messages()
        )


@pytest.fixture(params=["embedded", "stack"])
def swept(request: pytest.FixtureRequest) -> Swept:
    found: Swept = request.getfixturevalue(f"swept_{request.param}")
    return found


def drive(desk: Desk) -> Sweep:
    sweep = Sweep(desk, Markers())
    sweep.a_good_day()
    sweep.conflicts()
    sweep.wrong_passwords()
    sweep.bad_days()
    return sweep


def by_shell(sweep: Sweep) -> None:
    """As the operator, who sees what is stored, and sends as much nonsense as anybody."""
    word, patient, doctor = sweep.markers.word, sweep.patient(), sweep.doctor()
    booking = {"date": rfc3339(morning(70)), "description": word()}
    shown = in_shell(
        f"""
exec({SAY!r})
p = n.rpc.patient.create({patient!r})
d = n.rpc.doctor.create({doctor!r})
say(n.rpc.patient.create, {patient!r})
say(n.rpc.patient.find, q={patient['name'].split()[1]!r})
a = n.rpc.appointment.schedule({{**{booking!r}, 'patientId': p['id'], 'doctorId': d['id']}})
say(n.rpc.appointment.get, a['id'])
say(n.rpc.appointment.reschedule, a['id'], {{'description': {word()!r}}})
say(n.rpc.appointment.reschedule, a['id'], {{'date': {word()!r}}})
say(n.rpc.appointment.cancel, a['id'], {word()!r})
say(n.rpc.doctor.add_time_off, d['id'], {time_off_body(reason=word())!r})
say(n.rpc.doctor.set_schedule, d['id'], {{'weekly': {word()!r}}})
say(n.rpc.patient.update, p['id'], {sweep.patient()!r})
say(n.rpc.patient.create, {patient | {'phone': word()}!r})
say(n.rpc.patient.create, {word()!r})
say(n.rpc.patient.create, {word()!r}, {word()!r})
say(n.rpc.patient.create, **{{{word()!r}: {word()!r}}})
say(n.rpc.patient.get, {word()!r})
say(n.rpc.patient.hold, p['id'], {word()!r})
say(getattr(n.rpc.patient, {word()!r}), {word()!r})
say(n.rpc.patient.export, p['id'])
""",
        environ=sweep.desk.system.environ,
    )
    assert shown.returncode == 0, shown.stderr
    assert patient["name"] in shown.stdout and booking["description"] in shown.stdout
    for refusal in ("EmailTaken", "InvalidInput", "IncorrectSignature", "MethodNotFound"):
        assert f"refused: {refusal}" in shown.stdout, shown.stdout


# One line, as an error ends the shell when nobody sits before it.
SAY = """
def say(call, *args, **kwargs):
    try:
        print(call(*args, **kwargs))
    except Exception as refused:
        print("refused:", type(refused).__name__)
"""


def by_hand(sweep: Sweep, connection: Connection) -> None:
    """Messages that no library would send."""
    producer = Producer(connection.default_channel, Exchange("nameko-rpc", type="topic"))
    word = sweep.markers.word().encode()
    for kind in ("application/json", "text/plain", "application/x-python-serialize"):
        for reply_to in ({}, {"reply_to": unique()}):
            producer.publish(
                word, routing_key="patient.get", content_type=kind, content_encoding="utf-8",
                headers={"nameko.caller": word.decode()},
                # What somebody asks the broker to write down, it may.
                delivery_mode="transient", **reply_to,
            )


# What was sent


def test_every_route_was_driven_and_every_kind_of_answer_met(swept: Swept) -> None:
    assert sorted({contract_name(route) for route in ROUTES} - swept.driven) == []
    assert sorted(EXPECTED - swept.statuses) == []
    assert swept.markers.made > 100


# Where it is not


def test_no_log_line_of_any_process_holds_a_marker(swept: Swept) -> None:
    assert len(list(lines_of(swept.system.logs))) > 100
    assert hits(swept.markers, lines_of(swept.system.logs)) == []


def test_no_row_of_any_table_holds_a_marker_the_audit_trail_included(swept: Swept) -> None:
    embedded = "DATABASE_URL" not in swept.system.environ
    rows = list(
        rows_of_sqlite(swept.data) if embedded
        else rows_of_server(swept.system.environ["DATABASE_URL"])
    )
    tables = {where.replace(":", ".").split(".")[-1] for where, _ in rows}
    assert {"patient", "doctor", "appointment", "account", "audit", "answer", "outbox"} <= tables
    assert hits(swept.markers, rows) == []


def test_no_file_of_the_embedded_mode_holds_a_marker(swept_embedded: Swept) -> None:
    names = {Path(where).name for where, _ in files_in(swept_embedded.data)}
    assert {"patient.sqlite3", "patient.sqlite3-wal", "audit.sqlite3", "keys.env"} <= names
    assert hits(swept_embedded.markers, files_in(swept_embedded.data)) == []


@pytest.fixture
def folder(stack: System) -> Path:
    found = server_folder(stack.environ["DATABASE_URL"])
    if found is None:
        pytest.skip("the database server keeps its files on another machine")
    return found


def test_no_file_of_the_database_or_redis_holds_a_marker(
    swept_stack: Swept, folder: Path
) -> None:
    flush(swept_stack.system.environ["DATABASE_URL"])
    theirs = (each for each in files_in(folder) if not each[0].startswith(f"{folder}/rabbitmq/"))
    assert hits(swept_stack.markers, theirs) == []


def test_no_file_of_the_broker_holds_a_marker(swept_stack: Swept, folder: Path) -> None:
    assert hits(swept_stack.markers, files_in(folder / "rabbitmq")) == []


def test_no_key_or_value_in_redis_holds_a_marker(swept_stack: Swept) -> None:
    """Nor do the copies that are kept of records of marked people, for a minute."""
    with ExitStack() as ending:
        sweep = Sweep(Desk(swept_stack.system, ending), swept_stack.markers)
        content = copied(sweep, patient=sweep.somebody(), doctor=sweep.a_doctor())
    assert hits(swept_stack.markers, content) == []


def copied(sweep: Sweep, *, patient: Json, doctor: Json) -> list[Content]:
    """What is in Redis when there is a copy of all that copies are kept of."""
    at = {"by": sweep.desk.admin, "record": doctor["id"]}
    wanted = [f"patient/{patient['id']}", f"doctor/{doctor['id']}", f"schedule/{doctor['id']}",
              "doctors/", "session/"]

    def look() -> list[Content] | None:
        sweep.ask("GET /patients/{id}", **{**at, "record": patient["id"]})
        for name in ("GET /doctors/{id}", "GET /doctors/{id}/schedule", "GET /doctors"):
            sweep.ask(name, **at)
        content = list(redis_content(sweep.desk.system.environ["REDIS_URL"]))
        keys = b" ".join(key for where, key in content if where == "redis key")
        there = [f"gateway-copies:{each}".encode() in keys for each in wanted]
        return content if all(there) else None

    # An event that tells of them may still come, and outdate one.
    return eventually(look, seconds=30, what=f"copies of {wanted}")


def test_no_event_holds_a_marker(swept_stack: Swept) -> None:
    told = b"".join(message for _, message in swept_stack.messages)
    for name in (b"registered", b"updated", b"scheduled", b"rescheduled", b"status_changed",
                 b"cancelled", b"erased", b"schedule_changed", b"time_off_changed"):
        assert name in told
    assert hits(swept_stack.markers, swept_stack.messages) == []


def test_no_queue_holds_a_marker_in_its_name_or_messages(swept_stack: Swept) -> None:
    admin = swept_stack.system.environ.get("AMQP_ADMIN_URL")
    if admin is None:
        pytest.skip("the broker is not ours to look into")
    content = list(queues(admin))
    assert any(b"rpc-patient" in names for _, names in content)
    assert hits(swept_stack.markers, content) == []


# The search finds what there is


@pytest.fixture
def planted() -> Markers:
    return Markers()


def test_every_form_of_a_marker_is_found_wherever_it_begins(planted: Markers) -> None:
    for word in (planted.word(), planted.ascii(), planted.number()[3:]):
        for form, sought in forms(word):
            # The last character or two of a base64 text belong to what follows, too.
            for before in (b"", b"x", b"xx", b"xxx"):
                assert hits(planted, [("here", before + sought + b"zz")]), form
    assert hits(planted, [("here", b"Zq and nothing that follows")]) == []


def test_a_marker_across_two_pieces_of_a_file_is_found(planted: Markers, tmp_path: Path) -> None:
    word = planted.word().encode()
    (tmp_path / "large").write_bytes(b"x" * (16 * 1024 * 1024 - 7) + word + b"x")
    assert hits(planted, files_in(tmp_path))


def test_a_marker_in_a_log_line_is_found(planted: Markers, tmp_path: Path) -> None:
    (tmp_path / "gateway.log").write_text(f"one line\nanother with {planted.word().lower()}\n")
    (found,) = {hit.partition(": ")[0] for hit in hits(planted, lines_of(tmp_path))}
    assert found == "gateway.log:2"


def test_a_marker_in_an_sqlite_database_is_found_in_rows_and_in_the_log_before_them(
    planted: Markers, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "audit.sqlite3")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE audit (resource TEXT)")
        database.execute("INSERT INTO audit VALUES (?)", (planted.word(),))
        database.commit()
        assert hits(planted, rows_of_sqlite(tmp_path))
        files = {hit.partition(": ")[0] for hit in hits(planted, files_in(tmp_path))}
        assert files == {str(tmp_path / "audit.sqlite3-wal")}


def test_a_marker_in_the_database_server_is_found_in_rows_and_files(
    addresses: dict[str, str], planted: Markers
) -> None:
    url = make_url(addresses["DATABASE_URL"])
    own = url.set(database=f"planted_{unique()}")
    address = own.render_as_string(hide_password=False)
    engine = connect(url.set(database="").render_as_string(hide_password=False))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as server:
        server.execute(text(f"CREATE DATABASE {own.database}_audit"))
        try:
            server.execute(text(f"CREATE TABLE {own.database}_audit.audit (subject VARCHAR(99))"))
            row = text(f"INSERT INTO {own.database}_audit.audit VALUES (:word)")
            server.execute(row, {"word": planted.word()})
            flush(address)
            assert hits(planted, rows_of_server(address))
            folder = server_folder(address)
            found = hits(planted, files_in(folder)) if folder else ["audit.ibd"]
            assert any("audit.ibd" in hit for hit in found)
        finally:
            server.execute(text(f"DROP DATABASE {own.database}_audit"))
    engine.dispose()


def test_a_marker_in_a_key_or_value_of_redis_is_found(
    addresses: dict[str, str], planted: Markers
) -> None:
    with closing(Redis.from_url(addresses["REDIS_URL"])) as redis:
        word, name = planted.word(), unique()
        redis.set(f"{name}:{planted.word()}", "x", ex=60)
        redis.set(f"{name}:1", f"{word} " * 100, ex=60)
        redis.hset(f"{name}:2", mapping={"name": word})
        redis.zadd(f"{name}:3", {word: 1})
        where = " ".join(hits(planted, redis_content(addresses["REDIS_URL"])))
        redis.delete(f"{name}:1", f"{name}:2", f"{name}:3", *redis.keys(f"{name}:*"))
    for place in ("redis key: ", f"value of b'{name}:1'", f"{name}:2", f"{name}:3"):
        assert place in where


def test_a_marker_in_an_event_is_found(addresses: dict[str, str], planted: Markers) -> None:
    with Connection(addresses["AMQP_URI"]) as connection:
        overheard = Overheard(connection)
        exchange = Exchange("patient.events", type="topic")
        producer = Producer(connection.default_channel, exchange)
        producer.publish({"data": planted.word()}, routing_key="registered")
        producer.publish({}, routing_key="registered", headers={"name": planted.word()})
        producer.publish({}, routing_key=planted.word())
        wait_for_quiet(overheard, seconds=1)
        assert [bool(hits(planted, [told])) for told in overheard.messages()] == [True] * 3


def test_a_marker_in_a_queue_is_found(addresses: dict[str, str], planted: Markers) -> None:
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("the broker is not ours to look into")
    with Connection(addresses["AMQP_URI"]) as connection:
        queue = Queue(f"planted-{unique()}")(connection.default_channel)
        queue.declare()
        try:
            producer = Producer(connection.default_channel)
            producer.publish(planted.word(), routing_key=queue.name, content_type="text/plain")
            assert hits(planted, queues(addresses["AMQP_ADMIN_URL"]))
        finally:
            queue.delete()


def test_what_the_shell_prints_is_what_was_sent(stack: System, planted: Markers) -> None:
    """Else its part of the sweep would have proved nothing."""
    shown: subprocess.CompletedProcess[str] = in_shell(
        f"print({planted.word()!r})\n", environ=stack.environ
    )
    assert hits(planted, [("shell", shown.stdout.encode())])
