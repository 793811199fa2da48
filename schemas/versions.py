"""Versions of records: which one a change is meant for, as If-Match says over HTTP."""

from schemas.errors import InvalidInput, Stale

Versions = frozenset[int] | None


def load_versions(value: object) -> Versions:
    """The versions that a change is meant for; None: whichever there is.

    :raises InvalidInput:
    """
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise InvalidInput({"versions": "Must be a list of whole numbers."})
    return frozenset(value)


def check_version(version: int, *, allowed: Versions) -> None:
    """:raises Stale: when the record has changed since; say so under its lock."""
    if allowed is not None and version not in allowed:
        raise Stale()
