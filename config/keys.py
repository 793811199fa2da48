"""Secrets by id: the first of a ring is used for what is new, the others for what they wrote.

A ring is written ``2027:<secret>,2026:<secret>``. To rotate, put a new one in front; take the last
one away when nothing needs it any more. No secret is used itself: each purpose derives its own
key from it (HKDF with SHA-256, RFC 5869), so that one that leaks tells nothing about another.
"""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from config.variables import SettingsError

# Beside the data, where a system runs on one machine only.
KEYS_FILE = "keys.env"
KEY_BYTES = 32
SHORTEST_SECRET = 32
# Fewer than this many different characters were typed by hand, not made.
FEWEST_CHARACTERS = 10

_ID = re.compile(r"[a-z0-9-]{1,16}")


class KeyRefused(ValueError):
    """Why a ring cannot be used; the text never shows a secret."""


class UnknownKey(LookupError):
    """Something was written with a key that the ring does not hold (any more)."""


@dataclass(frozen=True)
class KeyRing:
    """``secrets`` in the order of the setting: newest first."""

    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.secrets)

    @property
    def current(self) -> str:
        """The id of the key for what is new."""
        return self.secrets[0][0]

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(key_id for key_id, _ in self.secrets)

    def derive(self, purpose: str, key_id: str) -> bytes:
        """The 32 bytes that the secret ``key_id`` gives for ``purpose``.

        :raises UnknownKey:
        """
        for known, secret in self.secrets:
            if known == key_id:
                return _derived(secret, purpose)
        raise UnknownKey(key_id)


@dataclass(frozen=True, kw_only=True)
class Keys:
    """A ring for each purpose; a program has those that it needs, the others are empty."""

    token: KeyRing = KeyRing()
    caller: KeyRing = KeyRing()
    data: KeyRing = KeyRing()
    index: KeyRing = KeyRing()
    audit: KeyRing = KeyRing()


def parse_ring(text: str) -> KeyRing:
    """:raises KeyRefused: for a ring that is not written so, or whose secrets are weak."""
    pairs = [tuple(part.strip().partition(":")[::2]) for part in text.split(",")]
    for key_id, secret in pairs:
        if not _ID.fullmatch(key_id):
            raise KeyRefused("must look like id:secret,id:secret with ids of a-z, 0-9 and dashes")
        check_secret(secret)
    if len({key_id for key_id, _ in pairs}) < len(pairs):
        raise KeyRefused("has the same id twice")
    if len({secret for _, secret in pairs}) < len(pairs):
        raise KeyRefused("has the same secret twice")
    return KeyRing(tuple((key_id, secret) for key_id, secret in pairs))


def check_secret(secret: str) -> None:
    """:raises KeyRefused: when ``secret`` is short, or plainly not made by chance."""
    if len(secret) < SHORTEST_SECRET or len(set(secret)) < FEWEST_CHARACTERS:
        raise KeyRefused(
            f"needs secrets of at least {SHORTEST_SECRET} random characters "
            "(`clinic keys` makes some)"
        )


def new_secret() -> str:
    return secrets.token_urlsafe(KEY_BYTES)


def fresh(names: tuple[str, ...]) -> dict[str, str]:
    """A new ring of one key for each of the settings ``names``."""
    return {name: f"1:{new_secret()}" for name in names}


def kept(file: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The rings in ``file``, made when first asked for; for systems that run on one machine only.

    The file is for its owner alone. Who loses it loses what is encrypted beside it.

    :raises SettingsError: when a ring has no key any more of those that it had before.
    """
    there, seen = _lines(file), _lines(file.with_suffix(".check"))
    _check_still_there(file, there, seen)
    # A file of an older version knows fewer names.
    missing = tuple(name for name in names if name not in there)
    if missing:
        there |= fresh(missing)
        _write(file, there)
    marks = {name: " ".join(sorted(_marks(ring))) for name, ring in there.items()}
    if marks != seen:
        _write(file.with_suffix(".check"), marks)
    return there


def _check_still_there(file: Path, there: Mapping[str, str], seen: Mapping[str, str]) -> None:
    for name, marks in seen.items():
        if not _marks(there.get(name, "")) & set(marks.split()):
            raise SettingsError(
                f"{file} does not hold the {name} that what lies beside it was written with. Put "
                "that file back, from a backup say; without it DATA_DIR must be an empty folder."
            )


def _marks(ring: str) -> set[str]:
    """What tells a secret again without telling it."""
    secrets_in = (part.partition(":")[2].strip() for part in ring.split(",") if ":" in part)
    return {_derived(secret, "mark").hex()[:32] for secret in secrets_in}


def _lines(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines() if file.exists() else []
    return {name: value for name, _, value in (line.partition("=") for line in lines if line)}


def _write(file: Path, values: Mapping[str, str]) -> None:
    """All of it or nothing, and on the disk before anything is encrypted with it."""
    text = "".join(f"{name}={value}\n" for name, value in values.items())
    unfinished = file.with_name(f"{file.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    with unfinished.open("w") as output:
        output.write(text)
        output.flush()
        os.fsync(output.fileno())
    unfinished.rename(file)


@cache
def _derived(secret: str, purpose: str) -> bytes:
    # The secrets are random already, so the extraction needs no salt.
    hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode())
    return hkdf.derive(secret.encode())
