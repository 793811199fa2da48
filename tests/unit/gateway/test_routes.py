"""The table of URLs: what is where, and that each says who may call it."""

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from gateway.routes import RATE_CLASSES, ROUTES, Route, url_map

LARGEST_ID = 2**63 - 1


def view(request, rpc):
    raise AssertionError("no view is called while routes are matched")


def route(path="/somewhere", who=("anyone",), rate="default", method="GET"):
    return Route(method, path, view, frozenset(who), rate)


def match(path, method="GET", routes=ROUTES):
    found, ids = url_map(routes).bind("localhost").match(path, method=method)
    return f"{found.method} {found.path}", ids


@pytest.mark.parametrize("who", [(), ("everybody",), ("anyone", "everybody"), ("",)])
def test_a_route_that_does_not_say_who_may_call_it_does_not_start(who):
    with pytest.raises(ValueError, match="GET /somewhere does not say who may call it"):
        url_map([route(who=who)])


@pytest.mark.parametrize("rate", ["", "unlimitted", "DEFAULT"])
def test_a_route_without_a_known_rate_class_does_not_start(rate):
    with pytest.raises(ValueError, match="GET /somewhere has no known rate class"):
        url_map([route(rate=rate)])


def test_one_bad_route_among_good_ones_is_enough():
    with pytest.raises(ValueError, match="PUT /elsewhere"):
        url_map([*ROUTES, route("/elsewhere", who=(), method="PUT")])


@pytest.mark.parametrize("rate", sorted(RATE_CLASSES))
def test_a_route_with_a_caller_and_a_rate_class_starts(rate):
    assert match("/somewhere", routes=[route(rate=rate)]) == ("GET /somewhere", {})


def test_no_two_routes_are_the_same():
    places = [(found.method, found.path) for found in ROUTES]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("found", ROUTES, ids=lambda found: f"{found.method} {found.path}")
def test_every_route_is_reached_by_its_own_address(found):
    path = found.path.replace(f"<{found.path.partition('<')[2].partition('>')[0]}>", "7")
    assert match(path, found.method)[0] == f"{found.method} {found.path}"


@pytest.mark.parametrize("number", [1, 7, 2**31, LARGEST_ID])
def test_an_id_in_a_path_arrives_as_a_number(number):
    expected = ("GET /patients/<patient_id>", {"patient_id": number})
    assert match(f"/patients/{number}") == expected


@pytest.mark.parametrize(
    "text", ["0", "-1", str(LARGEST_ID + 1), "9" * 40, "1.0", "1e3", "0x1", "abc", "1/2", " 1"]
)
def test_what_is_no_id_is_not_there(text):
    with pytest.raises(NotFound):
        match(f"/appointments/{text}")


def test_a_trailing_slash_is_no_other_address():
    assert match("/patients/7/") == match("/patients/7")
    assert match("/livez/") == match("/livez")


@pytest.mark.parametrize("path", ["/patients//7", "/Patients/7", "/livez/7", "/"])
def test_an_address_nobody_wrote_down_is_not_there(path):
    with pytest.raises(NotFound):
        match(path)


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/patients", "GET", {"POST"}),
        ("/patients/7", "DELETE", {"GET", "HEAD", "PUT"}),
        ("/appointments/7", "PUT", {"GET", "HEAD", "DELETE"}),
        ("/livez", "POST", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_told_which_ones_there_are(path, method, allowed):
    with pytest.raises(MethodNotAllowed) as refused:
        match(path, method)
    assert set(refused.value.valid_methods) == allowed
