"""`clinic setup` on real servers: what its users may not do, broker and database refuse."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from amqp.exceptions import AccessRefused, ResourceLocked
from kombu import Connection, Exchange, Queue
from nameko.standalone.rpc import ClusterRpcProxy
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from config.clock import utc_now
from config.database import connect, error_number
from config.environments import kept_values
from config.messaging.publisher import Publisher
from config.programs import catalogue
from schemas.errors import PatientNotFound
from tests.systems import System, clinic, plain_environ, succeed
from tests.waiting import PATIENCE

HEX = "0123456789abcdef0123456789abcdef"
# As the users of programs find it.
RPC = Exchange("nameko-rpc", type="topic", durable=True, passive=True)
HEARD = "evt-patient-erased--{}_background.patient_erased"
DENIED = (1044, 1142)
WRONG_PASSWORD = 1045

Addresses = dict[str, str]
Users = dict[str, Addresses]


@pytest.fixture(scope="module")
def environ(addresses: Addresses) -> Addresses:
    """An installation of its own, migrated, beside those of other tests."""
    if "AMQP_ADMIN_URL" not in addresses:
        pytest.skip("these servers are not ours to make users on")
    url = make_url(addresses["DATABASE_URL"]).set(database="setup")
    given = {**addresses, "DATABASE_URL": url.render_as_string(hide_password=False)}
    environ = plain_environ(**given)
    engine = admin_engine(environ)
    with engine.begin() as server:
        for name in catalogue().databases:
            server.execute(text(f"CREATE DATABASE setup_{name}"))
            server.execute(text(f"CREATE TABLE setup_{name}.{name} (word VARCHAR(20))"))
            server.execute(text(f"INSERT INTO setup_{name}.{name} VALUES ('kept')"))
    engine.dispose()
    return environ


@pytest.fixture(scope="module")
def folder(environ: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("setup") / "programs"
    set_up(folder, environ)
    return folder


@pytest.fixture(scope="module")
def users(folder: Path) -> Users:
    return read(folder)


def set_up(folder: Path, environ: Addresses) -> str:
    return succeed(clinic("setup", "--into", str(folder)), environ=environ)


def read(folder: Path) -> Users:
    return {file.stem: kept_values(file) for file in folder.glob("[!.]*.env")}


def admin_engine(environ: Addresses) -> Engine:
    url = make_url(environ["DATABASE_URL"]).set(database="")
    return connect(url.render_as_string(hide_password=False))


@pytest.fixture
def broker(users: Users) -> Iterator[Callable[[str], Connection]]:
    begun: list[Connection] = []

    def connect_as(program: str) -> Connection:
        begun.append(Connection(users[program]["AMQP_URI"]))
        return begun[-1]

    yield connect_as
    for connection in begun:
        connection.release()


def refused_by_broker(connection: Connection, act: Callable[..., object]) -> None:
    with pytest.raises(AccessRefused):
        act(connection.channel())


def number_of(addresses: Addresses, statement: str, *, database: str) -> int | None:
    """The error's number, or nothing when the statement was done."""
    url = make_url(addresses["DATABASE_URL"]).set(database=database)
    engine = connect(url.render_as_string(hide_password=False))
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except DBAPIError as refused:
        return error_number(refused)
    finally:
        engine.dispose()
    return None


def test_each_program_has_a_file_of_its_own_that_nobody_else_can_read(
    folder: Path, users: Users
) -> None:
    assert set(users) == {*catalogue().names, "operator", "consumer"}
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
    passwords = [
        urlsplit(address).password for addresses in users.values() for address in addresses.values()
    ]
    assert len(set(passwords)) == len(passwords)
    assert make_url(users["patient"]["DATABASE_URL"]).username == "setup_patient"


def test_a_program_cannot_take_the_calls_of_another(broker, users) -> None:
    for program, other in (("patient", "doctor"), ("gateway", "patient"), ("operator", "patient")):
        for act in (
            lambda channel, name=f"rpc-{other}": channel.basic_get(name),
            lambda channel, name=f"rpc-{other}": channel.queue_purge(name),
            lambda channel, name=f"rpc-{other}": channel.queue_delete(name),
            lambda channel, name=f"rpc-{other}": channel.queue_declare(name, durable=True),
        ):
            refused_by_broker(broker(program), act)


@pytest.mark.parametrize("key", ["#", "*.*", "patient.*", "patient.get"])
def test_a_reply_queue_cannot_be_bound_to_the_calls_of_others(broker, key: str) -> None:
    channel = broker("appointment").channel()
    queue = Queue(f"rpc.reply-{HEX}", RPC, routing_key=HEX, exclusive=True)(channel)
    queue.declare()
    with pytest.raises(AccessRefused):
        queue.bind_to(RPC, routing_key=key)


