"""What a client sent is read with suspicion."""

import re

import pytest
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.test import EnvironBuilder

from gateway.request import DEEPEST_NESTING, LARGEST_BODY, ApiRequest, network_of
from schemas.errors import Unauthenticated


def request(body=b"", *, method="POST", content_type="application/json", **environ):
    builder = EnvironBuilder(method=method, data=body, content_type=content_type)
    builder.environ_overrides = environ
    return ApiRequest(builder.get_environ())


# The body


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"name": "Ada"}', {"name": "Ada"}),
        (b' {"a": [1, 1.5, true, null, {"b": "c"}]} \n', {"a": [1, 1.5, True, None, {"b": "c"}]}),
        ('{"name": "Zoë 😀"}'.encode(), {"name": "Zoë 😀"}),
        (b'{"name": "Zo\\u00eb"}', {"name": "Zoë"}),
        (b"{}", {}),
    ],
)
def test_a_json_object_is_read(body, value):
    assert request(body).json_object() == value


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"   ", id="white space"),
        pytest.param(b"{", id="half of it"),
        pytest.param(b"{'name': 'Ada'}", id="single quotes"),
        pytest.param(b'{"name": "Ada",}', id="trailing comma"),
        pytest.param(b'{"name": "Ada"} {}', id="more after the end"),
        pytest.param(b'{"name": "Ada\nByron"}', id="raw line break in a text"),
        pytest.param(b'{"id": 1, "id": 2}', id="duplicate key"),
        pytest.param(b'{"id": 1, "id": 1}', id="duplicate key with the same value"),
        pytest.param(b'{"a": {"id": 1, "\\u0069d": 2}}', id="duplicate key inside, escaped"),
        pytest.param(b'{"id": NaN}', id="NaN"),
        pytest.param(b'{"id": Infinity}', id="Infinity"),
        pytest.param(b'{"id": [-Infinity]}', id="-Infinity"),
        pytest.param(b'{"id": ' + b"9" * 5000 + b"}", id="a number of 5000 digits"),
        pytest.param(b'{"id": ' + b"9" * 41 + b"}", id="a number of 41 digits"),
        pytest.param(b'{"id": -' + b"9" * 40 + b"}", id="a number of 40 digits and a sign"),
        pytest.param(b'{"id": 0.' + b"1" * 39 + b"}", id="a fraction of 41 characters"),
        pytest.param(b'{"id": 1e400}', id="a number beyond all floats"),
        pytest.param(b'{"id": -1e400}', id="a number below all floats"),
        pytest.param(b'{"id": 01}', id="leading zero"),
        pytest.param(b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", id="deep nesting of lists"),
        pytest.param(b'{"a":' * 9_000 + b"1" + b"}" * 9_000, id="deep nesting of objects"),
        pytest.param('{"name": "Zoë"}'.encode("latin-1"), id="not UTF-8"),
        pytest.param('{"name": "Ada"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"name": "\xed\xa0\x80"}', id="half a surrogate pair"),
        pytest.param(b'\xef\xbb\xbf{"name": "Ada"}', id="byte order mark"),
        pytest.param(b"name=Ada", id="a form"),
    ],
)
def test_unreadable_json_is_a_bad_request(body):
    with pytest.raises(BadRequest, match="The body is not readable JSON."):
        request(body).json_body()


@pytest.mark.parametrize("body", [b"[]", b'[{"name": "Ada"}]', b'"text"', b"7", b"null", b"true"])
def test_json_that_is_no_object_is_a_bad_request(body):
    with pytest.raises(BadRequest, match="The body must be a JSON object."):
        request(body).json_object()


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_json_goes_by_its_media_type_whatever_its_case_and_parameters(content_type):
    assert request(b"{}", content_type=content_type).json_object() == {}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/merge-patch+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
def test_a_body_of_another_media_type_is_not_looked_at(content_type):
    with pytest.raises(UnsupportedMediaType):
        request(b"{}", content_type=content_type).json_body()


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (b"9" * 40, int("9" * 40)),
        (b"9223372036854775807", 2**63 - 1),
        (b"-0", 0),
        (b"1e308", 1e308),
        (b"1E-400", 0.0),
    ],
)
def test_a_number_that_can_be_held_is_read(number, value):
    assert request(b'{"id": ' + number + b"}").json_object() == {"id": value}


def nested(levels, inner=b"1"):
    return b'{"a":' * (levels - 1) + b'{"a":' + inner + b"}" * levels


def test_a_body_may_be_nested_32_levels_deep():
    assert DEEPEST_NESTING == 32
    assert request(nested(32)).json_object()
    assert request(b'{"a":' + b"[" * 31 + b"]" * 31 + b"}").json_object()


@pytest.mark.parametrize(
    "body",
    [
        nested(33),
        nested(32, b"[1]"),
        b'{"b": 1, "a":' + b"[" * 33 + b"]" * 33 + b"}",
        b'{"a": [1, {"b": ' + b"[" * 30 + b"1" + b"]" * 30 + b"}]}",
    ],
)
def test_a_body_nested_deeper_is_a_bad_request(body):
    with pytest.raises(BadRequest, match="nested deeper than 32 levels"):
        request(body).json_body()


def body_of(length):
    return b'{"a":"' + b"x" * (length - 8) + b'"}'


