"""The table of URLs: what is where, and that each says who may call it."""

import re

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from gateway.rates import CLASSES
from gateway.routes import ROUTES, Route, url_map

LARGEST_ID = 2**63 - 1


def view(visit):
    raise AssertionError("no view is called while routes are matched")


def route(path="/somewhere", who="anyone", rate="default", method="GET"):
    return Route(method, path, view, who, rate)


def match(path, method="GET", routes=ROUTES):
    found, ids = url_map(routes).bind("localhost").match(path, method=method)
    return found.route.name, ids


@pytest.mark.parametrize("who", ["", " ", "\n"])
def test_a_route_that_does_not_say_who_may_call_it_does_not_start(who):
    with pytest.raises(ValueError, match="GET /somewhere: it does not say who may call it"):
        url_map([route(who=who)])


@pytest.mark.parametrize("word", ["everybody", "patient:theirs", "patient:", "patient,staff"])
def test_a_route_with_a_word_that_is_no_rule_does_not_start(word):
    with pytest.raises(ValueError, match=f"GET /somewhere: {word} is no rule"):
        url_map([route(who=f"admin {word}")])


@pytest.mark.parametrize("rate", ["", "unlimitted", "DEFAULT"])
def test_a_route_without_a_known_rate_class_does_not_start(rate):
    with pytest.raises(ValueError, match="GET /somewhere has no known rate class"):
        url_map([route(rate=rate)])


def test_one_bad_route_among_good_ones_is_enough():
    with pytest.raises(ValueError, match="PUT /elsewhere"):
        url_map([*ROUTES, route("/elsewhere", who="", method="PUT")])


@pytest.mark.parametrize("rate", sorted(CLASSES))
def test_a_route_with_a_caller_and_a_rate_class_starts(rate):
    assert match("/somewhere", routes=[route(rate=rate)]) == ("GET /somewhere", {})


def test_no_two_routes_are_the_same():
    places = [found.name for found in ROUTES]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("found", ROUTES, ids=lambda found: found.name)
def test_every_route_is_reached_by_its_own_address(found):
    path = re.sub("<[a-z_]+>", "7", found.path)
    assert match(path, found.method)[0] == found.name


@pytest.mark.parametrize("found", ROUTES, ids=lambda found: found.name)
def test_a_scope_finds_the_id_it_asks_for_in_the_address(found):
    needed = {
        "patient:own": "<patient_id>",
        "doctor:own": "<doctor_id>",
        "doctor:treated": "<patient_id>",
        "patient:party": "<appointment_id>",
        "doctor:party": "<appointment_id>",
    }
    bounded = [word for word in found.who.split() if ":" in word]
    assert [word for word in bounded if needed[word] not in found.path] == []


def test_what_is_not_audited_tells_nothing_about_people():
    silent = {found.path for found in ROUTES if not found.personal}
    assert silent <= {"/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/"}


@pytest.mark.parametrize("number", [1, 7, 2**31, LARGEST_ID])
def test_an_id_in_a_path_arrives_as_a_number(number):
    expected = ("GET /patients/<patient_id>", {"patient_id": number})
    assert match(f"/patients/{number}") == expected


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "+1", "٣", "７", "1_0", str(LARGEST_ID + 1), "9" * 40, "1.0", "1e3", "0x1", "abc",
     "1/2", " 1"],
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
        ("/patients", "PUT", {"POST"}),
        ("/patients/7", "PATCH", {"GET", "HEAD", "PUT"}),
        ("/appointments/7", "PUT", {"GET", "HEAD", "DELETE"}),
        ("/livez", "POST", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_told_which_ones_there_are(path, method, allowed):
    with pytest.raises(MethodNotAllowed) as refused:
        match(path, method)
    assert allowed <= set(refused.value.valid_methods)
    assert method not in refused.value.valid_methods


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/patients", "/patients/7", "/livez"])
def test_a_method_that_no_route_has_is_not_allowed(path, method):
    with pytest.raises(MethodNotAllowed):
        match(path, method)
