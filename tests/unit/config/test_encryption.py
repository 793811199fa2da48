"""Sealed values open where they were put, for whoever has the key, and nowhere else."""

from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from config.encryption import VAULT, Sealed, Unreadable, Vault, opened, sealed_column
from config.keys import KeyRing
from tests.vaults import ring, vault_for

OURS = vault_for("clinic")
PLACE = {"table": "person", "column": "name_sealed", "row": 1}
ADA = "Ada Byron"

ODD = ["", "\0", "İıſß", "👩‍⚕️", "e\u0301", "\U0010ffff" * 50, "שלום"]


@given(st.text() | st.sampled_from(ODD))
def test_what_was_sealed_opens(text: str) -> None:
    assert OURS.open(OURS.seal(text, **PLACE), **PLACE) == text


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert OURS.seal(ADA, **PLACE) != OURS.seal(ADA, **PLACE)


@given(st.text(min_size=4))
def test_sealed_bytes_do_not_hold_the_text(text: str) -> None:
    assert text.encode() not in OURS.seal(text, **PLACE)


@pytest.mark.parametrize(
    "elsewhere", [{"table": "people"}, {"column": "address_sealed"}, {"row": 2}, {"row": "1"}]
)
def test_a_value_moved_elsewhere_does_not_open(elsewhere: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        OURS.open(OURS.seal(ADA, **PLACE), **PLACE | elsewhere)


def test_a_value_of_another_database_does_not_open() -> None:
    with pytest.raises(Unreadable):
        OURS.open(vault_for("other").seal(ADA, **PLACE), **PLACE)


@given(st.data())
def test_a_value_with_a_flipped_bit_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(OURS.seal(ADA, **PLACE))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Unreadable):
        OURS.open(bytes(sealed), **PLACE)


@given(st.data())
def test_a_cut_or_lengthened_value_does_not_open(data: st.DataObject) -> None:
    sealed = OURS.seal(ADA, **PLACE)
    cut = data.draw(st.integers(1, len(sealed)))
    for broken in (sealed[:-cut], sealed[cut:], sealed + b"\0"):
        with pytest.raises(Unreadable):
            OURS.open(broken, **PLACE)


@given(st.binary())
def test_what_was_never_sealed_does_not_open(junk: bytes) -> None:
    with pytest.raises(Unreadable):
        OURS.open(junk, **PLACE)


def test_what_does_not_open_is_told_by_its_column_and_nothing_else() -> None:
    with pytest.raises(Unreadable) as refused:
        OURS.open(b"Ada Byron, +44 20 7946 0958", **PLACE)
    assert str(refused.value) == "person.name_sealed does not open"


def test_a_retired_key_still_opens_and_the_newest_one_seals() -> None:
    old, new = vault_for("clinic", "2026"), vault_for("clinic", "2027", "2026")
    assert new.open(old.seal(ADA, **PLACE), **PLACE) == ADA
    assert new.seal(ADA, **PLACE).startswith(new.header)
    assert not old.seal(ADA, **PLACE).startswith(new.header)


def test_a_key_that_was_taken_away_is_an_error_that_says_so() -> None:
    sealed = vault_for("clinic", "2026").seal(ADA, **PLACE)
    with pytest.raises(Unreadable) as refused:
        vault_for("clinic", "2027").open(sealed, **PLACE)
    said = "person.name_sealed is sealed with a key that is not among these: 2027"
    assert str(refused.value) == said


def test_nothing_is_sealed_without_keys() -> None:
    for rings in ((KeyRing(), ring("index")), (ring("a"), KeyRing())):
        with pytest.raises(ValueError, match="DATA_KEYS and INDEX_KEYS"):
            Vault(*rings, "clinic")


def test_a_vault_shows_no_secret() -> None:
    assert not any(secret in repr(OURS) for _, secret in ring("a").secrets)


# Blind indexes


def test_equal_texts_have_equal_indexes_and_others_do_not() -> None:
    assert OURS.index("email", "ada@example.org") == OURS.index("email", "ada@example.org")
    assert OURS.index("email", "ada@example.org") != OURS.index("email", "bob@example.org")


def test_indexes_for_two_purposes_or_databases_cannot_be_compared() -> None:
    mine = OURS.index("email", "ada")
    assert mine not in (OURS.index("name", "ada"), vault_for("other").index("email", "ada"))


def test_an_index_is_64_hexadecimal_digits_and_depends_on_the_key() -> None:
    assert len(bytes.fromhex(OURS.index("email", "ada"))) == 32
    assert Vault(ring("a"), ring("else"), "clinic").index("email", "ada") != OURS.index(
        "email", "ada"
    )


# In a model


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    name_sealed: Mapped[bytes] = sealed_column(200)
    email_sealed: Mapped[bytes | None] = sealed_column(254, optional=True)
    born_sealed: Mapped[bytes | None] = sealed_column(10, optional=True)

    name = Sealed[str]()
    email = Sealed[str | None]()
    born = Sealed[date](write=date.isoformat, read=date.fromisoformat)


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine, info={VAULT: OURS}) as session:
        yield session
    engine.dispose()


@pytest.fixture
def person(session: Session) -> Person:
    person = Person()
    session.add(person)
    session.flush()
    return person


def test_what_is_assigned_is_stored_sealed_and_read_back(session: Session, person: Person) -> None:
    person.name, person.born = ADA, date(1815, 12, 10)
    session.flush()
    session.expire(person)
    assert (person.name, person.email, person.born) == (ADA, None, date(1815, 12, 10))
    assert OURS.open(person.name_sealed, **PLACE | {"row": person.id}) == ADA


def test_a_plain_row_is_read_as_its_object_and_does_not_show_what_it_holds(
    session: Session, person: Person
) -> None:
    person.name, person.born = ADA, date(1815, 12, 10)
    session.flush()
    row = session.execute(select(Person.__table__)).one()
    read = opened(Person, row, vault=OURS)
    assert (read.id, read.name, read.email, read.born) == (
        person.id, ADA, None, date(1815, 12, 10)
    )
    assert ADA not in repr(read)


def test_a_value_that_is_taken_away_is_null(session: Session, person: Person) -> None:
    person.email = "ada@example.org"
    person.email = None
    assert (person.email, person.email_sealed) == (None, None)


def test_a_row_without_an_id_cannot_be_sealed_yet(session: Session) -> None:
    person = Person()
    session.add(person)
    with pytest.raises(RuntimeError, match="flush it first"):
        person.name = ADA


def test_a_required_value_that_was_never_given_does_not_open(person: Person) -> None:
    with pytest.raises(Unreadable):
        person.name  # noqa: B018


def test_a_session_without_a_vault_seals_nothing(person: Person, session: Session) -> None:
    session.info.clear()
    with pytest.raises(RuntimeError, match="no vault"):
        person.name = ADA
    session.expunge(person)
    with pytest.raises(RuntimeError, match="in a session"):
        person.name = ADA