def test_the_replies_to_another_cannot_be_read(broker) -> None:
    mine = Queue(f"rpc.reply-{HEX}", RPC, routing_key=HEX, exclusive=True)
    mine(broker("gateway").channel()).declare()
    with pytest.raises(ResourceLocked):
        broker("appointment").channel().basic_get(f"rpc.reply-{HEX}")
    refused_by_broker(broker("patient"), lambda channel: channel.basic_get(f"rpc.reply-{HEX}"))


@pytest.mark.parametrize(
    ("program", "exchange", "key"),
    [
        ("patient", "nameko-rpc", "doctor.get"),
        ("patient", "nameko-rpc", "patient.get"),
        ("patient-background", "nameko-rpc", "patient.get"),
        ("appointment", "nameko-rpc", "appointment.get"),
        ("patient", "patient.events", "updated"),
        ("patient-background", "doctor.events", "updated"),
        ("gateway", "patient.events", "updated"),
        ("patient", "", "rpc-doctor"),
        ("patient", "dead-letters", "rpc-doctor"),
        ("patient", "delay-5s", "rpc-patient"),
        ("patient", "outbox-wake", "doctor"),
        ("gateway-background", "delay-5s", HEARD.format("appointment")),
        ("gateway-background", "dead-letters", HEARD.format("appointment")),
        ("gateway-background", "", HEARD.format("gateway")),
        ("operator", "delay-5s", "rpc-patient"),
        ("operator", "delay-30s", HEARD.format("gateway")),
        ("operator", "dead-letters", HEARD.format("gateway")),
        ("operator", "", HEARD.format("gateway")),
    ],
)
def test_a_program_cannot_call_or_tell_what_is_not_its_business(
    broker, program: str, exchange: str, key: str
) -> None:
    with confirming(broker(program)) as connection, pytest.raises(AccessRefused):
        connection.Producer().publish({}, exchange=exchange, routing_key=key)


def confirming(connection: Connection) -> Connection:
    return Connection(
        connection.as_uri(include_password=True), transport_options={"confirm_publish": True}
    )


@pytest.mark.parametrize(
    ("program", "exchange", "key"),
    [
        ("patient", "dead-letters", "rpc-patient"),
        ("patient", "outbox-wake", "patient"),
        ("gateway-background", "dead-letters", HEARD.format("gateway")),
        ("gateway-background", "delay-300s", HEARD.format("gateway")),
        ("operator", "delay-5s", HEARD.format("gateway")),
    ],
)
def test_what_failed_can_be_put_off_put_aside_and_sent_again(
    broker, program: str, exchange: str, key: str
) -> None:
    with confirming(broker(program)) as connection:
        connection.Producer().publish(b"junk", exchange=exchange, routing_key=key)


def test_dead_letters_are_read_by_the_operator_alone_and_kept_by_everybody(broker) -> None:
    broker("operator").channel().basic_get("dead-letters")
    for program in ("patient", "gateway-background", "gateway", "consumer"):
        for act in (
            lambda channel: channel.basic_get("dead-letters"),
            lambda channel: channel.queue_purge("dead-letters"),
            lambda channel: channel.queue_delete("dead-letters"),
            lambda channel: channel.exchange_delete("dead-letters"),
            lambda channel: channel.queue_purge("delay-5s"),
            lambda channel: channel.exchange_delete("outbox-wake"),
        ):
            refused_by_broker(broker(program), act)
    refused_by_broker(broker("operator"), lambda channel: channel.queue_delete("dead-letters"))


def test_what_all_live_by_is_not_deleted_by_any_program(broker) -> None:
    for program, exchange in (
        ("patient", "nameko-rpc"), ("gateway", "nameko-rpc"), ("appointment", "nameko-rpc"),
        ("gateway-background", "patient.events"), ("appointment-background", "doctor.events"),
    ):
        refused_by_broker(broker(program), lambda channel, name=exchange: (
            channel.exchange_delete(name)
        ))


def test_a_relay_sees_whether_the_queues_of_others_are_there_and_no_more(broker, users) -> None:
    theirs = HEARD.format("gateway")
    publisher = Publisher(users["patient-background"]["AMQP_URI"], source="patient")
    assert publisher.finds(theirs) and not publisher.finds(f"{theirs}-none")
    publisher.close()
    for act in (
        lambda channel: channel.basic_get(theirs),
        lambda channel: channel.queue_declare(theirs, durable=True, auto_delete=False),
        lambda channel: channel.queue_bind(theirs, "patient.events", routing_key="#"),
    ):
        refused_by_broker(broker("patient-background"), act)


