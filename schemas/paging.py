"""Lists, a page at a time, by RPC and over HTTP."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from marshmallow import Schema

from schemas.fields import MAX_ID, WholeNumber

DEFAULT_LIMIT, LARGEST_LIMIT = 20, 100


def limit_field() -> WholeNumber:
    return WholeNumber(least=1, most=LARGEST_LIMIT, load_default=DEFAULT_LIMIT)


class LimitSchema(Schema):
    limit = limit_field()


class PageSchema(LimitSchema):
    """A page of a list by id, of those above ``after``."""

    after = WholeNumber(least=0, most=MAX_ID, load_default=0)


def page(
    found: Sequence[Any],
    *,
    limit: int,
    told: Callable[[Any], Any],
    place: Callable[[Any], Any],
) -> dict[str, Any]:
    """``{"items": [...], "next": ...}``: up to ``limit``, each as ``told``, and the ``place`` of
    the last of them, or None.

    :param found: one more than ``limit`` of them when there is another page.
    """
    shown = found[:limit]
    following = place(shown[-1]) if len(found) > limit else None
    return {"items": [told(each) for each in shown], "next": following}


def page_by_id(
    found: Sequence[Any], *, limit: int, told: Callable[[Any], Any]
) -> dict[str, Any]:
    return page(found, limit=limit, told=told, place=attrgetter("id"))
