"""People with names that nobody else has, so that they are found in a shared database."""

import uuid
from datetime import UTC, date, datetime
from typing import Any

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def word() -> str:
    """Letters only, so that it is one word."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in uuid.uuid4().hex)


def person(name: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "name": name or f"{word()} {word()}",
        "email": f"{word()}@example.org",
        "phone": "+442079460958",
        "dob": date(1985, 12, 10),
        "address": f"{word()} Street\nLondon",
    } | fields


def doctor(**fields: Any) -> dict[str, Any]:
    shared = {name: value for name, value in person().items() if name not in ("dob", "address")}
    return shared | {"speciality": "General practice", "timezone": "Europe/London"} | fields
