"""From plain JSON values to checked fields; every complaint names its field."""

from collections.abc import Iterator
from typing import Any

from marshmallow import Schema, ValidationError
from marshmallow.exceptions import SCHEMA

from schemas.errors import InvalidInput
from schemas.fields import Identifier, Text


def load(schema: Schema, payload: object) -> dict[str, Any]:
    """The fields of ``payload`` by attribute name.

    :raises InvalidInput: with one message for each refused field, unknown ones too.
    """
    if not isinstance(payload, dict):
        raise InvalidInput({"body": "Must be a JSON object."})
    try:
        return dict(schema.load(payload))
    except ValidationError as refused:
        raise InvalidInput(dict(_flat(refused.normalized_messages()))) from refused


def load_id(value: object, field: str = "id") -> int:
    """:raises InvalidInput: when ``value`` is not a positive 64-bit integer."""
    return int(_load_one(Identifier(), value, field))


def load_text(value: object, field: str, *, longest: int) -> str:
    """:raises InvalidInput: when ``value`` is not a text of 1 to ``longest`` characters."""
    return str(_load_one(Text(longest=longest), value, field))


def _load_one(rule: Identifier | Text, value: object, field: str) -> Any:
    try:
        return rule.deserialize(value)
    except ValidationError as refused:
        raise InvalidInput({field: " ".join(map(str, refused.messages))}) from refused


def _flat(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(messages, dict):
        for key, inner in messages.items():
            # What is wrong with a member as a whole is told of the member.
            steps = [] if key == SCHEMA and path else [str(key)]
            yield from _flat(inner, ".".join([path, *steps] if path else steps))
    else:
        yield path, " ".join(map(str, messages))