def test_a_subscriber_takes_events_and_neither_tells_nor_spoils_any(broker) -> None:
    events = Exchange("patient.events", type="topic", passive=True)
    mine = Queue("consumer-test", events, routing_key="#", exclusive=True)
    mine(broker("consumer").channel()).declare()
    for act in (
        lambda channel: channel.queue_declare("billing"),
        lambda channel: channel.exchange_declare("patient.events", "topic", durable=True),
        lambda channel: channel.exchange_delete("patient.events"),
        lambda channel: channel.queue_purge("evt-patient-erased--x.y"),
        lambda channel: channel.queue_bind("consumer-test", "nameko-rpc", routing_key="#"),
    ):
        refused_by_broker(broker("consumer"), act)
    for exchange, key in (("patient.events", "erased"), ("", "consumer-test")):
        with confirming(broker("consumer")) as connection, pytest.raises(AccessRefused):
            connection.Producer().publish({}, exchange=exchange, routing_key=key)


def test_a_program_changes_its_own_database_and_sees_no_other(users: Users) -> None:
    for statement in ("INSERT INTO patient VALUES ('new')", "DELETE FROM patient WHERE word='new'"):
        assert number_of(users["patient"], statement, database="setup_patient") is None
    for database in ("setup_doctor", "setup_gateway", "mysql", "setupxpatient"):
        assert number_of(users["patient"], "SELECT 1", database=database) in DENIED
    read_on = "SELECT * FROM setup_doctor.doctor"
    assert number_of(users["patient"], read_on, database="setup_patient") in DENIED


@pytest.mark.parametrize("program", ["patient", "patient-background"])
@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE patient", "CREATE TABLE other (id INT)", "ALTER TABLE patient ADD more INT"],
)
def test_a_program_does_not_change_the_tables_themselves(
    users: Users, program: str, statement: str
) -> None:
    assert number_of(users[program], statement, database="setup_patient") in DENIED


@pytest.mark.parametrize("program", ["gateway", "patient", "doctor", "appointment"])
def test_what_is_in_the_audit_trail_can_be_read_and_added_to_only(
    users: Users, program: str
) -> None:
    for statement in ("INSERT INTO audit VALUES ('new')", "SELECT * FROM audit"):
        assert number_of(users[program], statement, database="setup_audit") is None
    for statement in (
        "DELETE FROM audit",
        "UPDATE audit SET word = 'other'",
        "REPLACE INTO audit VALUES ('other')",
        "TRUNCATE audit",
        "DROP TABLE audit",
    ):
        assert number_of(users[program], statement, database="setup_audit") in DENIED


def test_a_second_time_the_passwords_change_and_who_is_connected_stays(
    environ: Addresses, tmp_path: Path
) -> None:
    set_up(tmp_path, environ)
    before = read(tmp_path)["patient"]
    engine = connect(before["DATABASE_URL"] + "_patient")
    with Connection(before["AMQP_URI"]) as broker, engine.connect() as database:
        queue = Queue("rpc-patient", RPC, routing_key="patient.*", durable=True)
        queue(broker.default_channel).declare()
        database.execute(text("SELECT * FROM patient"))
        set_up(tmp_path, environ)
        after = read(tmp_path)["patient"]
        assert queue(broker.default_channel).get() is None
        database.execute(text("SELECT * FROM patient"))
    engine.dispose()
    assert number_of(before, "SELECT 1", database="setup_patient") == WRONG_PASSWORD
    assert number_of(after, "SELECT 1", database="setup_patient") is None
    with pytest.raises(AccessRefused), Connection(before["AMQP_URI"]) as broker:
        broker.connect()
    with Connection(after["AMQP_URI"]) as broker:
        broker.connect()


def test_rights_that_somebody_added_are_taken_away_again(
    environ: Addresses, tmp_path: Path
) -> None:
    set_up(tmp_path, environ)
    engine = admin_engine(environ)
    with engine.begin() as server:
        server.execute(text("GRANT ALL ON setup_doctor.* TO setup_patient"))
    engine.dispose()
    set_up(tmp_path, environ)
    patient = read(tmp_path)["patient"]
    assert number_of(patient, "SELECT 1", database="setup_doctor") in DENIED
    assert number_of(patient, "SELECT * FROM patient", database="setup_patient") is None


