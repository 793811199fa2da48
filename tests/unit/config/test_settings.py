"""Every setting is read once, and a wrong one stops the start by its name."""

import dataclasses
from pathlib import Path

import pytest

from config.settings import (
    SERVERS,
    Settings,
    SettingsError,
    beside_stack,
    embedded_settings,
    real_settings,
    stack_file,
)

# The servers, and what each other setting is called.
NAMES = (*SERVERS, *(field.name.upper() for field in dataclasses.fields(Settings)))
REAL = {
    "AMQP_URI": "amqp://clinic:secret@rabbit:5672/",
    "DATABASE_URL": "mysql+pymysql://clinic:p%40ss%2Fword@mysql:3306/clinic",
    "REDIS_URL": "redis://:secret@redis:6379/0",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Starts with none of our settings; what a test or the code adds is gone afterwards."""

    def set_all(values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return set_all


def refusal(read):
    with pytest.raises(SettingsError) as refused:
        read()
    return str(refused.value)


# Embedded


def test_without_any_setting_the_embedded_mode_can_start():
    settings = embedded_settings()
    assert settings.embedded
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.data_dir == Path(".data")
    assert (settings.clinic_timezone, settings.phone_region) == ("UTC", None)


def test_the_embedded_mode_looks_at_no_server(environment):
    environment(REAL)
    settings = embedded_settings()
    assert settings.embedded
    assert (settings.database_url, settings.redis_url) == ("", "")


def test_each_service_has_a_file_of_its_own_in_the_embedded_mode(environment):
    environment({"DATA_DIR": "/var/lib/clinic"})
    url = embedded_settings().database("patient")
    assert url.get_backend_name() == "sqlite"
    assert url.database == "/var/lib/clinic/patient.sqlite3"


def test_settings_are_taken_from_the_environment(environment):
    environment(
        {
            "HOST": "0.0.0.0",
            "PORT": "65535",
            "DATA_DIR": "/tmp/clinic",
            "CLINIC_TIMEZONE": "Europe/Berlin",
            "PHONE_REGION": "DE",
            "LOG_FORMAT": "text",
            "LOG_LEVEL": "debug",
            "GATEWAY_WORKERS": "4",
            "SERVICE_WORKERS": "20",
            "CALL_SECONDS": "2.5",
            "PEER_SECONDS": "1",
        }
    )
    assert embedded_settings() == Settings(
        host="0.0.0.0",
        port=65535,
        data_dir=Path("/tmp/clinic"),
        amqp_uri="memory://localhost/",
        database_url="",
        redis_url="",
        clinic_timezone="Europe/Berlin",
        phone_region="DE",
        log_format="text",
        log_level="DEBUG",
        gateway_workers=4,
        service_workers=20,
        call_seconds=2.5,
        peer_seconds=1.0,
    )


def test_an_empty_phone_region_is_none(environment):
    environment({"PHONE_REGION": ""})
    assert embedded_settings().phone_region is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("PORT", "8000.5"),
        ("PORT", ""),
        ("CLINIC_TIMEZONE", "Europe/Atlantis"),
        ("CLINIC_TIMEZONE", ""),
        ("PHONE_REGION", "XX"),
        ("PHONE_REGION", "Germany"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_LEVEL", ""),
        ("GATEWAY_WORKERS", "0"),
        ("GATEWAY_WORKERS", "many"),
        ("SERVICE_WORKERS", "-1"),
        ("CALL_SECONDS", "0"),
        ("CALL_SECONDS", "nan"),
        ("CALL_SECONDS", "inf"),
        ("PEER_SECONDS", "-0.5"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(environment, name, value):
    environment({name: value})
    assert name in refusal(embedded_settings)


def test_settings_do_not_change_after_the_start():
    with pytest.raises(dataclasses.FrozenInstanceError):
        embedded_settings().port = 1


# Real


def test_three_servers_make_the_real_mode(environment):
    environment(REAL)
    settings = real_settings()
    assert not settings.embedded
    assert settings.amqp_uri == REAL["AMQP_URI"]
    assert settings.redis_url == REAL["REDIS_URL"]


def test_each_service_has_a_database_of_its_own_with_the_same_login(environment):
    environment(REAL)
    url = real_settings().database("patient")
    assert url.render_as_string(hide_password=False) == (
        "mysql+pymysql://clinic:p%40ss%2Fword@mysql:3306/clinic_patient"
    )


@pytest.mark.parametrize("path", ["", "/"])
def test_the_databases_are_named_after_the_clinic_when_none_is_named(environment, path):
    environment(REAL | {"DATABASE_URL": f"mysql+pymysql://clinic@mysql{path}"})
    assert real_settings().database("doctor").database == "clinic_doctor"


@pytest.mark.parametrize("empty", [True, False])
def test_all_missing_servers_are_named_at_once(environment, empty):
    environment(dict.fromkeys(SERVERS, "") if empty else {})
    assert refusal(real_settings).startswith("AMQP_URI, DATABASE_URL and REDIS_URL must be set")


@pytest.mark.parametrize("name", SERVERS)
def test_a_missing_server_is_the_only_one_named(environment, name):
    environment({other: value for other, value in REAL.items() if other != name})
    assert refusal(real_settings).startswith(f"{name} must be set")


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("AMQP_URI", "http://clinic:secret@rabbit"),
        ("AMQP_URI", "memory://localhost/"),
        ("AMQP_URI", "rabbit:5672"),
        ("REDIS_URL", "redis:6379"),
        ("REDIS_URL", "http://:secret@redis"),
        ("DATABASE_URL", "clinic"),
        ("DATABASE_URL", "sqlite:///clinic:secret.sqlite3"),
        ("DATABASE_URL", "mysql://clinic:secret@mysql/clinic"),
        ("DATABASE_URL", "postgresql://clinic:secret@postgres/clinic"),
    ],
)
def test_an_address_of_another_kind_is_named_and_not_shown(environment, name, address):
    environment(REAL | {name: address})
    text = refusal(real_settings)
    assert text.startswith(f"{name} must look like")
    assert "secret" not in text


@pytest.mark.parametrize("address", ["amqps://rabbit/", "amqp://rabbit"])
def test_rabbitmq_is_spoken_to_with_and_without_tls(environment, address):
    environment(REAL | {"AMQP_URI": address})
    assert real_settings().amqp_uri == address


def test_other_settings_are_checked_in_the_real_mode_too(environment):
    environment(REAL | {"PORT": "0"})
    assert "PORT" in refusal(real_settings)


# A stack that runs here


def test_addresses_of_a_running_stack_are_taken_where_none_are_named(environment, tmp_path):
    environment({"DATA_DIR": str(tmp_path), "REDIS_URL": "redis://named:6379/0"})
    lines = [f"{name}={address}\n" for name, address in REAL.items()]
    stack_file(tmp_path).write_text("".join(lines))
    settings = beside_stack()
    assert settings.amqp_uri == REAL["AMQP_URI"]
    assert settings.database_url == REAL["DATABASE_URL"]
    assert settings.redis_url == "redis://named:6379/0"


def test_beside_no_stack_the_missing_servers_are_named(environment, tmp_path):
    environment({"DATA_DIR": str(tmp_path), "REDIS_URL": REAL["REDIS_URL"]})
    assert refusal(beside_stack).startswith("AMQP_URI and DATABASE_URL must be set")


@pytest.mark.parametrize("address", ["mysql+pymysql://u:p@h:abc/db", "mysql+pymysql://u:p@h:/db"])
def test_a_database_address_with_a_broken_port_is_named(environment, address):
    environment(REAL | {"DATABASE_URL": address})
    assert refusal(real_settings).startswith("DATABASE_URL")


def test_an_empty_host_does_not_mean_every_address(environment):
    environment({"HOST": ""})
    assert refusal(embedded_settings).startswith("HOST")
