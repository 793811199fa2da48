"""ETag, If-None-Match and If-Match, as RFC 9110 wants them read."""

import pytest
from werkzeug.exceptions import BadRequest
from werkzeug.test import EnvironBuilder

from gateway.request import ApiRequest
from gateway.versions import bare, is_known, meant_versions, needed_versions, tag_of
from schemas.errors import VersionNeeded

UNREADABLE = [
    "", " ", ",", "7", "seven", '"7', '7"', "'7'", '"7" "8"', '"7""8"', '"7";"8"', 'w/"7"', 'W/7',
    'W/ "7"', '"7", x', '"a b"', '"\x7f"', '*, "7"', '"7", *', "**",
]


def request(method="GET", **headers):
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiRequest(EnvironBuilder(method=method, headers=sent).get_environ())


def knows(sent, tag='"7"', method="GET"):
    return is_known(request(method, If_None_Match=sent), tag)


# Tags


def test_the_tag_of_a_record_is_its_version_and_bodies_do_not_show_it():
    assert tag_of({"id": 1, "version": 7}) == '"7"'
    assert bare({"id": 1, "version": 7}) == {"id": 1}


def test_another_form_of_the_record_has_tags_of_its_own():
    assert tag_of({"id": 1, "version": 7}, form="public") == '"7.public"'


def test_an_answer_from_before_there_were_versions_has_no_tag():
    assert tag_of({"id": 1}) is None


# If-None-Match


@pytest.mark.parametrize(
    "sent",
    ['"7"', 'W/"7"', "*", " * ", '"6", "7"', '"6","7"', '"7", "8"', '"a,b", "7"', ',, "7" ,',
     '\t"6" ,\t"7"', '"\xff", "7"', '"", "7"'],
)
def test_who_has_the_record_is_known_to(sent):
    assert knows(sent)


@pytest.mark.parametrize(
    "sent", ['"6"', 'W/"6"', '"77"', '"7.public"', '"07"', '""', '"*"', '"6,7"', '"W/7"']
)
def test_who_has_another_one_is_not(sent):
    assert not knows(sent)


@pytest.mark.parametrize("sent", ['"0"', "*"])
def test_what_is_shown_where_nothing_is_stored_can_be_known_too(sent):
    assert knows(sent, tag='"0"')


def test_who_does_not_say_what_they_have_is_sent_it():
    assert not is_known(request(), '"7"')


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_reading_may_find_that_nothing_is_new(method):
    assert knows('"7"', method=method)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
def test_a_change_is_answered_with_what_came_of_it(method):
    assert not knows('"7"', method=method)


@pytest.mark.parametrize("sent", UNREADABLE)
def test_what_cannot_be_read_is_refused(sent):
    with pytest.raises(BadRequest, match="If-None-Match"):
        knows(sent)


def test_a_list_as_long_as_a_header_may_be_is_read_at_once():
    assert not knows(", " * 4000 + '"6"')
    with pytest.raises(BadRequest):
        knows('"6"' + " ,\t" * 2700 + "x")


# If-Match


@pytest.mark.parametrize(
    ("sent", "versions"),
    [
        ('"7"', [7]),
        ('"0"', [0]),
        ("*", None),
        (" *", None),
        ('"7", "3","7"', [3, 7]),
        ('"7", W/"8"', [7]),
        # Weak ones and those of others match nothing, and nothing is changed.
        ('W/"7"', []),
        ('"7.public"', []),
        ('"07"', []),
        ('"-7"', []),
        (f'"{"9" * 40}"', []),
        ('"\xb2"', []),
        ('""', []),
    ],
)
def test_a_change_is_meant_for_the_versions_that_it_names(sent, versions):
    assert meant_versions(request("PUT", If_Match=sent)) == versions
    assert needed_versions(request("PUT", If_Match=sent)) == versions


def test_a_change_may_be_meant_for_what_is_not_there_yet():
    asked = request("PUT", If_None_Match="*")
    assert meant_versions(asked) == needed_versions(asked) == [0]


def test_a_change_that_names_no_version_is_meant_for_whichever_there_is():
    assert meant_versions(request("PUT")) is None


def test_where_a_version_is_needed_its_absence_is_told():
    with pytest.raises(VersionNeeded):
        needed_versions(request("PUT"))


@pytest.mark.parametrize("sent", UNREADABLE)
@pytest.mark.parametrize("read", [meant_versions, needed_versions])
def test_a_version_that_cannot_be_read_is_not_taken_for_any(read, sent):
    with pytest.raises(BadRequest, match="If-Match"):
        read(request("PUT", If_Match=sent))


@pytest.mark.parametrize(
    "headers",
    [{"If_None_Match": '"7"'}, {"If_None_Match": ""}, {"If_None_Match": "*", "If_Match": "*"},
     {"If_None_Match": "*", "If_Match": '"0"'}],
)
def test_conditions_that_no_change_can_be_held_to_are_refused(headers):
    with pytest.raises(BadRequest, match="If-Match, or else If-None-Match"):
        meant_versions(request("PUT", **headers))
