"""What alembic makes is what the models say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from config.database import connect
from config.migration import downgrade, upgrade
from config.programs import catalogue
from schemas.people import speciality_key
from tests.vaults import vault_for

DATABASES = list(catalogue().databases)
OLD_DOCTOR = text(
    "INSERT INTO doctor (name_sealed, phone_sealed, speciality, timezone, version, sequence,"
    " created_at, updated_at)"
    " VALUES ('', '', :speciality, 'UTC', 1, 1, '2027-03-01 09:00:00', '2027-03-01 09:00:00')"
)


@pytest.mark.parametrize("name", DATABASES)
def test_the_migrated_tables_are_those_of_the_models(
    name: str, database_urls: dict[str, URL]
) -> None:
    url = database_urls[name]
    upgrade(scripts=catalogue().databases[name], url=url, vault=vault_for(name))
    engine = connect(url.render_as_string(hide_password=False))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, catalogue().tables(name)) == []
    engine.dispose()


@pytest.mark.parametrize("name", DATABASES)
def test_a_migrated_database_can_go_back_to_nothing_and_forward_again(
    name: str, database_urls: dict[str, URL]
) -> None:
    url = database_urls[name].set(
        database=database_urls[name].database.replace(name, f"{name}_back")  # type: ignore
    )
    scripts = catalogue().databases[name]
    vault = vault_for(name)
    upgrade(scripts=scripts, url=url, vault=vault)
    downgrade(scripts=scripts, url=url, vault=vault)
    engine = connect(url.render_as_string(hide_password=False))
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    upgrade(scripts=scripts, url=url, vault=vault)


def test_a_migrated_database_migrates_again_without_a_change(database_urls: dict[str, URL]) -> None:
    for _ in range(2):
        upgrade(
            scripts=catalogue().databases["patient"],
            url=database_urls["patient"],
            vault=vault_for("patient"),
        )


def test_doctors_of_before_are_found_by_speciality(database_urls: dict[str, URL]) -> None:
    shared, vault = database_urls["doctor"], vault_for("doctor")
    url = shared.set(database=f"{shared.database}_before")
    scripts = catalogue().databases["doctor"]
    upgrade(scripts=scripts, url=url, vault=vault)
    downgrade(scripts=scripts, url=url, vault=vault, to="0002")
    engine = connect(url.render_as_string(hide_password=False))
    specialities = ["Cardiology", "CARDIOLOGY", "Füße", "cardiology"]
    with engine.begin() as connection:
        for speciality in specialities:
            connection.execute(OLD_DOCTOR, {"speciality": speciality})
    upgrade(scripts=scripts, url=url, vault=vault)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT speciality_key, schedule_version FROM doctor ORDER BY id")
        ).all()
    engine.dispose()
    assert rows == [(speciality_key(each), 0) for each in specialities]
    assert len({key for key, _ in rows}) == 2
