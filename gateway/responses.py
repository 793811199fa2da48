"""What a client gets when all went well."""

import json
from collections.abc import Mapping
from typing import Any

from werkzeug import Response

from config.messaging.client import Answer
from gateway.request import ApiRequest
from gateway.versions import bare, is_known, tag_of

# ``json.dumps`` would make one for each text.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def as_json(value: Any, *, status: int, content_type: str = "application/json") -> Response:
    text = _ENCODER.encode(value)
    return Response(
        # A lone surrogate, quoted from a request, has no bytes in UTF-8; it stays an escape.
        text.encode("utf-8", "backslashreplace"),
        status=status,
        content_type=content_type,
    )


def record(request: ApiRequest, stored: Mapping[str, Any], *, form: str = "") -> Response:
    """200 with the record and its tag, or 304 for who has it; ``form`` as in ``tag_of``."""
    return tagged(request, as_json(bare(stored), status=200), tag_of(stored, form=form))


def tagged(request: ApiRequest, response: Response, tag: str | None) -> Response:
    """``response`` with its tag; 304 without a body for who has it."""
    if tag is None:
        return response
    if is_known(request, tag):
        response = Response(status=304)
        # That of the body which the client has is another.
        del response.headers["Content-Type"]
    response.headers["ETag"] = tag
    return response


def created(request: ApiRequest, stored: Mapping[str, Any], *, under: str) -> Response:
    """201 with the record, its tag and its address."""
    response = tagged(request, as_json(bare(stored), status=201), tag_of(stored))
    response.headers["Location"] = f"{under}/{stored['id']}"
    return response


def nothing(answer: Answer) -> Response:
    answer.result()
    return Response(status=204)
