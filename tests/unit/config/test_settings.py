"""Every setting is read once, and a wrong one stops the start by its name."""

import dataclasses
from pathlib import Path

import pytest

from config.keys import KeyRing, Keys, new_secret, parse_ring
from config.settings import (
    KEYS,
    SERVERS,
    SERVICE_KEYS,
    VARIABLES,
    Settings,
    SettingsError,
    beside_stack,
    database_settings,
    embedded_settings,
    local_settings,
    real_settings,
    stack_file,
    with_keys,
)

NAMES = tuple(variable.name for variable in VARIABLES)
PASSWORD = "jumpy-otter-58"
ADDRESSES = {
    "AMQP_URI": f"amqp://clinic:{PASSWORD}@rabbit:5672/",
    "DATABASE_URL": f"mysql+pymysql://clinic:p%40ss%2F{PASSWORD}@mysql:3306/clinic",
    "REDIS_URL": f"redis://:{PASSWORD}@redis:6379/0",
}
RINGS = {name: f"1:{name}-hTq0bVx4ZkR7mWc9JfNs2LgYpD5aEu8i" for name in KEYS}
REAL = ADDRESSES | RINGS
# Signed by nobody that anybody trusts, for a machine that does not exist.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBFzCBvaADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCXRlc3Qgb25s
eTAgFw0yNjAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ
dGVzdCBvbmx5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOGlm56HyogELmNFm
cUZcKcixrbKK7yBB3LPUgLGHJn62/BZnpfz2oD3by8VATh8tHCH69w/vXvo+O28j
XOPYpzAKBggqhkjOPQQDAgNJADBGAiEAteTxcw4MiRgniDDcv9cu0eMZpxvMvAa1
/JgARMlKvTACIQCeZPftgSB/RRWJdOFs5wOEViUFJ60sT/PLvCjoeYFdVg==
-----END CERTIFICATE-----
"""


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
            "CANCEL_NOTICE_MINUTES": "60",
            "REMINDER_MINUTES": "30, 2880,30",
            "PHONE_REGION": "DE",
            "LOG_FORMAT": "text",
            "LOG_LEVEL": "debug",
            "GATEWAY_WORKERS": "4",
            "SERVICE_WORKERS": "20",
            "CALL_SECONDS": "2.5",
            "PEER_SECONDS": "1",
            "ADMIN_EMAIL": "admin@example.org",
            "ADMIN_PASSWORD": PASSWORD,
            "ACCESS_MINUTES": "5",
            "SESSION_DAYS": "1",
            "AUTH_RATE_LIMIT_PER_MINUTE": "600",
            "TRUSTED_PROXIES": "2",
            "CORS_ORIGINS": "https://a.example, http://b.example:8080",
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
        cancel_notice_minutes=60,
        reminder_minutes=(2880, 30),
        phone_region="DE",
        log_format="text",
        log_level="DEBUG",
        gateway_workers=4,
        service_workers=20,
        call_seconds=2.5,
        peer_seconds=1.0,
        admin_email="admin@example.org",
        admin_password=PASSWORD,
        access_minutes=5,
        session_days=1,
        auth_rate_limit_per_minute=600,
        trusted_proxies=2,
        cors_origins=frozenset(("https://a.example", "http://b.example:8080")),
    )


@pytest.mark.parametrize(
    "name", ["PHONE_REGION", "TLS_CA_FILE", "ADMIN_EMAIL", "ADMIN_PASSWORD"]
)
def test_a_setting_that_may_be_left_out_may_also_be_empty(environment, name):
    environment({name: ""})
    assert getattr(embedded_settings(), name.lower()) is None


def test_no_origin_may_call_unless_one_is_named(environment):
    assert embedded_settings().cors_origins == frozenset()
    environment({"CORS_ORIGINS": " , "})
    assert embedded_settings().cors_origins == frozenset()


def test_patients_may_be_let_cancel_until_the_start(environment):
    assert embedded_settings().cancel_notice_minutes == 24 * 60
    environment({"CANCEL_NOTICE_MINUTES": "0"})
    assert embedded_settings().cancel_notice_minutes == 0


def test_nobody_is_reminded_when_no_time_is_named(environment):
    assert embedded_settings().reminder_minutes == (1440, 120)
    environment({"REMINDER_MINUTES": " "})
    assert embedded_settings().reminder_minutes == ()


def test_without_a_word_about_proxies_none_is_trusted():
    assert embedded_settings().trusted_proxies == 0


def test_a_first_administrator_is_made_when_named(environment):
    assert embedded_settings().admin_email is None
    environment({"ADMIN_EMAIL": "admin@example.org", "ADMIN_PASSWORD": "x" * 12})
    assert embedded_settings().admin_email == "admin@example.org"


@pytest.mark.parametrize("name", ["ADMIN_EMAIL", "ADMIN_PASSWORD"])
def test_an_administrator_needs_both_an_address_and_a_password(environment, name):
    environment({name: PASSWORD})
    text = refusal(embedded_settings)
    assert text.startswith("ADMIN_EMAIL and ADMIN_PASSWORD must be set together")
    assert PASSWORD not in text


def test_an_administrators_password_is_not_short_and_not_shown(environment):
    environment({"ADMIN_EMAIL": "admin@example.org", "ADMIN_PASSWORD": "eleven-long"})
    text = refusal(embedded_settings)
    assert text.startswith("ADMIN_PASSWORD must have at least 12 characters")
    assert "eleven" not in text


def test_certificates_are_read_at_the_start(environment, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text(CERTIFICATE)
    environment({"TLS_CA_FILE": str(file)})
    assert embedded_settings().tls_ca_file == str(file)


@pytest.mark.parametrize("content", [None, "", "no certificate", CERTIFICATE[:200]])
def test_a_file_without_certificates_is_no_file_of_certificates(environment, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    environment({"TLS_CA_FILE": str(file)})
    assert refusal(embedded_settings).startswith("TLS_CA_FILE must name a file with certificates")


def test_a_folder_is_no_file_of_certificates(environment, tmp_path):
    environment({"TLS_CA_FILE": str(tmp_path)})
    assert refusal(embedded_settings).startswith("TLS_CA_FILE")


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
        # These mean whatever the machine takes them for.
        ("CLINIC_TIMEZONE", "localtime"),
        ("CLINIC_TIMEZONE", "Factory"),
        ("CANCEL_NOTICE_MINUTES", "-1"),
        ("CANCEL_NOTICE_MINUTES", "a day"),
        ("CANCEL_NOTICE_MINUTES", "525601"),
        ("REMINDER_MINUTES", "0"),
        ("REMINDER_MINUTES", "-120"),
        ("REMINDER_MINUTES", "24h"),
        ("REMINDER_MINUTES", "1440;120"),
        # More than a year.
        ("REMINDER_MINUTES", "525601"),
        ("EVENT_RETRY_SECONDS", ""),
        ("EVENT_RETRY_SECONDS", "5,,30"),
        ("EVENT_RETRY_SECONDS", "0"),
        ("EVENT_RETRY_SECONDS", "86401"),
        ("EVENT_DAYS", "0"),
        ("QUEUE_TYPE", "stream"),
        ("OPERATIONS_PORT", "70000"),
        ("OPERATIONS_PORT", "8000"),
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
        ("ACCESS_MINUTES", "0"),
        ("ACCESS_MINUTES", "-15"),
        ("ACCESS_MINUTES", "1.5"),
        ("SESSION_DAYS", "0"),
        ("SESSION_DAYS", "two weeks"),
        ("AUTH_RATE_LIMIT_PER_MINUTE", "0"),
        ("AUTH_RATE_LIMIT_PER_MINUTE", "none"),
        ("TRUSTED_PROXIES", "-1"),
        ("TRUSTED_PROXIES", "10.0.0.1"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "a.example"),
        ("CORS_ORIGINS", "https://a.example/"),
        ("CORS_ORIGINS", "https://*.example"),
        ("CORS_ORIGINS", "https://a.example b.example"),
        ("CORS_ORIGINS", "https://a.example,file://b"),
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
        ADDRESSES["DATABASE_URL"] + "_patient"
    )


@pytest.mark.parametrize("path", ["", "/"])
def test_the_databases_are_named_after_the_clinic_when_none_is_named(environment, path):
    environment(REAL | {"DATABASE_URL": f"mysql+pymysql://clinic:{PASSWORD}@mysql{path}"})
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
        ("AMQP_URI", "http://clinic:jumpy-otter-58@rabbit"),
        ("AMQP_URI", "memory://localhost/"),
        ("AMQP_URI", "rabbit:5672"),
        ("AMQP_URI", "amqp:///"),
        ("AMQP_URI", "amqp://clinic:jumpy-otter-58@[rabbit"),
        ("AMQP_URI", "amqp://clinic:jumpy-otter-58@rabbit:port"),
        # As they are when a password's own slash is not written %2F.
        ("AMQP_URI", "amqp://clinic:jumpy/otter-58@rabbit:5672/"),
        ("AMQP_URI", "amqp://clinic:jumpy-otter-58@rabb\u2100it/"),
        ("REDIS_URL", "redis://:jumpy/otter-58@redis:6379/0"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("REDIS_URL", "redis:6379"),
        ("REDIS_URL", "http://:jumpy-otter-58@redis"),
        ("DATABASE_URL", "clinic"),
        ("DATABASE_URL", "sqlite:///clinic:jumpy-otter-58.sqlite3"),
        ("DATABASE_URL", "mysql://clinic:jumpy-otter-58@mysql/clinic"),
        ("DATABASE_URL", "postgresql://clinic:jumpy-otter-58@postgres/clinic"),
    ],
)
def test_an_address_of_another_kind_is_named_and_not_shown(environment, name, address):
    environment(REAL | {name: address})
    text = refusal(real_settings)
    assert text.startswith(f"{name} must look like")
    assert "jumpy" not in text


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("AMQP_URI", "amqp"), ("AMQP_URI", "amqps"), ("REDIS_URL", "redis"), ("REDIS_URL", "rediss")],
)
def test_servers_are_spoken_to_with_and_without_tls(environment, name, scheme):
    address = f"{scheme}://clinic:{PASSWORD}@server"
    environment(REAL | {name: address})
    assert getattr(real_settings(), name.lower()) == address


def server_with(name, login, host):
    """The address ``name`` with another login and host."""
    scheme, _, rest = ADDRESSES[name].partition("://")
    return f"{scheme}://{login}@{host}{rest.partition('@')[2].lstrip('abcdefghijklmnopqrstuvwxyz')}"


WEAK_LOGINS = [
    "clinic", "clinic:", "guest:guest", "root:root", "clinic:secret", "clinic:eleven-long",
    # guest, written another way.
    "guest:%67uest", "guest:%67%75%65%73%74",
]


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("login", WEAK_LOGINS)
def test_a_server_on_another_machine_needs_a_password_of_its_own(environment, name, login):
    environment(REAL | {name: server_with(name, login, "10.0.0.7")})
    text = refusal(real_settings)
    assert text.startswith(f"{name} must carry a password of at least 12 characters")
    assert "eleven" not in text and "10.0.0.7" not in text


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_on_another_machine_needs_some_password(environment, name):
    scheme = ADDRESSES[name].partition("://")[0]
    environment(REAL | {name: f"{scheme}://server/"})
    assert refusal(real_settings).startswith(f"{name} must carry a password")


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("login", WEAK_LOGINS)
def test_a_server_on_this_machine_may_keep_what_it_came_with_if_told_so(
    environment, name, login, host
):
    address = server_with(name, login, host)
    environment(REAL | {name: address})
    assert refusal(real_settings).startswith(f"{name} must carry a password")
    environment({"TRUST_LOCAL_SERVERS": "true"})
    assert getattr(real_settings(), name.lower()) == address


@pytest.mark.parametrize("host", ["rabbit.example.org", "localhost"])
def test_a_default_password_is_not_better_for_being_said_three_times(environment, host):
    environment(REAL | {"AMQP_URI": f"amqp://guest:guestguestguest@{host}/"})
    assert refusal(real_settings).startswith("AMQP_URI must carry a password")


def test_trust_is_true_or_false(environment):
    environment(REAL | {"TRUST_LOCAL_SERVERS": "perhaps"})
    assert "TRUST_LOCAL_SERVERS" in refusal(real_settings)


def test_one_index_key_is_all_there_can_be():
    rings = RINGS | {"INDEX_KEYS": f"2:{new_secret()},{RINGS['INDEX_KEYS']}"}
    text = refusal(lambda: with_keys(embedded_settings(), rings))
    assert text.startswith("INDEX_KEYS must hold one key")


@pytest.mark.parametrize("host", ["localhost.example.org", "127.0.0.1.example.org", "0.0.0.0"])
def test_a_name_that_looks_like_this_machine_is_not_this_machine(environment, host):
    environment(REAL | {"TRUST_LOCAL_SERVERS": "true", "AMQP_URI": f"amqp://guest:guest@{host}/"})
    assert refusal(real_settings).startswith("AMQP_URI must carry a password")


def test_addresses_are_checked_where_servers_are_started_too(environment):
    environment({"AMQP_URI": "amqp://guest:guest@10.0.0.7/"})
    assert refusal(local_settings).startswith("AMQP_URI must carry a password")
    environment({"AMQP_URI": ""})
    assert local_settings().amqp_uri == ""


# Key rings


def test_each_ring_is_read_from_its_own_setting(environment):
    environment(REAL)
    keys = real_settings().keys
    assert keys == Keys(
        token=parse_ring(RINGS["TOKEN_KEYS"]),
        caller=parse_ring(RINGS["CALLER_KEYS"]),
        data=parse_ring(RINGS["DATA_KEYS"]),
        index=parse_ring(RINGS["INDEX_KEYS"]),
        audit=parse_ring(RINGS["AUDIT_KEYS"]),
    )


@pytest.mark.parametrize("empty", [True, False])
def test_all_missing_rings_are_named_at_once(environment, empty):
    environment(ADDRESSES | (dict.fromkeys(KEYS, "") if empty else {}))
    assert refusal(real_settings).startswith(
        "CALLER_KEYS, DATA_KEYS, INDEX_KEYS and AUDIT_KEYS must be set; `clinic keys`"
    )


@pytest.mark.parametrize("name", SERVICE_KEYS)
def test_a_missing_ring_is_the_only_one_named(environment, name):
    environment({other: value for other, value in REAL.items() if other != name})
    assert refusal(real_settings).startswith(f"{name} must be set")


def test_the_gateway_alone_needs_the_keys_of_tokens(environment):
    environment({name: value for name, value in REAL.items() if name != "TOKEN_KEYS"})
    assert real_settings().keys.token == KeyRing()
    assert refusal(lambda: real_settings(keys=KEYS)).startswith("TOKEN_KEYS must be set")


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    "ring", ["jumpy", "1:jumpy", "1:", ":jumpy-otter-58", ",", "1:" + "jumpy" * 8]
)
def test_a_ring_that_cannot_be_used_is_named_and_not_shown(environment, name, ring):
    environment(REAL | {name: ring})
    text = refusal(real_settings)
    assert text.startswith(f"{name} ")
    assert "jumpy" not in text


def test_the_embedded_mode_takes_no_keys_from_the_environment(environment):
    environment(RINGS)
    assert embedded_settings().keys == Keys()


def test_rings_are_given_to_settings_afterwards():
    settings = embedded_settings()
    keyed = with_keys(settings, RINGS)
    assert keyed.keys.data == parse_ring(RINGS["DATA_KEYS"])
    assert dataclasses.replace(keyed, keys=Keys()) == settings


def test_a_ring_given_afterwards_is_checked_and_may_be_left_out():
    settings = embedded_settings()
    text = refusal(lambda: with_keys(settings, {"INDEX_KEYS": "1:jumpy"}))
    assert text.startswith("INDEX_KEYS needs secrets of at least 32") and "jumpy" not in text
    only = {"DATA_KEYS": RINGS["DATA_KEYS"], "INDEX_KEYS": ""}
    assert with_keys(settings, only).keys == Keys(data=parse_ring(RINGS["DATA_KEYS"]))


def test_no_secret_is_shown_with_the_settings(environment):
    environment(REAL | {"ADMIN_EMAIL": "ada@example.org", "ADMIN_PASSWORD": "quiet-heron-31"})
    shown = repr(real_settings(keys=KEYS))
    assert "host='127.0.0.1'" in shown
    for secret in (PASSWORD, "quiet-heron-31", "ada@", "hTq0bVx4", *ADDRESSES.values()):
        assert secret not in shown


def test_other_settings_are_checked_in_the_real_mode_too(environment):
    environment(REAL | {"PORT": "0"})
    assert "PORT" in refusal(real_settings)


# A stack that runs here


def test_addresses_of_a_running_stack_are_taken_where_none_are_named(environment, tmp_path):
    own = "redis://:another-password@127.0.0.1:1/0"
    environment({"DATA_DIR": str(tmp_path), "REDIS_URL": own})
    lines = [f"{name}={address}\n" for name, address in ADDRESSES.items()]
    stack_file(tmp_path).write_text("".join(lines))
    settings = beside_stack()
    assert settings.amqp_uri == REAL["AMQP_URI"]
    assert settings.database_url == REAL["DATABASE_URL"]
    assert settings.redis_url == own


def test_beside_no_stack_the_missing_servers_are_named(environment, tmp_path):
    environment({"DATA_DIR": str(tmp_path), "REDIS_URL": REAL["REDIS_URL"]})
    assert refusal(beside_stack).startswith("AMQP_URI and DATABASE_URL must be set")


# Commands on the databases alone


@pytest.fixture
def running_stack(environment, tmp_path):
    environment({"DATA_DIR": str(tmp_path)})
    for file, values in ((stack_file(tmp_path), ADDRESSES), (tmp_path / "keys.env", RINGS)):
        file.write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def test_only_the_database_and_the_keys_that_are_asked_for_are_needed(environment, tmp_path):
    own = {name: REAL[name] for name in ("DATABASE_URL", "AUDIT_KEYS")}
    environment({"DATA_DIR": str(tmp_path), **own})
    for read in (
        lambda: database_settings(("AUDIT_KEYS",)),
        lambda: real_settings(keys=("AUDIT_KEYS",), servers=("DATABASE_URL",)),
    ):
        settings = read()
        assert settings.database_url == REAL["DATABASE_URL"]
        assert settings.keys == Keys(audit=parse_ring(RINGS["AUDIT_KEYS"]))
        assert settings.database("audit").host == "mysql"
    assert refusal(lambda: database_settings(("DATA_KEYS",))).startswith("DATA_KEYS must be set")


def test_an_address_that_is_not_needed_is_not_looked_at(environment):
    environment(REAL | {"AMQP_URI": "junk", "REDIS_URL": "junk"})
    settings = real_settings(servers=("DATABASE_URL",))
    assert (settings.amqp_uri, settings.redis_url, settings.embedded) == ("", "", False)


def test_database_and_keys_are_taken_from_the_stack_that_runs_here(running_stack):
    settings = database_settings(("AUDIT_KEYS",))
    assert settings.database_url == REAL["DATABASE_URL"]
    assert settings.keys.audit == parse_ring(RINGS["AUDIT_KEYS"])


def test_keys_that_the_stack_was_given_come_before_those_it_keeps(running_stack, environment):
    ring = f"9:{new_secret()}"
    environment({"AUDIT_KEYS": ring, "DATABASE_URL": REAL["DATABASE_URL"]})
    settings = database_settings(("AUDIT_KEYS", "DATA_KEYS"))
    assert settings.keys.audit == parse_ring(ring)
    assert settings.keys.data == parse_ring(RINGS["DATA_KEYS"])


def test_the_keys_of_a_stack_are_not_used_on_another_server(running_stack, environment):
    environment({"DATABASE_URL": REAL["DATABASE_URL"].replace("@mysql", "@elsewhere")})
    assert refusal(lambda: database_settings(("DATA_KEYS",))).startswith("DATA_KEYS must be set")


@pytest.mark.parametrize("address", ["mysql+pymysql://u:p@h:abc/db", "mysql+pymysql://u:p@h:/db"])
def test_a_database_address_with_a_broken_port_is_named(environment, address):
    environment(REAL | {"DATABASE_URL": address})
    assert refusal(real_settings).startswith("DATABASE_URL must look like")


def test_an_empty_host_does_not_mean_every_address(environment):
    environment({"HOST": ""})
    assert refusal(embedded_settings).startswith("HOST")


def test_rings_that_share_a_secret_are_named_and_it_is_not_shown():
    secret = RINGS["TOKEN_KEYS"].partition(":")[2]
    shared = RINGS | {"CALLER_KEYS": f"{RINGS['CALLER_KEYS']},9:{secret}"}
    text = refusal(lambda: with_keys(embedded_settings(), shared))
    assert text == "TOKEN_KEYS and CALLER_KEYS must not share a secret."
