"""The parameters of an address, each read as its kind."""

import pytest
from werkzeug.test import EnvironBuilder

from gateway.query import moment, read, truth, whole_number
from gateway.request import ApiRequest
from schemas.errors import InvalidInput

KINDS = {"id": whole_number, "open": truth, "from": moment, "q": str}


def asked(query):
    return read(ApiRequest(EnvironBuilder(path="/", query_string=query).get_environ()), KINDS)


def complaints(query):
    with pytest.raises(InvalidInput) as refused:
        asked(query)
    return refused.value.errors


def test_each_parameter_that_came_is_read_as_its_kind():
    query = "id=12&open=true&from=2027-05-17&q=Zo%C3%AB+B"
    assert asked(query) == {"id": 12, "open": True, "from": "2027-05-17", "q": "Zoë B"}


def test_what_did_not_come_is_left_out():
    assert asked("") == {}
    assert asked("open=false&q=") == {"open": False, "q": ""}


@pytest.mark.parametrize("sent", ["", "x", "-1", "1.0", "%2B1", "+1", "1+", "٣", "9" * 20, "1e3"])
def test_a_number_is_digits(sent):
    assert complaints(f"id={sent}") == {"id": "Must be a whole number."}


@pytest.mark.parametrize("sent", ["", "1", "yes", "True", "TRUE", "on", "+true"])
def test_truth_is_true_or_false(sent):
    assert complaints(f"open={sent}") == {"open": "Must be true or false."}


def test_everything_that_is_wrong_is_told_at_once():
    assert complaints("id=x&open=1&from=never").keys() == {"id", "open"}


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("2027-05-17T09:00:00+01:00", "2027-05-17T09:00:00+01:00"),
        ("2027-05-17T09:00+01:00", "2027-05-17T09:00+01:00"),
        ("2027-05-17T09:00:00.5+01:00", "2027-05-17T09:00:00.5+01:00"),
        ("2027-05-17+09:00+01:00", "2027-05-17 09:00+01:00"),
        ("2027-05-17T09:00:00%2B01:00", "2027-05-17T09:00:00+01:00"),
        ("2027-05-17T09:00:00-01:00", "2027-05-17T09:00:00-01:00"),
        ("2027-05-17T09:00:00Z", "2027-05-17T09:00:00Z"),
        ("2027-05-17+09:00", "2027-05-17 09:00"),
        ("2027-05-17", "2027-05-17"),
        ("never+ever", "never ever"),
    ],
)
def test_a_plus_sign_that_was_not_quoted_is_one_all_the_same(sent, meant):
    assert asked(f"from={sent}") == {"from": meant}
