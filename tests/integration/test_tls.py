"""Over TLS, each server must prove to be the one that was named, to each of our ways to it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError as DatabaseError

from config.broker_users import SetupRefused, broker_admin
from config.database import connect
from config.messaging.connection import open_connection
from config.migration import upgrade
from config.programs import catalogue
from config.redis_client import redis_client
from config.servers import Certificates, started
from config.settings import Settings
from tests.certificates import certificates
from tests.systems import real_system
from tests.waiting import PATIENCE

Addresses = dict[str, str]
HOST = "127.0.0.1"
OURS = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"), address=HOST)


@pytest.fixture(scope="module")
def secure(
    server_programs: None, made: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Addresses]:
    """Servers that speak TLS only, and whom they are to be known by."""
    folder, environ = tmp_path_factory.mktemp("secure"), {"PATH": os.environ["PATH"]}
    with started(folder=folder, environ=environ, say=quiet, certificates=made) as addresses:
        yield {**addresses, "TLS_CA_FILE": str(made.ca)}


def quiet(line: str) -> None:
    """Nobody listens to the progress."""


@pytest.fixture
def settings(secure: Addresses) -> Settings:
    return Settings(
        host=HOST,
        port=8000,
        data_dir=Path("/nowhere"),
        amqp_uri=secure["AMQP_URI"],
        database_url=secure["DATABASE_URL"],
        redis_url=secure["REDIS_URL"],
        amqp_admin_url=secure["AMQP_ADMIN_URL"],
        clinic_timezone="UTC",
        phone_region=None,
        log_format="json",
        log_level="INFO",
        gateway_workers=1,
        service_workers=1,
        call_seconds=5.0,
        peer_seconds=2.0,
        tls_ca_file=secure["TLS_CA_FILE"],
    )


def ask_broker(settings: Settings) -> None:
    connection = open_connection(settings.amqp_uri, seconds=PATIENCE, ca_file=settings.tls_ca_file)
    connection.channel()
    connection.release()


def ask_broker_api(settings: Settings) -> None:
    with broker_admin(settings.amqp_admin_url, vhost="/", ca_file=settings.tls_ca_file):
        pass


def ask_database(settings: Settings) -> None:
    # The system's own database, without the service's name behind it.
    url = settings.database("x").set(database="mysql")
    engine = connect(url.render_as_string(hide_password=False))
    try:
        with engine.connect() as connection:
            assert connection.scalars(text("SHOW STATUS LIKE 'Ssl_cipher'")).one()
    finally:
        engine.dispose()


def ask_redis(settings: Settings) -> None:
    with redis_client(settings.redis_url, settings.tls_ca_file) as client:
        assert client.ping()


REFUSALS = (BrokerError, OSError, DatabaseError, RedisError, SetupRefused)
each_server = pytest.mark.parametrize(
    "ask", [ask_broker, ask_broker_api, ask_database, ask_redis], ids=lambda ask: ask.__name__
)
Ask = Callable[[Settings], None]


def refusal(ask: Ask, settings: Settings) -> str:
    with pytest.raises(REFUSALS) as refused:
        ask(settings)
    return str(refused.value)


@each_server
def test_the_server_that_was_named_is_spoken_to(settings: Settings, ask: Ask) -> None:
    ask(settings)


@each_server
def test_a_server_that_another_authority_signed_for_is_refused(
    settings: Settings, ask: Ask, tmp_path: Path
) -> None:
    other = certificates(tmp_path, address=HOST)
    said = refusal(ask, replace(settings, tls_ca_file=str(other.ca)))
    assert "certificate verify failed" in said.lower()


@each_server
def test_a_server_of_another_name_is_refused(settings: Settings, ask: Ask) -> None:
    elsewhere = {
        name: getattr(settings, name).replace(f"@{HOST}", "@localhost")
        for name in ("amqp_uri", "database_url", "redis_url", "amqp_admin_url")
    }
    said = refusal(ask, replace(settings, **elsewhere))
    assert "not valid for 'localhost'" in said


@pytest.mark.parametrize("ask", [ask_broker, ask_broker_api, ask_redis])
def test_without_a_file_a_server_must_be_known_to_this_machine(
    settings: Settings, ask: Ask
) -> None:
    assert "certificate verify failed" in refusal(ask, replace(settings, tls_ca_file=None)).lower()


def test_what_the_address_says_of_verification_does_not_count(
    settings: Settings, tmp_path: Path
) -> None:
    careless = replace(
        settings,
        tls_ca_file=str(certificates(tmp_path, address=HOST).ca),
        database_url=f"{settings.database_url}?ssl_check_hostname=false&ssl_disabled=true",
        redis_url=f"{settings.redis_url}?ssl_cert_reqs=none&ssl_check_hostname=false",
    )
    for ask in (ask_database, ask_redis):
        assert "certificate verify failed" in refusal(ask, careless).lower()


ASK_BOTH = """
import ssl
from config.messaging.connection import open_connection
from config.redis_client import redis_client
from config.settings import real_settings

settings = real_settings(keys=())
assert ssl.create_default_context().get_ca_certs()
for ask in (
    lambda: redis_client(settings.redis_url, settings.tls_ca_file).ping(),
    lambda: open_connection(settings.amqp_uri, seconds=10, ca_file=settings.tls_ca_file),
):
    try:
        ask()
    except Exception as refused:
        print("refused:", "certificate verify failed" in str(refused).lower())
"""


def test_once_a_file_is_set_the_machines_own_certificates_do_not_count(
    settings: Settings, secure: Addresses, tmp_path: Path
) -> None:
    other = certificates(tmp_path, address=HOST)
    environ = {**secure, "SSL_CERT_FILE": secure["TLS_CA_FILE"], "TLS_CA_FILE": str(other.ca)}
    printed = subprocess.run(
        [sys.executable, "-c", ASK_BOTH], env=environ, cwd=OURS, capture_output=True, text=True
    )
    assert printed.stdout == "refused: True\n" * 2, printed.stderr


def test_a_database_that_does_not_speak_tls_is_refused_once_a_file_is_set(
    server_programs: None, settings: Settings, secure: Addresses, tmp_path: Path
) -> None:
    only_database = {**os.environ, **secure, "DATABASE_URL": ""}
    with started(folder=tmp_path, environ=only_database, say=quiet) as plain:
        without = replace(settings, database_url=plain["DATABASE_URL"], tls_ca_file=None)
        ask_plainly(without)
        asked = replace(without, tls_ca_file=settings.tls_ca_file)
        assert "SSL is required" in refusal(ask_database, asked)


def ask_plainly(settings: Settings) -> None:
    url = settings.database("x").set(database="mysql")
    connect(url.render_as_string(hide_password=False)).connect().close()


def test_databases_are_made_and_migrated_over_tls(settings: Settings) -> None:
    upgrade(scripts=catalogue().databases["audit"], url=settings.database("audit"))
    ask_database(settings)


def test_the_whole_system_works_over_tls_with_users_made_over_tls(
    secure: Addresses, tmp_path: Path
) -> None:
    with real_system(tmp_path, secure) as system, system.client() as client:
        checks = client.get("/readyz").json()["checks"]
        assert set(checks.values()) == {"ok"}
        assert {"broker", "patient", "doctor", "appointment"} <= set(checks)
