"""What a client gets when all went well."""

import json
from typing import Any

from werkzeug import Response

from config.messaging.client import Answer


def as_json(value: Any, *, status: int, content_type: str = "application/json") -> Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(
        # A lone surrogate, quoted from a request, has no bytes in UTF-8; it stays an escape.
        text.encode("utf-8", "backslashreplace"),
        status=status,
        content_type=content_type,
    )


def record(answer: Answer) -> Response:
    return as_json(answer.result(), status=200)


def created(answer: Answer, *, under: str) -> Response:
    """201 with the record's address."""
    stored = answer.result()
    response = as_json(stored, status=201)
    response.headers["Location"] = f"{under}/{stored['id']}"
    return response


def nothing(answer: Answer) -> Response:
    answer.result()
    return Response(status=204)
