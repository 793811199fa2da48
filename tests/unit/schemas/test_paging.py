"""Lists, a page at a time, as services answer them."""

from types import SimpleNamespace

import pytest

from schemas.errors import InvalidInput
from schemas.loading import load
from schemas.paging import PageSchema, page, page_by_id


@pytest.mark.parametrize(
    ("count", "items", "following"),
    [(0, [], None), (1, [0], None), (2, [0, 10], None), (3, [0, 10], 101)],
)
def test_one_more_than_asked_for_tells_that_there_is_another_page(count, items, following):
    found = page(range(count), limit=2, told=lambda n: n * 10, place=lambda n: n + 100)
    assert found == {"items": items, "next": following}


def test_a_page_by_id_ends_with_the_id_of_its_last():
    records = [SimpleNamespace(id=number) for number in (7, 8)]
    assert page_by_id(records, limit=1, told=vars) == {"items": [{"id": 7}], "next": 7}


def test_a_page_is_the_first_20_where_nothing_is_said():
    assert load(PageSchema(), {}) == {"limit": 20, "after": 0}


@pytest.mark.parametrize("limit", [0, 101, "20", True, None])
def test_a_page_has_1_to_100(limit):
    with pytest.raises(InvalidInput) as refused:
        load(PageSchema(), {"limit": limit})
    assert list(refused.value.errors) == ["limit"]
