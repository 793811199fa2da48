"""Keys are rotated while the system writes: no error, and nothing is left under the old one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from config.encryption import Vault
from config.rotation import BATCH, rotate
from patient.models import Answer, Patient, PatientBase
from patient.repository import Patients
from tests.integration.databases import migrated, transactions
from tests.integration.people import NOW, person, word
from tests.vaults import vault_for


@pytest.fixture
def own(database_urls: dict[str, URL]) -> Iterator[tuple[Engine, Vault, Vault]]:
    """A database whose keys nobody else rotates: its engine, its old vault and its new one."""
    shared, name = database_urls["patient"], f"patient_{word()[:8]}"
    url = shared.set(database=str(shared.database).replace("patient", name))
    old, new = vault_for("patient", "2026"), vault_for("patient", "2027", "2026")
    with migrated("patient", url, old) as engine:
        yield engine, old, new
        if engine.dialect.name == "mysql":
            with engine.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE `{url.database}`")


def register(engine: Engine, vault: Vault, *, people: int) -> list[int]:
    def work(session: Session) -> list[int]:
        patients = Patients(session)
        return [patients.register(person(), now=NOW).id for _ in range(people)]

    return transactions(engine, vault).run(work)


def keep_answer(engine: Engine, vault: Vault) -> None:
    key = vault.index("key", word())
    sealed = vault.seal('{"result": 1}', table="answer", column="answer", row=key)
    with Session(engine) as session, session.begin():
        session.add(Answer(key=key, fingerprint=key, answer=sealed, answered_at=NOW))


def addresses(engine: Engine, vault: Vault) -> dict[int, str]:
    def work(session: Session) -> dict[int, str]:
        return {each.id: each.address for each in session.scalars(select(Patient))}

    return transactions(engine, vault).run(work)


def test_everything_is_sealed_with_the_new_key_and_reads_as_before(
    own: tuple[Engine, Vault, Vault],
) -> None:
    engine, old, new = own
    register(engine, old, people=BATCH + 20)
    keep_answer(engine, old)
    before, told = addresses(engine, old), list[str]()
    assert rotate(engine, PatientBase.metadata, new, tell=told.append) == 0
    newest_only = vault_for("patient", "2027")
    assert addresses(engine, newest_only) == before
    with Session(engine) as session:
        row = session.scalars(select(Answer)).one()
        text = newest_only.open(row.answer, table="answer", column="answer", row=row.key)
    assert text == '{"result": 1}'
    assert f"patient.patient: {BATCH + 20} rows sealed again" in told
    assert "patient.answer: 1 rows sealed again" in told


def test_a_second_rotation_finds_nothing_to_do_and_versions_stay(
    own: tuple[Engine, Vault, Vault],
) -> None:
    engine, old, new = own
    register(engine, old, people=3)
    rotate(engine, PatientBase.metadata, new, tell=lambda text: None)
    told: list[str] = []
    assert rotate(engine, PatientBase.metadata, new, tell=told.append) == 0
    assert "patient.patient: 0 rows sealed again" in told
    with Session(engine) as session:
        rows = session.scalars(select(Patient)).all()
    assert {(row.version, row.sequence, row.updated_at) for row in rows} == {(1, 0, NOW)}


def test_what_does_not_open_is_named_and_left_and_the_others_go_on(
    own: tuple[Engine, Vault, Vault],
) -> None:
    engine, old, new = own
    first, second, third = register(engine, old, people=3)
    with Session(engine) as session, session.begin():
        stolen = session.get_one(Patient, first).name_sealed
        session.execute(update(Patient).filter_by(id=second).values(name_sealed=stolen))
    told: list[str] = []
    assert rotate(engine, PatientBase.metadata, new, tell=told.append) == 1
    assert f"patient.patient: row {second}: patient.name_sealed does not open" in told
    assert "patient.patient: 2 rows sealed again" in told


def test_a_program_that_still_has_only_the_old_key_shows_as_rows_left(
    own: tuple[Engine, Vault, Vault],
) -> None:
    engine, old, new = own
    register(engine, old, people=1)
    late = []

    def tell(text: str) -> None:
        if not late and text.startswith("patient.patient:"):
            late.extend(register(engine, old, people=2))

    assert rotate(engine, PatientBase.metadata, new, tell=tell) == 2
    assert rotate(engine, PatientBase.metadata, new, tell=tell) == 0


@pytest.mark.parametrize("database_urls", ["mariadb"], indirect=True)
def test_writers_go_on_while_the_keys_are_rotated(own: tuple[Engine, Vault, Vault]) -> None:
    engine, old, new = own
    ids, ended = register(engine, old, people=3 * BATCH), Event()

    def write(start: int) -> dict[int, str]:
        written = {}
        for number in count(start, 7):
            if ended.is_set() and number > start + 200:
                return written
            wanted = ids[number % len(ids)]
            if wanted % 2 == start % 2:
                fields = person()
                transactions(engine, new).run(
                    lambda session: Patients(session).replace(
                        Patients(session).get_locked(wanted), fields, now=NOW
                    )
                )
                written[wanted] = fields["address"]
        return written

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, start) for start in (0, 1)]
        try:
            left = rotate(engine, PatientBase.metadata, new, tell=lambda text: None)
        finally:
            ended.set()
        written = [writer.result() for writer in writers]
    assert left == 0
    assert all(written)
    now = addresses(engine, vault_for("patient", "2027"))
    assert len(now) == len(ids)
    assert all(now[number] == address for each in written for number, address in each.items())
