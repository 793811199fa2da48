"""services.yml names the programs; everything it names is there."""

import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from config.keys import KeyRing, Keys, parse_ring
from config.programs import catalogue, load, nameko_config
from config.settings import Settings
from gateway.routes import ROUTES
from schemas.appointment import AppointmentSchema
from schemas.loading import load as load_fields

RING = parse_ring("1:hTq0bVx4ZkR7mWc9JfNs2LgYpD5aEu8i")
PROGRAMS = catalogue().programs
REAL = Settings(
    host="127.0.0.1",
    port=8000,
    data_dir=Path("/nowhere"),
    amqp_uri="amqp://rabbit/",
    database_url="mysql+pymysql://clinic:p%40ss@mysql/clinic",
    redis_url="redis://redis/0",
    clinic_timezone="Europe/Berlin",
    phone_region="DE",
    log_format="json",
    log_level="INFO",
    gateway_workers=1,
    service_workers=7,
    call_seconds=5.0,
    peer_seconds=2.0,
    keys=Keys(caller=RING),
)


def test_the_three_services_and_their_background_programs_are_there():
    assert [program.name for program in PROGRAMS] == [
        "patient",
        "doctor",
        "appointment",
        "patient-background",
        "doctor-background",
        "appointment-background",
        "gateway-background",
    ]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_is_a_nameko_service_of_a_name_close_to_its_own(program):
    assert program.service().name.replace("_", "-") == program.name


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_uses_a_database_that_has_migrations(program):
    assert program.database in catalogue().databases


def test_no_two_services_share_a_database():
    services = [program for program in PROGRAMS if not program.name.endswith("background")]
    assert len({program.database for program in services}) == len(services)


@pytest.mark.parametrize("scripts", catalogue().databases.values())
def test_migrations_lie_where_the_catalogue_says(scripts):
    package, _, folder = scripts.partition(":")
    assert (Path(load(f"{package}:__file__")).parent / folder / "env.py").is_file()


def test_the_language_of_errors_can_be_imported():
    assert load(f"{catalogue().language}:SchedulingError")


def test_the_gateway_is_made_by_a_function():
    assert callable(load(catalogue().gateway_factory))


def test_a_program_is_found_by_its_name():
    assert catalogue().program("doctor").path == "doctor.service:DoctorService"


@pytest.mark.parametrize("path", ["no_such_module:Thing", "config.programs:NoSuchThing"])
def test_a_path_to_nothing_is_an_error(path):
    with pytest.raises((ImportError, AttributeError)):
        load(path)


def test_every_program_finds_its_own_database_in_the_configuration():
    uris = nameko_config(REAL, PROGRAMS)["DB_URIS"]
    assert len(uris) == len(PROGRAMS)
    for program in PROGRAMS:
        service = program.service()
        base = service.store.declarative_base.__name__
        assert uris[f"{service.name}:{base}"] == (
            f"mysql+pymysql://clinic:p%40ss@mysql/clinic_{program.database}"
        )


def test_a_program_gets_the_databases_of_the_programs_beside_it_only():
    alone = nameko_config(REAL, (catalogue().program("doctor"),))
    assert list(alone["DB_URIS"].values()) == ["mysql+pymysql://clinic:p%40ss@mysql/clinic_doctor"]


def test_settings_reach_the_services():
    config = nameko_config(REAL, ())
    expected = {
        "AMQP_URI": "amqp://rabbit/",
        "DB_URIS": {},
        "max_workers": 7,
        "CALL_SECONDS": 5.0,
        "PEER_SECONDS": 2.0,
        "PHONE_REGION": "DE",
        "CLINIC_TIMEZONE": "Europe/Berlin",
        "CALLER_KEYS": RING,
        "DATA_KEYS": KeyRing(),
        "INDEX_KEYS": KeyRing(),
        "AUDIT_KEYS": KeyRing(),
    }
    assert {name: config[name] for name in expected} == expected


def test_the_keys_of_tokens_stay_with_the_gateway():
    settings = replace(REAL, keys=Keys(token=RING))
    assert RING not in nameko_config(settings, ()).values()


def test_the_walkthrough_sends_what_the_services_take():
    shown = catalogue().walkthrough.format(
        url="http://here:1",
        date="2027-03-01T09:00:00",
        password=defaultdict(lambda: "jumpy-otter-58"),
    )
    bodies = dict(re.findall(r"http://here:1(/\S+) .*?-d '(.*?)'", shown))
    assert list(bodies) == ["/auth/login", "/appointments"]
    assert json.loads(bodies["/auth/login"])["password"] == "jumpy-otter-58"
    # Who books for themselves leaves out who it is for.
    booking = json.loads(bodies["/appointments"]) | {"patientId": 1}
    assert load_fields(AppointmentSchema(), booking)


def test_the_walkthrough_leads_to_routes_that_there_are():
    there_are = {re.sub("<[a-z_]+>", "1", route.path) for route in ROUTES}
    assert set(re.findall(r"{url}(/\S+)", catalogue().walkthrough)) <= there_are
