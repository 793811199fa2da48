"""Each program of a local stack gets its own secrets only."""

import pytest

from config.environments import administrator, environment_of, keep, kept_values
from config.settings import KEYS, SERVICE_KEYS, local_settings

EVERYTHING = {
    **dict.fromkeys(KEYS, "ring"),
    "ADMIN_EMAIL": "a@clinic.example",
    "ADMIN_PASSWORD": "secret",
    "AMQP_ADMIN_URL": "http://admin:secret@rabbit:15672",
    "AMQP_URI": "amqp://admin:secret@rabbit",
    "REDIS_URL": "redis://redis",
    "PATH": "/bin",
}


def test_a_service_does_not_get_what_is_the_gateways_or_the_administrators():
    own = {"AMQP_URI": "amqp://doctor:own@rabbit"}
    given = environment_of("doctor", everything=EVERYTHING, own=own)
    assert set(given) == {*SERVICE_KEYS, "AMQP_URI", "REDIS_URL", "PATH"}
    assert given["AMQP_URI"] == own["AMQP_URI"]


def test_the_gateway_gets_every_key_and_the_first_administrator():
    given = environment_of("gateway", everything=EVERYTHING, own={})
    assert set(given) == set(EVERYTHING) - {"AMQP_ADMIN_URL"}


@pytest.fixture
def settings(monkeypatch, tmp_path):
    def settings(**environ):
        for name in ("AMQP_URI", "DATABASE_URL", "REDIS_URL", "ADMIN_EMAIL", "ADMIN_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"DATA_DIR": str(tmp_path), **environ}.items():
            monkeypatch.setenv(name, value)
        return local_settings()

    return settings


def test_an_administrator_is_made_once_and_kept_for_the_owner_of_the_folder(settings, tmp_path):
    login = administrator(settings())
    assert administrator(settings()) == login
    assert login["ADMIN_EMAIL"] == "admin@clinic.example"
    assert len(login["ADMIN_PASSWORD"]) >= 12
    assert (tmp_path / "admin.env").stat().st_mode & 0o077 == 0


def test_the_administrator_who_is_set_is_taken(settings, tmp_path):
    chosen = {"ADMIN_EMAIL": "a@clinic.example", "ADMIN_PASSWORD": "correct horse battery"}
    assert administrator(settings(**chosen)) == chosen
    assert not (tmp_path / "admin.env").exists()


def test_what_is_kept_is_read_again_as_it_was(tmp_path):
    values = {"AMQP_URI": "amqp://a:b=c@rabbit:1//", "OTHER": ""}
    file = tmp_path / "values.env"
    for _ in range(2):
        keep(file, values)
    assert kept_values(file) == values
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["values.env"]
