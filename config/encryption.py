"""Personal data at rest: sealed values, and blind indexes to find them by.

A value is sealed with AES-256-GCM for one place: database, table, column and row are bound in, so
that ciphertext moved elsewhere does not open. Sealed bytes are a format byte, the length and id of
the key, the nonce, and the ciphertext with its tag. Their length tells that of the text.
"""

import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, Generic, Self, TypeVar, overload

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import LargeBinary, inspect
from sqlalchemy.orm import MappedColumn, Session, mapped_column, object_session

from config.keys import KeyRing, UnknownKey

FORMAT = 1
# 96 random bits: good for 2^32 values under one key, then it should be rotated (NIST SP 800-38D).
NONCE_BYTES = 12
# What goes before and after the text, at most: 2 + 16 + 12 + 16 bytes.
OVERHEAD = 46
# In MySQL, less would become another type than BLOB.
LEAST_BYTES = 256
# The member of a column's ``info`` by which rotation finds what is sealed.
SEALED = "sealed"
# The member of a session's ``info``.
VAULT = "vault"

Value = TypeVar("Value")
RowId = int | str


class Unreadable(Exception):
    """A sealed value that does not open where it lies: moved, cut, changed, or without its key."""


@dataclass(frozen=True)
class Vault:
    """Seals and opens the values of one ``database``, by its name in services.yml."""

    data_keys: KeyRing
    index_keys: KeyRing
    database: str

    def __post_init__(self) -> None:
        if not self.data_keys or not self.index_keys:
            raise ValueError("sealing needs DATA_KEYS and INDEX_KEYS")

    def seal(self, text: str, *, table: str, column: str, row: RowId) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._cipher(self.data_keys.current)
        sealed = cipher.encrypt(nonce, text.encode(), self._place(table, column, row))
        return self.header + nonce + sealed

    def open(self, sealed: bytes, *, table: str, column: str, row: RowId) -> str:
        """:raises Unreadable: naming the column, never what it holds."""
        try:
            key_id, rest = _split(sealed)
            text = self._cipher(key_id).decrypt(
                rest[:NONCE_BYTES], rest[NONCE_BYTES:], self._place(table, column, row)
            )
        except UnknownKey as missing:
            raise Unreadable(
                f"{table}.{column} is sealed with a key that is not among these: "
                f"{', '.join(self.data_keys.ids)}"
            ) from missing
        except (InvalidTag, ValueError) as broken:
            raise Unreadable(f"{table}.{column} does not open") from broken
        return text.decode()

    @property
    def header(self) -> bytes:
        """What everything sealed with the current key begins with."""
        key_id = self.data_keys.current.encode()
        return bytes((FORMAT, len(key_id))) + key_id

    def index(self, purpose: str, text: str) -> str:
        """A word to find ``text`` by, in hexadecimal: equal texts have equal ones.

        Without the key nobody can tell, or try out, what it stands for.
        """
        ring = self.index_keys
        key = ring.derive(f"index/{self.database}/{purpose}", ring.current)
        return hmac.digest(key, text.encode(), "sha256").hex()

    def _cipher(self, key_id: str) -> AESGCM:
        return _cipher(self.data_keys.derive(f"data/{self.database}", key_id))

    def _place(self, table: str, column: str, row: RowId) -> bytes:
        return json.dumps([self.database, table, column, row]).encode()


def sealed_column(longest: int, *, optional: bool = False) -> MappedColumn[Any]:
    """The column beside a :class:`Sealed`, for texts of up to ``longest`` characters.

    A row that must have one gets it once it has its id; until then it holds what does not open.
    """
    kind = LargeBinary(max(LEAST_BYTES, OVERHEAD + 4 * longest))
    if optional:
        return mapped_column(kind, nullable=True, info={SEALED: True})
    return mapped_column(kind, nullable=False, info={SEALED: True}, insert_default=b"")


class Sealed(Generic[Value]):
    """``name = Sealed[str]()``: the text in the mapped column ``name_sealed``, opened and sealed.

    The row must be in a session that has a :class:`Vault`, and have its id: a new one is flushed
    first. What is no text needs ``write`` to become one and ``read`` to come back; None is NULL.
    """

    def __init__(
        self, *, write: Callable[[Any], str] = str, read: Callable[[str], Any] = str
    ) -> None:
        self._write = write
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._column = f"{name}_sealed"

    @overload
    def __get__(self, row: None, owner: type) -> Self: ...

    @overload
    def __get__(self, row: object, owner: type) -> Value: ...

    def __get__(self, row: object, owner: type) -> Any:
        if row is None:
            return self
        sealed = getattr(row, self._column)
        if sealed is None:
            return None
        return self._read(_vault_beside(row).open(sealed, **self._place(row)))

    def __set__(self, row: object, value: Value) -> None:
        sealed = None
        if value is not None:
            sealed = _vault_beside(row).seal(self._write(value), **self._place(row))
        setattr(row, self._column, sealed)

    def opened(self, row: Mapping[str, Any], *, table: str, vault: Vault) -> Value | None:
        """What the plain ``row`` of the ``table`` holds, which has its ``id``."""
        sealed = row[self._column]
        if sealed is None:
            return None
        text = vault.open(sealed, table=table, column=self._column, row=row["id"])
        read: Value = self._read(text)
        return read

    def _place(self, row: Any) -> dict[str, Any]:
        mapper = inspect(row).mapper
        (row_id,) = mapper.primary_key_from_instance(row)
        table = mapper.local_table.name
        if row_id is None:
            raise RuntimeError(f"{table}.{self._column} is bound to the row's id: flush it first")
        return {"table": table, "column": self._column, "row": row_id}


class Opened(SimpleNamespace):
    # Shows nothing that is in it.
    __repr__ = object.__repr__


def opened(mapped: Any, row: Any, *, vault: Vault) -> Opened:
    """A ``row`` of the table of ``mapped``, to be read as its objects are. What the unit of work
    does to make one of those takes longer than the query."""
    plain = row._mapping
    texts = {
        name: sealed.opened(plain, table=mapped.__tablename__, vault=vault)
        for name, sealed in _sealed_of(mapped)
    }
    return Opened(**plain, **texts)


@cache
def _sealed_of(mapped: type) -> list[tuple[str, Sealed[Any]]]:
    return [(name, each) for name, each in vars(mapped).items() if isinstance(each, Sealed)]


@cache
def _cipher(key: bytes) -> AESGCM:
    """Made once: to begin with a key takes longer than to open a short text with it."""
    return AESGCM(key)


def vault_of(session: Session) -> Vault:
    vault = session.info.get(VAULT)
    if not isinstance(vault, Vault):
        raise RuntimeError("this session has no vault")
    return vault


def _vault_beside(row: object) -> Vault:
    session = object_session(row)
    if session is None:
        raise RuntimeError("a sealed value is read and written in a session")
    return vault_of(session)


def _split(sealed: bytes) -> tuple[str, bytes]:
    """The key's id, and what follows it.

    :raises ValueError: when nothing was sealed here, or by another format than ours.
    """
    if len(sealed) < 2 or sealed[0] != FORMAT:
        raise ValueError("not sealed")
    start = 2 + sealed[1]
    if len(sealed) < start + NONCE_BYTES:
        raise ValueError("cut")
    return sealed[2:start].decode("ascii"), sealed[start:]
