"""Lists, a page at a time: keyset order, so that rows that are added do not shift the next page."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from marshmallow import ValidationError
from marshmallow.fields import Field
from werkzeug import Response

from gateway.query import Kind, read, whole_number
from gateway.request import ApiRequest
from gateway.responses import as_json
from gateway.versions import bare
from schemas import paging
from schemas.errors import InvalidInput
from schemas.fields import Identifier
from schemas.loading import load

LIMIT: dict[str, Kind] = {"limit": whole_number}


@dataclass(frozen=True)
class Page:
    """Up to ``limit`` records after the one whose place is ``after``, or from the beginning.

    A record's place is its id, or in JSON whatever else the list is ordered by.
    """

    limit: int
    after: Any


def page_of(request: ApiRequest, *, place: Field[Any] | None = None) -> Page:
    """:raises InvalidInput: for a limit that is no number from 1 to 100, or a foreign cursor.

    :param place: what takes the places of this list; ids, if it is left out.
    """
    cursor = request.parameter("cursor")
    after = None if cursor is None else _opened(cursor, request.path, place or Identifier())
    asked = load(paging.LimitSchema(), read(request, LIMIT))
    return Page(limit=asked["limit"], after=after)


def as_page(
    request: ApiRequest, records: Sequence[Any], *, page: Page, dump: Callable[[Any], Any],
    place: Callable[[Any], int],
) -> Response:
    """The list as the contract has it.

    :param records: one more than ``page.limit`` of them when there is a next page.
    :param place: the id by which a record is found again.
    """
    found = paging.page(records, limit=page.limit, told=dump, place=place)
    return page_response(request, found["items"], following=found["next"])


def page_response(
    request: ApiRequest, items: Sequence[Mapping[str, Any]], *, following: Any
) -> Response:
    """As ``as_page``; the next page begins after the place ``following``, if there is one."""
    shown = [bare(item) for item in items]
    body = page_body(shown, following=following, path=request.path)
    response = as_json(body, status=200)
    if following is not None:
        query = urlencode({**request.args.to_dict(), "cursor": body["nextCursor"]})
        response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response


def page_body(items: Sequence[Any], *, following: Any, path: str) -> dict[str, Any]:
    """A page of the list at ``path``."""
    cursor = None if following is None else _closed(following, path)
    return {"items": items, "nextCursor": cursor}


def _closed(place: Any, path: str) -> str:
    return base64.urlsafe_b64encode(f"{path}:{_written(place)}".encode()).decode().rstrip("=")


def _opened(cursor: str, path: str, kind: Field[Any]) -> Any:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        list_, _, written = text.decode("ascii").partition(":")
        place = json.loads(written)
        kind.deserialize(place)
        if list_ == path and _written(place) == written:
            return place
    except (binascii.Error, ValueError, RecursionError, ValidationError):
        pass
    raise InvalidInput({"cursor": "Is not one that was given out for this list."})


def _written(place: Any) -> str:
    return json.dumps(place, separators=(",", ":"))
