"""Who calls: signed by the gateway, carried along with every call, checked by each service.

Whoever reaches the broker could write any name into a header. So a name counts only with the
gateway's signature, and only together with the correlation id it was signed for; a call
without one is an operator's, and audited as such.
"""

from dataclasses import astuple, dataclass

from itsdangerous import BadData, URLSafeTimedSerializer

from config.keys import KeyRing
from config.signing import signing_keys

PURPOSE = "caller"
# No call takes so long, nor do clocks differ by so much; what was overheard is of no use later.
LONGEST_CALL_SECONDS = 300


class ForgedCaller(Exception):
    """The header names a caller, and was not signed for this call."""


@dataclass(frozen=True)
class Caller:
    """``account`` is the id of who signed in; ``subject`` that of the record they are."""

    role: str
    account: int | None = None
    subject: int | None = None

    @property
    def identity(self) -> str:
        """One text for one caller, whatever role they have now."""
        return self.role if self.account is None else f"account/{self.account}"


NOBODY = Caller("nobody")
# Calls that bypass the gateway: `nameko shell`, scripts on the broker.
OPERATOR = Caller("operator")
# What a service does unasked.
SYSTEM = Caller("system")


def signed(caller: Caller, *, correlation: str, ring: KeyRing) -> str:
    return str(_serializer(ring).dumps([*astuple(caller), correlation]))


def verified(text: object, *, correlation: str, ring: KeyRing) -> Caller:
    """:raises ForgedCaller: unless ``text`` was signed for the call ``correlation``."""
    try:
        *caller, signed_for = _serializer(ring).loads(str(text), max_age=LONGEST_CALL_SECONDS)
        named = Caller(*caller)
    # The latter two: signed by us, in a form of another version.
    except (BadData, ValueError, TypeError) as forged:
        raise ForgedCaller() from forged
    if signed_for != correlation:
        raise ForgedCaller()
    return named


def _serializer(ring: KeyRing) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(signing_keys(ring, PURPOSE), salt=PURPOSE)
