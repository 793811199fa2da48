"""Lists, a page at a time."""

import base64
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import EnvironBuilder

from gateway.paging import Page, as_page, page_of, page_response
from gateway.request import ApiRequest
from schemas.appointment import Place
from schemas.errors import InvalidInput
from schemas.fields import MAX_ID


def request(path="/things", **query):
    return ApiRequest(EnvironBuilder(path=path, query_string=query).get_environ())


def complaints(**query):
    with pytest.raises(InvalidInput) as refused:
        page_of(request(**query))
    return list(refused.value.errors)


def page(numbers, **query):
    """The answer to a request for a page of these numbers."""
    asked = request(**query)
    wanted = page_of(asked)
    records = [number for number in numbers if number > (wanted.after or 0)]
    return as_page(
        asked, records[: wanted.limit + 1], page=wanted, dump=lambda number: {"id": number},
        place=lambda number: number,
    )


def cursor(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_without_a_word_a_page_has_20_from_the_beginning():
    assert page_of(request()) == Page(limit=20, after=None)


@pytest.mark.parametrize("limit", ["1", "2", "99", "100"])
def test_a_page_has_1_to_100(limit):
    assert page_of(request(limit=limit)).limit == int(limit)


@pytest.mark.parametrize(
    "limit",
    ["", "0", "101", "-1", "+1", "1.0", "1e1", " 1", "ten", "1_0", "٣", "²", "０", "9" * 5000],
)
def test_any_other_limit_is_refused(limit):
    assert complaints(limit=limit) == ["limit"]


@pytest.mark.parametrize(
    "sent",
    [
        "", "x", "7", "AAAA", "????", "é", "=", "==", "a" * 10_000,
        cursor("/things"), cursor("/things:"), cursor("/things:x"), cursor("/things:-1"),
        cursor("/things:1:2"), cursor("/others:1"), cursor("/things:1.5"), cursor("/things: 1"),
        cursor("/things:²"), cursor("/things:٣"), cursor(f"/things:{MAX_ID + 1}"),
        cursor("/things:" + "9" * 5000), cursor("/things:0"), cursor("/things:01"),
        cursor("/things:true"), cursor("/things:1e5"), cursor("/things:[1]"),
        cursor("/things:" + "[" * 5000),
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(sent):
    assert complaints(cursor=sent) == ["cursor"]


def test_a_cursor_leads_on_to_the_largest_id():
    assert page_of(request(cursor=cursor(f"/things:{MAX_ID}"))).after == MAX_ID


@pytest.mark.parametrize(("count", "further"), [(0, False), (1, False), (2, False), (3, True)])
def test_only_a_page_that_is_followed_by_another_says_so(count, further):
    answer = page(range(1, count + 1), limit="2")
    body = json.loads(answer.get_data())
    assert body["items"] == [{"id": number} for number in range(1, min(count, 2) + 1)]
    assert (body["nextCursor"] is not None) == further == ("Link" in answer.headers)


def test_the_pages_together_are_the_list():
    seen, query = [], {"limit": "3"}
    for _ in range(4):
        body = json.loads(page(range(1, 11), **query).get_data())
        seen += [item["id"] for item in body["items"]]
        query["cursor"] = body["nextCursor"]
    assert seen == list(range(1, 11)) and query["cursor"] is None


def test_a_cursor_is_opaque_and_needs_no_quoting():
    body = json.loads(page(range(1, 9), limit="2").get_data())
    assert re.fullmatch("[A-Za-z0-9_-]+", body["nextCursor"])


def test_the_next_link_keeps_the_other_parameters():
    answer = page(range(1, 9), limit="2", subject="patient/7", q="a&b=c>; Zoë")
    target, _, relation = answer.headers["Link"].partition(">; ")
    assert relation == 'rel="next"'
    address = urlsplit(target.removeprefix("<"))
    assert address.path == "/things"
    assert parse_qs(address.query) == {
        "limit": ["2"],
        "subject": ["patient/7"],
        "q": ["a&b=c>; Zoë"],
        "cursor": [json.loads(answer.get_data())["nextCursor"]],
    }


def test_the_next_link_replaces_the_cursor_it_came_with():
    second = page(range(1, 9), limit="2", cursor=cursor("/things:2"))
    assert second.headers["Link"].count("cursor=") == 1
    assert json.loads(second.get_data())["items"] == [{"id": 3}, {"id": 4}]


# Lists in another order than that of ids

NINE = "2027-03-01T09:00:00Z"


def test_a_cursor_holds_whatever_the_list_is_ordered_by():
    first = page_response(request(limit="1"), [{"id": 7}], following=[NINE, "7"])
    query = parse_qs(urlsplit(first.headers["Link"][1:].partition(">")[0]).query)
    asked = request(limit="1", cursor=query["cursor"][0])
    assert page_of(asked, place=Place()) == Page(limit=1, after=[NINE, "7"])


@pytest.mark.parametrize(
    "place",
    ["7", "[]", "{}", "null", f'["{NINE}"]', f'["{NINE}","0"]', f'["{NINE}","x"]', '["soon","7"]',
     f'["{NINE}","7","8"]', f'["{NINE}", "7"]', f'["{NINE}",["7"]]', '["2027-03-01T09:00:00","7"]',
     "[" * 5000],
)
def test_a_cursor_of_another_order_is_refused(place):
    with pytest.raises(InvalidInput) as refused:
        page_of(request(cursor=cursor(f"/things:{place}")), place=Place())
    assert list(refused.value.errors) == ["cursor"]


def test_versions_are_not_shown_in_lists():
    told = page_response(request(), [{"id": 7, "version": 3}], following=None)
    assert json.loads(told.get_data())["items"] == [{"id": 7}]