def test_a_body_may_have_64_kib():
    assert LARGEST_BODY == 65536
    assert request(body_of(65536)).json_object()


def test_a_body_of_one_byte_more_is_too_large():
    with pytest.raises(RequestEntityTooLarge):
        request(body_of(65537)).json_body()


# The correlation id


@pytest.mark.parametrize("sent", ["a", "Abc-1._9", "0af7651916cd43dd8448eb211c80319c", "x" * 64])
def test_a_sane_correlation_id_is_kept(sent):
    assert request(HTTP_X_CORRELATION_ID=sent).correlation_id() == sent


@pytest.mark.parametrize(
    "sent",
    ["", " ", "a b", "a\n", "a\nb", "a\r\nSet-Cookie: x=1", "x" * 65, "ä", "<a>", "a/b", "a,b"],
)
def test_any_other_correlation_id_is_replaced(sent):
    used = request(HTTP_X_CORRELATION_ID=sent).correlation_id()
    assert re.fullmatch("[0-9a-f]{32}", used)


def test_a_request_without_a_correlation_id_gets_one_of_its_own():
    assert request().correlation_id() != request().correlation_id()


# The idempotency key


def key_of(sent, method="POST"):
    return request(method=method, HTTP_IDEMPOTENCY_KEY=sent).idempotency_key()


@pytest.mark.parametrize(
    "sent", ["k", "!", "~", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "x" * 255]
)
def test_the_same_key_is_the_same_again_and_is_not_kept_as_sent(sent):
    assert key_of(sent) == key_of(sent) == key_of(sent, "PATCH")
    assert re.fullmatch("[0-9a-f]{64}", key_of(sent))


@pytest.mark.parametrize(("one", "other"), [("k", "K"), ("k", "k1"), ("x" * 254, "x" * 255)])
def test_other_keys_are_others(one, other):
    assert key_of(one) != key_of(other)


@pytest.mark.parametrize(
    "sent", ["", " ", "two words", "tab\t", "line\n", "\x00", "\x7f", "schl\xfcssel", "x" * 256]
)
def test_a_key_is_1_to_255_visible_ascii_characters(sent):
    with pytest.raises(BadRequest, match="Idempotency-Key must be 1 to 255 visible ASCII"):
        key_of(sent)


def test_a_request_without_a_key_gets_one_of_its_own():
    assert request().idempotency_key() != request().idempotency_key()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_key_means_nothing_where_the_contract_takes_none(method):
    assert key_of("k", method) != key_of("k", method)
    assert key_of("not visible ASCII: \x00", method)


# Who asks, and for what


@pytest.mark.parametrize(
    "name",
    ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL",
     "X-Rewrite-URL"],
)
@pytest.mark.parametrize("value", ["DELETE", "GET", "/patients/1", ""])
def test_a_header_that_asks_to_be_taken_for_another_request_is_refused(name, value):
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value}
    with pytest.raises(BadRequest, match="(?i)x-"):
        request(**environ).check_overrides()


def test_other_headers_are_no_matter():
    request(HTTP_X_FORWARDED_FOR="10.0.0.1", HTTP_ACCEPT="*/*").check_overrides()


def token_in(header):
    return request(HTTP_AUTHORIZATION=header).bearer_token()


def test_a_request_without_an_authorization_header_brings_no_token():
    assert request().bearer_token() is None


@pytest.mark.parametrize(
    "header", ["Bearer a.b-c_d~e+f/g==", "bearer x", "BEARER x", "Bearer   x", " Bearer x "]
)
def test_a_bearer_token_is_read_whatever_the_case_of_its_scheme(header):
    assert token_in(header) == header.split()[1]


@pytest.mark.parametrize(
    "header",
    [
        "", " ", "Bearer", "Bearer ", "Bearer\tx", "Bearerx", "Token x", "Basic YTpi", "x",
        "Bearer x y", "Bearer x, Bearer y", "Bearer x,y", "Bearer x=y", "Bearer =", 'Bearer "x"',
        "Bearer \xe4", "Bearer x\ny", "Bearer x\x00", "Bearer x; a=b",
    ],
)
def test_anything_else_in_that_header_is_no_signing_in(header):
    with pytest.raises(Unauthenticated):
        token_in(header)


# The query


def query(text):
    return ApiRequest(EnvironBuilder(path="/", query_string=text).get_environ())


@pytest.mark.parametrize(
    ("sent", "value"), [("", None), ("a=", ""), ("a=x+y%26", "x y&"), ("a=Zo%C3%AB", "Zoë")]
)
def test_a_parameter_is_read(sent, value):
    assert query(sent).parameter("a") == value


def test_of_a_parameter_sent_twice_the_first_counts():
    assert query("a=1&a=2").parameter("a") == "1"


def test_a_body_without_a_declared_length_is_measured_as_it_is_read():
    for length, too_large in ((LARGEST_BODY, False), (LARGEST_BODY + 1, True), (10**6, True)):
        chunked = request(b'{"a": 1}' + b" " * (length - 8), **{"wsgi.input_terminated": True})
        del chunked.environ["CONTENT_LENGTH"]
        if too_large:
            with pytest.raises(RequestEntityTooLarge):
                chunked.json_body()
        else:
            assert chunked.json_body() == {"a": 1}


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_a_client_counts_as_the_network_it_can_send_from(address, network):
    assert network_of(address) == network
