"""Lists, a page at a time: keyset order, so that rows that are added do not shift the next page."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from werkzeug import Response

from gateway.request import ApiRequest
from gateway.responses import as_json
from schemas.errors import InvalidInput
from schemas.fields import MAX_ID

DEFAULT_LIMIT, LARGEST_LIMIT = 20, 100

_DIGITS = re.compile("[0-9]{1,4}")


@dataclass(frozen=True)
class Page:
    """Up to ``limit`` records after the one with the id ``after``, or from the beginning."""

    limit: int
    after: int | None


def page_of(request: ApiRequest) -> Page:
    """:raises InvalidInput: for a limit that is no number from 1 to 100, or a foreign cursor."""
    cursor = request.parameter("cursor")
    after = None if cursor is None else _opened(cursor, request.path)
    return Page(limit=_limit(request.parameter("limit")), after=after)


def as_page(
    request: ApiRequest, records: Sequence[Any], *, page: Page, dump: Callable[[Any], Any],
    place: Callable[[Any], int],
) -> Response:
    """The list as the contract has it.

    :param records: one more than ``page.limit`` of them when there is a next page.
    :param place: the id by which a record is found again.
    """
    shown = records[: page.limit]
    following = place(shown[-1]) if len(records) > page.limit else None
    return page_response(request, [dump(each) for each in shown], following=following)


def page_response(
    request: ApiRequest, items: Sequence[Any], *, following: int | None
) -> Response:
    """As ``as_page``; the next page begins after the id ``following``, if there is one."""
    body = page_body(items, following=following, path=request.path)
    response = as_json(body, status=200)
    if following is not None:
        query = urlencode({**request.args.to_dict(), "cursor": body["nextCursor"]})
        response.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return response


def page_body(items: Sequence[Any], *, following: int | None, path: str) -> dict[str, Any]:
    """A page of the list at ``path``."""
    cursor = None if following is None else _closed(following, path)
    return {"items": items, "nextCursor": cursor}


def _limit(sent: str | None) -> int:
    if sent is None:
        return DEFAULT_LIMIT
    if _DIGITS.fullmatch(sent) and 1 <= int(sent) <= LARGEST_LIMIT:
        return int(sent)
    raise InvalidInput({"limit": f"Must be between 1 and {LARGEST_LIMIT}."})


def _closed(place: int, path: str) -> str:
    return base64.urlsafe_b64encode(f"{path}:{place}".encode()).decode().rstrip("=")


def _opened(cursor: str, path: str) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        list_, place = text.decode("ascii").split(":")
        if list_ == path and place.isdigit() and int(place) <= MAX_ID:
            return int(place)
    except (binascii.Error, ValueError):
        pass
    raise InvalidInput({"cursor": "Is not one that was given out for this list."})