def test_nothing_secret_is_printed(environ: Addresses, tmp_path: Path) -> None:
    printed = set_up(tmp_path, environ)
    for addresses in (*read(tmp_path).values(), environ):
        for name in ("AMQP_URI", "DATABASE_URL", "AMQP_ADMIN_URL"):
            if name in addresses:
                assert str(urlsplit(addresses[name]).password) not in printed


@pytest.mark.parametrize(
    ("setting", "part", "instead", "said"),
    [
        ("AMQP_ADMIN_URL", "clinic:", "nobody:", "must be an administrator"),
        ("AMQP_ADMIN_URL", ":{port}", ":1", "does not answer"),
        ("AMQP_URI", "//", "//away", "does not know the virtual host"),
        ("DATABASE_URL", "clinic:", "nobody:", "error 1045"),
        ("DATABASE_URL", ":{port}", ":1", "is it up"),
        ("DATABASE_URL", "{whole}", "", "DATABASE_URL must be set"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_without_a_password(
    environ: Addresses, tmp_path: Path, setting: str, part: str, instead: str, said: str
) -> None:
    address = environ[setting]
    part = part.format(port=urlsplit(address).port, whole=address)
    head, _, tail = address.rpartition(part)
    ended = subprocess.run(
        clinic("setup", "--into", str(tmp_path)),
        env={**environ, setting: f"{head}{instead}{tail}"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ") and ended.stderr.count("\n") == 1, ended.stderr
    assert said in ended.stderr
    assert str(urlsplit(address).password) not in ended.stderr


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_changed(
    environ: Addresses, tmp_path: Path
) -> None:
    set_up(tmp_path, environ)
    patient = read(tmp_path)["patient"]
    (tmp_path / "file").touch()
    ended = subprocess.run(
        clinic("setup", "--into", str(tmp_path / "file" / "programs")),
        env=environ,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: --into: ") and "no user was changed" in line
    with Connection(patient["AMQP_URI"]) as broker:
        broker.connect()
    assert number_of(patient, "SELECT 1", database="setup_patient") is None


@pytest.fixture
def operator(stack: System) -> str:
    """The operator's way to the broker of a system that runs."""
    own = kept_values(stack.logs / "programs" / "operator.env")
    assert set(own) == {"AMQP_URI"}
    return own["AMQP_URI"]


def test_the_operator_calls_services_and_nothing_more(operator: str) -> None:
    with ClusterRpcProxy({"AMQP_URI": operator}, timeout=PATIENCE) as rpc:
        with pytest.raises(PatientNotFound):
            rpc.patient.get(2**62)
    with Connection(operator) as broker, pytest.raises(AccessRefused):
        broker.default_channel.basic_get("rpc-patient")


def test_the_rights_suffice_to_book_and_to_tell_of_it(
    operator: str, addresses: Addresses
) -> None:
    person = {"name": "Ada Byron", "phone": "+442079460958"}
    with (
        Connection(addresses["AMQP_URI"]) as admin,
        ClusterRpcProxy({"AMQP_URI": operator}, timeout=PATIENCE) as rpc,
    ):
        told = Queue("", exclusive=True)(admin.default_channel)
        told.declare()
        for source in ("patient", "doctor", "appointment"):
            Exchange(f"{source}.events", type="topic")(admin.default_channel).declare()
            told.bind_to(f"{source}.events", routing_key="#")
        patient = rpc.patient.create(person | {"dob": "1985-12-10", "address": "Square 1"})
        doctor = rpc.doctor.create(person | {"speciality": "General practice"})
        date = f"{utc_now().year + 2}-03-01T10:00:00Z"
        rpc.appointment.schedule(
            {
                "patientId": patient["id"],
                "doctorId": doctor["id"],
                "date": date,
                "description": "Check-up",
            }
        )
        events: set[str] = set()
        until = time.monotonic() + PATIENCE
        while events != {"registered", "scheduled"} and time.monotonic() < until:
            message = told.get(no_ack=True)
            if message is None:
                time.sleep(0.05)
            else:
                events.add(message.delivery_info["routing_key"])
    assert events == {"registered", "scheduled"}


def test_an_answer_that_would_be_taken_for_a_call_is_not_sent(
    operator: str, stack: System
) -> None:
    with Connection(operator) as broker:
        broker.Producer().publish(
            {"args": [], "kwargs": {}},
            exchange="nameko-rpc",
            routing_key="patient.health",
            reply_to="doctor.health",
            serializer="json",
        )
    with ClusterRpcProxy({"AMQP_URI": operator}, timeout=PATIENCE) as rpc:
        # It comes after the other one, and is answered.
        assert rpc.patient.health() == "ok"
    assert '"no reply_to"' in stack.log_text()
