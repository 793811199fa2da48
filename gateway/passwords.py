"""Passwords: which are taken, and how they are kept (argon2id, RFC 9106)."""

import unicodedata
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from config.blocking import off_loop
from schemas.errors import InvalidInput, Unavailable

SHORTEST, LONGEST = 12, 128
FEWEST_CHARACTERS = 5
# Each takes 64 MiB and a processor for some tens of milliseconds.
HASHES_AT_ONCE = 4

# With what is left of one that is all decoration.
_COMMON = frozenset((*FREQUENCY_LISTS["passwords"], ""))
_DECORATION = "0123456789!?.-_*#$@+ "


def check_password(password: str, *, email: str, field: str = "password") -> None:
    """:raises InvalidInput: when it is short, common, or as good as the e-mail address."""
    # As it will be hashed: accents typed apart, or letters of full width, do not make it better.
    normal = _normal(password)
    if not SHORTEST <= len(normal) <= LONGEST:
        raise InvalidInput({field: f"Must have {SHORTEST} to {LONGEST} characters."})
    plain = normal.casefold()
    # `Password2026!` is in no list, and among the first that anybody tries.
    common = plain in _COMMON or plain.strip(_DECORATION) in _COMMON
    if common or len(set(plain)) < FEWEST_CHARACTERS:
        raise InvalidInput({field: "Is among the most common passwords."})
    if plain in (email.casefold(), email.partition("@")[0].casefold()):
        raise InvalidInput({field: "Must not be the e-mail address."})


class Passwords:
    """Hashes and verifies, a few at a time, off the event loop."""

    def __init__(self) -> None:
        self._argon2id = PasswordHasher()
        self._room = BoundedSemaphore(HASHES_AT_ONCE)
        # Verified against when there is no account: the answer then takes as long as with one.
        self._nobodys = self._argon2id.hash("nobody has this password")

    def hash(self, password: str, *, seconds: float) -> str:
        """:raises Unavailable: when there was no room within ``seconds``."""
        return str(self._run(seconds, self._argon2id.hash, _normal(password)))

    def matches(self, kept: str | None, password: str, *, seconds: float) -> bool:
        """Whether ``password`` is the one ``kept``; never, when nothing is, and no sooner.

        :raises Unavailable: when there was no room within ``seconds``.
        """
        verified = self._run(seconds, self._verify, kept or self._nobodys, _normal(password))
        return bool(verified) and kept is not None

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._argon2id.verify(kept, password)
        except VerifyMismatchError:
            return False

    def _run(self, seconds: float, work: object, *args: str) -> object:
        if not self._room.acquire(timeout=max(seconds, 0)):
            raise Unavailable("sign-in")
        try:
            return off_loop(work, *args)  # type: ignore[arg-type]
        finally:
            self._room.release()


def _normal(password: str) -> str:
    """The same password from another keyboard: composed characters and their parts are equal."""
    return unicodedata.normalize("NFKC", password)
