"""Who calls: signed by the gateway, carried along with every call, checked by each service.

Whoever reaches the broker could write any name into a header. So a name counts only with the
gateway's signature, and only for the correlation id and idempotency key it was signed with: who
overhears it can, for a while, ask the same again. A call without one is an operator's, and audited
as such.
"""

from dataclasses import dataclass
from datetime import timedelta

from itsdangerous import BadData

from config.keys import KeyRing
from config.signing import signer

PURPOSE = "caller"
# No call takes so long; what was overheard is of no use later.
LONGEST_CALL = timedelta(minutes=5)


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


def signed(caller: Caller, *, correlation: str, key: str, ring: KeyRing) -> str:
    named = (caller.role, caller.account, caller.subject)
    return signer(ring, PURPOSE).sign([*named, correlation, key])


def verified(text: object, *, correlation: str, key: str, ring: KeyRing) -> Caller:
    """:raises ForgedCaller: unless ``text`` was signed for this call, of late."""
    try:
        *caller, for_correlation, for_key = signer(ring, PURPOSE).read(
            str(text), longest=LONGEST_CALL
        )
        named = Caller(*caller)
    # The latter two: signed by us, in a form of another version.
    except (BadData, ValueError, TypeError) as forged:
        raise ForgedCaller() from forged
    if (for_correlation, for_key) != (correlation, key):
        raise ForgedCaller()
    return named
